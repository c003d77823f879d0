from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import LightningModule
from lightning.pytorch.demos.boring_classes import BoringModel
from torch import nn

from leyden.errors import ConfigError
from leyden.experiment.models import describe_module, make_module, remake_module
from leyden.modules import AutoencoderModule, ClassifierModule, RegressorModule

CLASSES = SimpleNamespace(sample_shape=(3, 6, 8), num_classes=4, label_shape=())
SIZES = {"input_shape": [3, 6, 8], "num_classes": 4}
NUMBERS = SimpleNamespace(sample_shape=(5,), num_classes=None, label_shape=())


@pytest.mark.parametrize(
    ("model", "data", "kind"),
    [
        ("cnn", CLASSES, ClassifierModule),
        ({"type": "mlp", "hidden": [4]}, NUMBERS, RegressorModule),
        ({"type": "regressor", "network": "mlp"}, CLASSES, RegressorModule),
        ({"type": "classifier", "network": {"type": "cnn"}}, CLASSES, ClassifierModule),
        ({"type": "autoencoder", "latent": 2}, CLASSES, AutoencoderModule),
        ({"entry_point": "torch.nn.Linear"}, NUMBERS, RegressorModule),
        (nn.Linear(4, 2), CLASSES, ClassifierModule),
        ("lightning.pytorch.demos.boring_classes.BoringModel", NUMBERS, BoringModel),
    ],
)
def test_a_name_is_enough(model: Any, data: Any, kind: type) -> None:
    assert type(make_module(model, data)) is kind


def test_arguments_go_to_the_module_and_the_others_to_its_network() -> None:
    told = {"type": "cnn", "filters": [4], "metrics": ["f1"], "optimizer": {"type": "sgd", "lr": 1}}
    module = make_module(told, CLASSES)
    assert module.hparams["network"] == {"type": "cnn", "filters": [4]}
    assert module.hparams["metrics"] == ["f1"]


@pytest.mark.parametrize("shape", [[3, 6, 8], [6, 8, 3]])
def test_the_channels_of_the_input_shape_may_come_last(shape: list[int]) -> None:
    told = {"type": "cnn", "input_shape": shape, "num_classes": 4}
    module = make_module(told, CLASSES)
    assert module(torch.zeros(2, 3, 6, 8)).shape == (2, 4)


def test_another_input_shape_than_that_of_the_data_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"they differ.\nmodel: \(6,\)\ndata:"):
        make_module({"type": "cnn", "input_shape": 6}, CLASSES)
    problem = r"they differ.\nmodel: \(100, 100, 3\)\ndata: \(3, 6, 8\)\nLeave it out"
    with pytest.raises(ConfigError, match=problem):
        make_module({"type": "cnn", "input_shape": [100, 100, 3]}, CLASSES)


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (None, "Expected a model, but none is known"),
        ({"filters": [4]}, "Expected `model` to have a `type`, but got {'filters'"),
        ("cnm", "but got 'cnm'. Did you mean 'cnn'"),
        ("torch.nn.Lineal", "but got 'torch.nn.Lineal'. It cannot be imported"),
        ("torch.load", "It is no class"),
        (3, "Expected `model` to have a `type`, but got 3. Known: autoencoder, "),
        ({"type": "cnn", "filtres": [4], **SIZES}, "arguments that cnn takes, but got"),
        ({"type": "torch.nn.Linear", "loss": "msa", **SIZES}, "but got 'msa'. Did you mean 'mse'"),
    ],
)
def test_models_that_there_are_not_are_refused(model: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        make_module(model, CLASSES)


class Told(LightningModule):
    """Has arguments that it does not keep, or keeps, or cannot."""

    def __init__(self, size: int, layer: nn.Module | None = None) -> None:
        super().__init__()
        self.layer = layer or nn.Linear(size, 1)
        if layer is None:
            self.save_hyperparameters()


def test_a_module_is_made_again_of_what_was_told() -> None:
    module = ClassifierModule({"type": "mlp", "hidden": [4]}, input_shape=(5,), num_classes=3)
    described = describe_module(module, None)
    assert described["type"] == "classifier"
    again = remake_module(described)
    assert str(again) == str(module)
    kept = describe_module(Told(3), None)
    assert (kept["type"].rpartition(".")[2], kept["arguments"]) == (
        "Told",
        {"size": 3, "layer": None},
    )


def test_a_module_that_kept_nothing_is_made_again_of_its_recipe() -> None:
    module = Told(3, nn.Linear(3, 1))
    assert describe_module(module, None)["arguments"] is None
    told = {"type": "some.Told", "size": 3}
    assert describe_module(module, told)["arguments"] == {"size": 3}


def test_a_network_that_is_an_object_is_not_written_down() -> None:
    module = ClassifierModule(nn.Linear(5, 3), input_shape=(5,), num_classes=3)
    assert describe_module(module, None) == {"type": "classifier", "arguments": None}
