"""What a process has to itself comes back in another one, through a file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from loader_table import Rows
from torch import Tensor
from torch.utils.data import DataLoader
from torchmetrics import MeanMetric
from typing_extensions import override

from leyden.errors import ResumeError
from leyden.generators import global_state, restore_global_state
from leyden.resume.attributes import Baseline
from leyden.resume.loaders import LoaderFollower
from leyden.resume.rank_state import gathered, rank_state, restore_rank_state


class Model(BoringModel):
    left_out: Tensor
    mean: MeanMetric

    def __init__(self) -> None:
        super().__init__()
        self.mean = MeanMetric()
        self.register_buffer("kept", torch.zeros(2))
        self.register_buffer("left_out", torch.zeros(2), persistent=False)
        self.frozen = torch.nn.BatchNorm1d(2)

    @override
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        step: Any = super().training_step(batch, batch_idx)
        self.mean(step["loss"].detach())
        self.log("loss", step["loss"], on_step=True, on_epoch=True)
        return step


class At(Callback):
    """Does something at the end of the second batch."""

    def __init__(self, do: Callable[[Trainer, Model], None]) -> None:
        self.do = do

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == 1:
            self.do(trainer, pl_module)


def fit(folder: Path, do: Callable[[Trainer, Model], None], **options: Any) -> None:
    before = global_state()
    Trainer(
        accelerator="cpu",
        max_epochs=1,
        limit_train_batches=3,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=[At(do)],
        **options,
    ).fit(Model())
    restore_global_state(before)


def captured(folder: Path, **options: Any) -> Any:
    def write(trainer: Trainer, module: Model) -> None:
        before = Baseline.of(trainer, module)
        module.left_out += 3
        module.frozen.eval()
        follower = LoaderFollower(DataLoader(Rows(4), 2))
        state = rank_state(trainer, module, {"train": [follower]}, before, {})
        torch.save(state, folder / "state.pt")

    fit(folder, write, **options)
    return torch.load(folder / "state.pt", weights_only=True)


def test_what_lightning_leaves_out_is_kept(tmp_path: Path) -> None:
    state = captured(tmp_path, accumulate_grad_batches=4)
    assert state["buffers"] == {"left_out": pytest.approx(torch.full((2,), 3.0))}
    assert state["metrics"]["mean"]["updates"] == 2
    assert not state["modes"]["frozen"]
    assert [one["key"] for one in state["logged"]["train"]] == ["training_step.loss"]
    assert state["loaders"]["train"][0]["passes"] == []


def test_gradients_are_kept_only_where_they_are_being_accumulated(tmp_path: Path) -> None:
    assert captured(tmp_path)["gradients"] == {}
    assert captured(tmp_path, accumulate_grad_batches=2)["gradients"] == {}
    names = {"layer.weight", "layer.bias"}
    assert set(captured(tmp_path, accumulate_grad_batches=3)["gradients"]) == names


def restored(folder: Path, state: Any, followers: Any) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    def restore(trainer: Trainer, module: Model) -> None:
        restore_rank_state(trainer, module, followers, state, Baseline.of(trainer, module))
        seen["random"] = torch.rand(2).tolist()
        seen["left_out"] = module.left_out.tolist()
        seen["mean"] = module.mean.compute().item()
        seen["frozen"] = module.frozen.training
        seen["gradients"] = {
            name: parameter.grad.tolist()
            for name, parameter in module.named_parameters()
            if parameter.grad is not None
        }

    fit(folder, restore)
    return seen


def test_everything_comes_back(tmp_path: Path) -> None:
    state = captured(tmp_path)
    state["gradients"] = {"layer.bias": torch.tensor([1.0, 2.0])}
    seen = restored(tmp_path, state, {"train": [LoaderFollower(DataLoader(Rows(4), 2))]})
    values = state["metrics"]["mean"]["values"]
    assert seen["left_out"] == [3.0, 3.0]
    assert seen["mean"] == (values["mean_value"] / values["weight"]).item()
    assert not seen["frozen"]
    assert seen["gradients"] == {"layer.bias": [1.0, 2.0]}
    before = global_state()
    restore_global_state(state["generators"])
    assert seen["random"] == torch.rand(2).tolist()
    restore_global_state(before)


def test_other_loaders_than_then_are_named(tmp_path: Path) -> None:
    state = captured(tmp_path)
    followers = {"train": [LoaderFollower([1]), LoaderFollower([2])]}
    with pytest.raises(
        ResumeError,
        match=r"Expected 1 train loaders, as when the checkpoint was written, but got 2\. Hand in "
        r"the loaders that were used then\.",
    ):
        restored(tmp_path, state, followers)


def test_phase_that_has_not_begun_is_left_alone(tmp_path: Path) -> None:
    state = captured(tmp_path)
    assert restored(tmp_path, state, {"train": [], "val": []})["left_out"] == [3.0, 3.0]


def test_one_process_has_its_own_state_alone() -> None:
    trainer: Any = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    assert gathered({"a": 1}, trainer) == [{"a": 1}]
