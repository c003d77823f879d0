"""Weights in a plain file, written and read by their documented names."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import torch
from lightning import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader
from typing_extensions import override

from leyden.errors import ConfigError, MissingPathError
from leyden.modules import LifecycleModule

MakeTrainer: TypeAlias = Callable[..., Trainer]


class Net(LifecycleModule):
    def __init__(self, path: str | Path | None = None) -> None:
        super().__init__()
        self._model_path = path
        self.layer = nn.Sequential(nn.Linear(2, 1))
        self.epoch_ends = 0

    @override
    def test_step(self, batch: Tensor, batch_idx: int) -> None:
        self.log("output", self.layer(batch).sum())

    @override
    def on_epoch_end(self) -> None:
        self.epoch_ends += 1


class Loading(Net):
    @override
    def load_model(self) -> None:
        super().load_model()


def batches() -> DataLoader[Tensor]:
    rows: Any = torch.ones(1, 2)
    return DataLoader(rows, batch_size=1)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    ours, theirs = Net(tmp_path / "new" / "net.pt"), Net(str(tmp_path / "new" / "net.pt"))
    ours.save_model()
    theirs.load_model()
    torch.testing.assert_close(theirs.state_dict(), ours.state_dict(), rtol=0, atol=0)


def test_the_twins_write_the_same_file(tmp_path: Path) -> None:
    module, other = Net(tmp_path / "net.pt"), Net(tmp_path / "net.pt")
    module.save_parallel_model()
    weights = torch.load(tmp_path / "net.pt", weights_only=True)
    assert list(weights) == ["layer.0.weight", "layer.0.bias"]
    other.load_parallel_model()
    torch.testing.assert_close(other.state_dict(), module.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["module.layer.0.{}", "layer.module.0.{}"])
def test_weights_from_within_data_parallel_are_loaded(tmp_path: Path, name: str) -> None:
    weights = {"weight": torch.tensor([[1.0, 2.0]]), "bias": torch.tensor([3.0])}
    torch.save({name.format(key): value for key, value in weights.items()}, tmp_path / "net.pt")
    module = Net(tmp_path / "net.pt")
    module.load_model()
    torch.testing.assert_close(dict(module.layer[0].state_dict()), weights, rtol=0, atol=0)


def test_a_part_may_be_called_module(tmp_path: Path) -> None:
    class Wrapping(Net):
        def __init__(self) -> None:
            super().__init__(tmp_path / "net.pt")
            self.module = nn.Linear(2, 1)

    ours, theirs = Wrapping(), Wrapping()
    ours.save_model()
    theirs.load_model()
    torch.testing.assert_close(theirs.state_dict(), ours.state_dict(), rtol=0, atol=0)


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    torch.save({"other": torch.ones(1)}, tmp_path / "net.pt")
    with pytest.raises(RuntimeError, match="Missing key"):
        Net(tmp_path / "net.pt").load_model()


def test_what_holds_more_than_weights_is_not_run(tmp_path: Path) -> None:
    class Evil:
        @override
        def __reduce__(self) -> Any:
            return (print, ("run",))

    torch.save({"layer.0.weight": Evil()}, tmp_path / "net.pt")
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        Net(tmp_path / "net.pt").load_model()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match=r"file of weights, but there is no '.*net.pt'"):
        Net(tmp_path / "net.pt").load_model()


@pytest.mark.parametrize("name", ["load_model", "save_model"])
def test_a_path_has_to_be_set(name: str) -> None:
    problem = "Expected `_model_path` to be the path of a file of weights, but got None. Set it in"
    with pytest.raises(ConfigError, match=problem):
        getattr(Net(), name)()


def test_a_test_is_made_with_the_weights_that_were_loaded(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    saved, module = Net(tmp_path / "net.pt"), Loading(tmp_path / "net.pt")
    saved.save_model()
    (metrics,) = make_trainer().test(module, batches(), verbose=False)
    assert metrics["output"] == pytest.approx(saved.layer(torch.ones(1, 2)).item())
    # They can be trained on, although a test is made in inference mode.
    module.layer(torch.ones(1, 2)).sum().backward()


def test_a_test_of_a_module_without_such_a_hook_loads_nothing(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    make_trainer().test(Net(tmp_path / "nowhere.pt"), batches(), verbose=False)


def test_weights_put_in_place_of_others_in_a_test_can_be_trained(
    make_trainer: MakeTrainer,
) -> None:
    class Replacing(Net):
        @override
        def load_model(self) -> None:
            self.layer = nn.Sequential(nn.Linear(2, 1))

    module = Replacing()
    make_trainer().test(module, batches(), verbose=False)
    module.layer(torch.ones(1, 2)).sum().backward()
    assert module.layer[0].weight.grad is not None


def test_a_module_that_was_run_can_be_copied_and_pickled(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    module = Net()
    make_trainer().test(module, batches(), verbose=False)
    pickled = pickle.dumps(module)
    assert b"trainer.trainer" not in pickled  # the module of Lightning's Trainer
    for twin in (copy.deepcopy(module), pickle.loads(pickled)):
        torch.testing.assert_close(twin.state_dict(), module.state_dict(), rtol=0, atol=0)
        make_trainer().test(twin, batches(), verbose=False)
