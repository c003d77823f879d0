import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from torch import Tensor, nn
from torch.optim import Optimizer
from typing_extensions import override

from leyden.callbacks import GradientMonitor
from leyden.errors import ConfigError
from leyden.lifecycle import Every

Quick = Callable[..., Trainer]

SCRIPT = Path(__file__).parent / "monitors_ranks_script.py"


class ByHand(Callback):
    """Computes norms in double precision as the optimizer is about to step."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []

    @override
    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        named = {name: one.grad for name, one in pl_module.named_parameters()}
        grads = {name: grad.double().flatten() for name, grad in named.items() if grad is not None}
        norms = {name: grad.square().sum().sqrt().item() for name, grad in grads.items()}
        norms["total"] = torch.cat(list(grads.values())).square().sum().sqrt().item()
        self.steps.append({f"gradient_norm/{name}": norm for name, norm in norms.items()})


@pytest.mark.parametrize("options", [{}, {"gradient_clip_val": 1e-3}, {"precision": "bf16-mixed"}])
def test_norms_are_those_before_clipping(quick: Quick, options: dict[str, Any]) -> None:
    monitor, by_hand = GradientMonitor(Every(batches=1)), ByHand()
    quick(monitor, by_hand, **options).fit(BoringModel())
    assert monitor.figures == pytest.approx(by_hand.steps[-1], rel=1e-6)
    assert list(monitor.figures)[-1] == "gradient_norm/total"


@pytest.mark.parametrize("every", [1, 3, 4])
def test_look_waits_for_the_step_of_accumulated_batches(quick: Quick, every: int) -> None:
    monitor, by_hand = GradientMonitor(Every(batches=every)), ByHand()
    seen: list[tuple[int | None, float]] = []

    class Reading(Callback):
        @override
        def on_train_batch_end(self, *_: Any) -> None:
            if monitor.figures and monitor.step not in [step for step, _ in seen]:
                seen.append((monitor.step, monitor.figures["gradient_norm/total"]))

    quick(monitor, by_hand, Reading(), accumulate_grad_batches=2, limit_train_batches=8).fit(
        BoringModel()
    )
    expected = {1: [0, 1, 2, 3], 3: [1, 2], 4: [1, 3]}[every]  # due at 3, 6; steps at 2, 4, 6, 8
    totals = [by_hand.steps[step]["gradient_norm/total"] for step in expected]
    assert [step for step, _ in seen] == expected
    assert [total for _, total in seen] == pytest.approx(totals, rel=1e-6)


class Two(BoringModel):
    """Two parts, each with its own optimizer."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.first, self.layer = nn.Linear(32, 32), nn.Linear(32, 2)
        self.norms: dict[str, float] = {}

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        optimizers: Any = self.optimizers()
        for part, optimizer in zip((self.first, self.layer), optimizers, strict=True):
            optimizer.zero_grad()
            self.manual_backward(self.layer(self.first(batch)).square().mean())
            for name, one in part.named_parameters():
                assert one.grad is not None
                self.norms[name] = one.grad.double().norm().item()
            optimizer.step()
            if part is self.first:
                self.total = sum(norm**2 for norm in self.norms.values())
        self.total = math.sqrt(self.total + sum(norm**2 for norm in self.norms.values()))

    @override
    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(part.parameters(), 0.1) for part in (self.first, self.layer)], []


def test_several_optimizers_are_looked_at_together(quick: Quick) -> None:
    monitor, module = GradientMonitor(Every(batches=1)), Two()
    quick(monitor, limit_val_batches=0).fit(module)
    assert monitor.step == 2  # three batches, whatever the number of optimizers
    assert monitor.figures["gradient_norm/total"] == pytest.approx(module.total, rel=1e-6)
    last = monitor.figures["gradient_norm/layer.weight"]
    assert last == pytest.approx(module.norms["weight"], rel=1e-6)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"scope": "layer"}, ["0", "2", "total"]),
        ({"scope": "global"}, ["total"]),
        ({"layers": 0}, ["0.weight", "0.bias", "total"]),
        ({"layers": "*bias", "name": "g"}, ["0.bias", "2.bias", "total"]),
    ],
)
def test_figures_are_chosen(quick: Quick, options: dict[str, Any], names: list[str]) -> None:
    module: Any = BoringModel()
    module.layer = nn.Sequential(nn.Linear(32, 4), nn.ReLU(), nn.Linear(4, 2))
    monitor = GradientMonitor(Every(batches=1), **options)
    quick(monitor).fit(module)
    begin = options.get("name", "gradient_norm")
    expected = [name if name == "total" else f"layer.{name}" for name in names]
    assert list(monitor.figures) == [f"{begin}/{name}" for name in expected]


def test_other_norms_are_taken(quick: Quick) -> None:
    largest = GradientMonitor(Every(batches=1), norm=math.inf)
    absolute = GradientMonitor(Every(batches=1), norm=torch.abs, name="absolute")
    module, grads = BoringModel(), list[Tensor]()

    class Reading(Callback):
        @override
        def on_before_optimizer_step(self, *_: Any) -> None:
            grads[:] = [one.grad.clone() for one in module.parameters() if one.grad is not None]

    quick(largest, absolute, Reading()).fit(module)
    values = torch.cat([grad.flatten().double() for grad in grads])
    assert largest.figures["gradient_norm/total"] == pytest.approx(values.abs().max().item())
    assert absolute.figures["absolute/total"] == pytest.approx(values.abs().sum().item(), rel=1e-6)


def test_impossible_choices_are_told() -> None:
    with pytest.raises(ConfigError, match="`norm` to be above zero"):
        GradientMonitor(norm=0)
    with pytest.raises(ConfigError, match="Did you mean 'layer'"):
        GradientMonitor(scope="layers")  # type: ignore[arg-type]


@pytest.mark.slow
def test_ranks_agree_and_one_writes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, SCRIPT, tmp_path], check=True, timeout=240)
    said = [(tmp_path / f"{rank}.json").read_text() for rank in range(2)]
    assert said[0] == said[1]
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 1 + 3 * 3
