"""Somebody's training: Lightning's demo of a transformer, unchanged, on a text that is there.

Nothing in it knows of a verification. Run by test_verify_resume.
"""

import random
from pathlib import Path

from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.demos.transformer import LightningTransformer, WikiText2
from torch.utils.data import DataLoader

import leyden
from leyden.callbacks import ExactResume

TEXT = Path("data/wikitext-2.txt")  # where the demo would put what it downloads


def main() -> None:
    seed_everything(7)
    if not TEXT.exists():
        TEXT.parent.mkdir(exist_ok=True)
        draw = random.Random(7)
        words = [f"w{draw.randrange(50)}" for _ in range(4000)]
        TEXT.write_text("\n".join(" ".join(words[at : at + 20]) for at in range(0, 4000, 20)))
    rows = WikiText2()
    trainer = Trainer(
        max_epochs=2,
        callbacks=[ExactResume("checkpoints", every_n_steps=3)],
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    trainer.fit(
        LightningTransformer(vocab_size=rows.vocab_size),
        DataLoader(rows, batch_size=4, shuffle=True, num_workers=2),
        ckpt_path=leyden.latest_checkpoint("checkpoints"),
    )


if __name__ == "__main__":
    main()
