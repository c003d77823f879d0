"""Watch a GAN with two optimizers of its own: gradients of each player, and what was fit when."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as judge
from torch.utils.data import DataLoader, TensorDataset
from typing_extensions import override

from leyden.callbacks import BatchMonitor, FlightRecorder, GradientMonitor, NaNGuard, RunCard
from leyden.lifecycle import Every
from leyden.tracking import FileLogger, read_metrics


class Gan(LightningModule):
    """As in Lightning's documentation: both players are updated by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
        self.critic = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))

    @override
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        (real,) = batch
        first, second = self.optimizers()  # type: ignore[attr-defined] # there are two
        fake = self.generator(torch.randn_like(real))
        fooled = judge(self.critic(fake), torch.ones(len(real), 1))
        first.zero_grad()
        self.manual_backward(fooled)
        first.step()
        answers = torch.cat([self.critic(real), self.critic(fake.detach())])
        loss = judge(answers, torch.cat([torch.ones(len(real), 1), torch.zeros(len(real), 1)]))
        second.zero_grad()
        self.manual_backward(loss)
        second.step()
        self.log_dict({"train/fooled": fooled, "train/loss": loss})
        return loss.detach()

    @override
    def configure_optimizers(self) -> Any:
        players = (self.generator, self.critic)
        return [torch.optim.Adam(one.parameters(), lr=1e-2) for one in players], []


def main() -> dict[str, float]:
    """Train for two epochs; give the last norms of the gradients of both players."""
    torch.manual_seed(0)
    circle = torch.rand(256) * 2 * torch.pi
    loader = DataLoader(TensorDataset(torch.stack([circle.sin(), circle.cos()], 1)), batch_size=32)
    gradients = GradientMonitor(Every(batches=4))
    with TemporaryDirectory() as folder:
        trainer = Trainer(
            max_epochs=2,
            accelerator="cpu",
            logger=FileLogger(folder),
            callbacks=[gradients, NaNGuard(), FlightRecorder(), BatchMonitor(), RunCard()],
            default_root_dir=folder,
            log_every_n_steps=1,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Gan(), loader)
        steps, losses = read_metrics(Path(folder, "metrics.csv"))["train/loss"]
        print(f"loss of the critic {losses[0]:.3f}, then {losses[-1]:.3f} at step {steps[-1]}")
        print(*sorted(path.name for path in Path(folder).iterdir()))
    return gradients.figures


if __name__ == "__main__":
    for name, norm in main().items():
        print(f"{norm:8.4f}  {name}")
