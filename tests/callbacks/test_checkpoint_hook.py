from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel

from leyden.callbacks import CheckpointHook, StageHooks
from leyden.lifecycle import RunView

Quick = Callable[..., Trainer]

pytestmark = pytest.mark.filterwarnings(
    "ignore:You're resuming from a checkpoint that ended:UserWarning"
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.ckpt"))


@pytest.mark.parametrize("accumulated", [1, 2])
def test_there_is_a_checkpoint_after_each_epoch(
    quick: Quick, tmp_path: Path, accumulated: int
) -> None:
    options = {"max_epochs": 2, "limit_train_batches": 7, "accumulate_grad_batches": accumulated}
    quick(StageHooks([CheckpointHook()]), **options).fit(BoringModel())
    assert names(tmp_path / "checkpoints") == ["model-14.ckpt", "model-7.ckpt"]


def test_there_is_one_every_so_many_steps_and_at_the_end(quick: Quick, tmp_path: Path) -> None:
    hook = CheckpointHook(tmp_path / "mine", interval=5, ckpt_zero=True, modelname="net")
    quick(StageHooks([hook]), max_epochs=2, limit_train_batches=6).fit(BoringModel())
    expected = ["net-0.ckpt", "net-10.ckpt", "net-12.ckpt", "net-5.ckpt"]
    assert names(tmp_path / "mine") == expected


def test_a_checkpoint_holds_what_its_steps_made(notes: Any, quick: Quick, tmp_path: Path) -> None:
    def keep(run: RunView) -> None:
        weights.append(run.module.layer.weight.detach().clone())

    weights: list[torch.Tensor] = []
    hooks = StageHooks([CheckpointHook(interval=1), {"train:iter": keep}, notes.hook()])
    quick(hooks).fit(BoringModel())
    whole = list(notes)
    for step in (1, 2, 3):
        path = tmp_path / "checkpoints" / f"model-{step}.ckpt"
        state = torch.load(path, weights_only=True)["state_dict"]
        assert torch.equal(state["layer.weight"], weights[step - 1])
        notes.clear()
        quick(StageHooks([notes.hook()])).fit(BoringModel(), ckpt_path=path)
        assert list(notes) == (whole[whole.index(f"after_step {step}") + 1 :] if step < 3 else [])


class Failing:
    """Fails at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def before_step(self, step: int, fetches: Any, feeds: Any, batch: Any) -> None:
        if step == self.step:
            raise RuntimeError("out of luck")


def test_an_exception_leaves_what_was_trained(quick: Quick, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="out of luck"):
        quick(StageHooks([Failing(2), CheckpointHook()])).fit(BoringModel())
    assert names(tmp_path / "checkpoints") == ["model-2.ckpt"]


def test_an_exception_before_the_first_step_leaves_nothing(quick: Quick, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="out of luck"):
        quick(StageHooks([Failing(0), CheckpointHook()])).fit(BoringModel())
    assert names(tmp_path / "checkpoints") == []


def test_one_of_several_processes_does_not_wait_for_the_others(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    trainer = SimpleNamespace(world_size=2, fast_dev_run=False)
    hook = CheckpointHook()
    hook.attach(RunView(trainer, None, tmp_path))
    hook.after_step(1, {})  # type: ignore[arg-type] # results of another kind
    hook.at_exception(RuntimeError())
    assert "other processes may still be training" in caplog.text


def test_a_development_run_leaves_nothing(quick: Quick, tmp_path: Path) -> None:
    quick(StageHooks([CheckpointHook(ckpt_zero=True)]), fast_dev_run=True).fit(BoringModel())
    assert list(tmp_path.iterdir()) == []
