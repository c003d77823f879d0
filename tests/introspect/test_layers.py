import pytest
from torch import nn

from leyden.errors import ConfigError
from leyden.introspect import find_layers, find_parameters
from leyden.introspect.layers import ROOT, layer_of


def make_model() -> nn.Module:
    first = nn.Linear(2, 3)
    encoder = nn.Sequential(first, nn.ReLU())
    model = nn.ModuleDict({"encoder": encoder, "head": nn.Linear(3, 1)})
    model.register_parameter("scale", nn.Parameter(first.bias.detach().clone()))
    return model


def test_layers_have_no_parts_or_parameters_of_their_own() -> None:
    assert list(find_layers(make_model())) == [ROOT, "encoder.0", "encoder.1", "head"]


@pytest.mark.parametrize(
    ("which", "names"),
    [
        ("head", ["head"]),
        ("ead", ["head"]),
        ("encoder", ["encoder"]),
        ("cod", ["encoder"]),
        (1, ["encoder.0"]),
        (-1, ["head"]),
        ("encoder.*", ["encoder.0", "encoder.1"]),
        (["head", 1, "head"], ["head", "encoder.0"]),
    ],
)
def test_layers_are_found_by_name_part_pattern_and_index(which: object, names: list[str]) -> None:
    model = make_model()
    found = find_layers(model, which)  # type: ignore[arg-type]
    assert list(found) == names
    assert all(found[name] is model.get_submodule(name) for name in names)


@pytest.mark.parametrize(
    ("which", "names"),
    [
        ("*", ["scale", "encoder.0.weight", "encoder.0.bias", "head.weight", "head.bias"]),
        ("encoder", ["encoder.0.weight", "encoder.0.bias"]),
        ("ead", ["head.weight", "head.bias"]),
        ("head.bias", ["head.bias"]),
        ("*.bias", ["encoder.0.bias", "head.bias"]),
        ("scal", ["scale"]),
        (-1, ["head.weight", "head.bias"]),
        (2, []),
        ([-1, "head.bias", "scale"], ["head.weight", "head.bias", "scale"]),
    ],
)
def test_parameters_are_found_by_layer_and_by_name(which: object, names: list[str]) -> None:
    model = make_model()
    found = find_parameters(model, which)  # type: ignore[arg-type]
    assert list(found) == names
    assert all(found[name] is dict(model.named_parameters())[name] for name in names)


def test_whole_model_may_be_one_layer() -> None:
    layer = nn.Linear(2, 2)
    assert find_layers(layer) == {ROOT: layer}
    assert list(find_parameters(layer, 0)) == ["weight", "bias"]
    assert layer_of("weight") == ROOT


def test_parameters_without_a_shape_are_left_out() -> None:
    assert find_parameters(nn.LazyLinear(2)) == {}


def test_model_without_layers_has_none() -> None:
    assert find_parameters(nn.ReLU()) == {}


@pytest.mark.parametrize("find", [find_layers, find_parameters])
def test_unknown_layer_is_told_with_the_nearest_name(find: object) -> None:
    with pytest.raises(ConfigError, match=r"got 'haed'\. Did you mean 'head'\?"):
        find(make_model(), "haed")  # type: ignore[operator]
    with pytest.raises(ConfigError, match=r"got 'x\*'\."):
        find(make_model(), "x*")  # type: ignore[operator]
    with pytest.raises(ConfigError, match="indices below 4, the number of layers, but got 4"):
        find(make_model(), 4)  # type: ignore[operator]
    with pytest.raises(ConfigError, match="but got -5"):
        find(make_model(), -5)  # type: ignore[operator]
