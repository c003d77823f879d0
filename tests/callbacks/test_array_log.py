from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from safetensors.torch import load_file
from torch import Tensor, nn
from typing_extensions import override

from leyden.callbacks import ArrayLog, StageHooks
from leyden.callbacks.layer_arrays import LayerArrays
from leyden.errors import ConfigError
from leyden.lifecycle import Every, RunView

Quick = Callable[..., Trainer]


class Two(BoringModel):
    """Has two layers, and keeps what it had after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.layer: Any = nn.Sequential(nn.Linear(32, 4), nn.Dropout(), nn.Linear(4, 2))
        self.kept: list[dict[str, Tensor]] = []

    @override
    def on_train_batch_end(self, *_: Any) -> None:
        arrays = {
            f"weights/{name}": part.detach().clone() for name, part in self.named_parameters()
        }
        for name, part in self.named_parameters():
            assert part.grad is not None
            arrays[f"gradients/{name}"] = part.grad.clone()
        self.kept.append(arrays)


def test_weights_and_gradients_are_written_exactly(quick: Quick, tmp_path: Path) -> None:
    module = Two()
    log = ArrayLog(weights="*", gradients=["layer.2.*"])
    quick(StageHooks([{Every(batches=2): log}]), limit_train_batches=4).fit(module)
    folder = tmp_path / "arrays"
    names = ["train-batch_0000002.safetensors", "train-batch_0000004.safetensors"]
    assert sorted(path.name for path in folder.iterdir()) == names
    for name, kept in zip(names, module.kept[1::2], strict=True):
        arrays = load_file(folder / name)
        expected = {key for key in kept if key.startswith(("weights", "gradients/layer.2"))}
        assert set(arrays) == expected
        assert all(torch.equal(arrays[key], kept[key]) for key in arrays)


def test_outputs_are_those_of_the_probe_without_dropout(quick: Quick, tmp_path: Path) -> None:
    probe, module = torch.ones(3, 32), Two()
    log = ArrayLog(outputs=["layer.?"], probe=probe, folder=tmp_path / "mine")
    quick(StageHooks([{("val_end", "train:epoch"): log}])).fit(module)
    arrays = load_file(tmp_path / "mine" / "val_end-train-epoch_0000003.safetensors")
    first = module.layer[0](probe)
    assert torch.equal(arrays["outputs/layer.0"], first)
    assert torch.equal(arrays["outputs/layer.1"], first)
    assert torch.equal(arrays["outputs/layer.2"], module.layer[2](first))


class Product(nn.Module):
    """Is called with two arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.times = nn.Bilinear(1, 1, 1)

    @override
    def forward(self, left: Tensor, right: Tensor) -> tuple[Tensor, None]:
        return self.times(left, right), None


@pytest.mark.parametrize("as_dictionary", [False, True])
def test_a_probe_may_be_several_arguments(as_dictionary: bool, tmp_path: Path) -> None:
    left, right = torch.ones(1, 1), torch.full((1, 1), 2.0)
    probe = {"right": right, "left": left} if as_dictionary else (left, right)
    module, trainer = Product(), SimpleNamespace(is_global_zero=True, fast_dev_run=False)
    run = RunView(trainer, module, tmp_path)
    run.stage = "save"
    ArrayLog(outputs="times", probe=probe)(run)
    arrays = load_file(tmp_path / "arrays" / "save_0000000.safetensors")
    assert torch.equal(arrays["outputs/times"], module.times(left, right))


class Named(nn.Module):
    """Returns its outputs by name."""

    @override
    def forward(self, rows: Tensor) -> dict[str, Tensor]:
        return {"doubled": 2 * rows, "halved": rows / 2}


class Nothing(nn.Module):
    """Returns no tensor."""

    @override
    def forward(self, outputs: dict[str, Tensor]) -> str:
        return "nothing"


def test_of_several_outputs_the_first_is_kept_and_of_none_none() -> None:
    module = nn.Sequential(nn.Linear(1, 1), Named(), Nothing())
    arrays = LayerArrays(outputs="*", probe=torch.ones(1, 1)).collect(module)
    assert sorted(arrays) == ["outputs/0", "outputs/1"]
    assert torch.equal(arrays["outputs/1"], 2 * arrays["outputs/0"])


def test_an_unknown_layer_is_answered_with_the_nearest(quick: Quick) -> None:
    hooks = StageHooks([{"train:iter": ArrayLog(weights="layer.wight")}])
    with pytest.raises(ConfigError, match=r"but none does. Did you mean 'layer.weight'"):
        quick(hooks).fit(BoringModel())


def test_a_development_run_writes_nothing(quick: Quick, tmp_path: Path) -> None:
    hooks = StageHooks([{"train:iter": ArrayLog(weights="*")}])
    quick(hooks, fast_dev_run=True).fit(BoringModel())
    assert list(tmp_path.iterdir()) == []


def test_arguments_are_checked() -> None:
    with pytest.raises(ConfigError, match=r'but got none. Pass `weights="\*"` for all.'):
        ArrayLog()
    with pytest.raises(ConfigError, match="Expected `probe` to be what the model is called with"):
        ArrayLog(outputs="layer")
