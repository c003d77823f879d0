"""Somebody's training that cannot be resumed exactly, in the way that its argument names.

Nothing in it knows of a verification. Run by test_verify_resume.
"""

import sys
from collections.abc import Callable, Iterator

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.demos.boring_classes import BoringModel, RandomDataset
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from typing_extensions import override

import leyden
from leyden.callbacks import ExactResume

WAY = sys.argv[1]


class Anew(Sampler[int]):
    """Another order in each epoch, which nobody can ask for again."""

    def __init__(self, size: int) -> None:
        self.size = size

    @override
    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng()
        return iter(rng.permutation(self.size).tolist())

    def __len__(self) -> int:
        return self.size


class Jittered(RandomDataset):
    """Rows with noise that nobody can ask for again."""

    @override
    def __getitem__(self, index: int) -> Tensor:
        noise = np.random.default_rng().normal(size=32).astype(np.float32)
        return self.data[index] + torch.from_numpy(noise)


class OwnDropout(BoringModel):
    """A dropout that draws from a generator that nobody else can see."""

    def __init__(self, *, is_seeded: bool) -> None:
        super().__init__()
        source = torch.Generator()
        if is_seeded:
            source.manual_seed(5)
        else:
            source.seed()
        self.draw: Callable[[torch.Size], Tensor] = lambda shape: torch.rand(
            shape, generator=source
        )

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        kept = self.draw(batch.shape) < 0.8
        return self.loss(self(batch * kept))


def main() -> None:
    if WAY == "fails-again" and leyden.latest_checkpoint("checkpoints"):
        raise ValueError("there is something already")
    seed_everything(7)
    rows = Jittered(32, 64) if WAY == "rows" else RandomDataset(32, 64)
    sampler = Anew(64) if WAY == "order" else None
    module = OwnDropout(is_seeded=WAY == "seeded-dropout") if "dropout" in WAY else BoringModel()
    callbacks: list[Callback] = [] if WAY == "no-callback" else [ExactResume("checkpoints")]
    trainer = Trainer(
        max_epochs=1,
        callbacks=callbacks,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    loader = DataLoader(rows, batch_size=4, sampler=sampler)
    if WAY == "no-path":
        trainer.fit(module, loader)
    else:
        folder = "elsewhere" if WAY == "other-folder" else "checkpoints"
        trainer.fit(module, loader, ckpt_path=leyden.latest_checkpoint(folder))


if __name__ == "__main__":
    main()
