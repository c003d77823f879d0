import math

import numpy as np
import pytest
import torch
from torch import Tensor

from leyden.errors import ConfigError
from leyden.introspect import norms
from leyden.introspect.norms import measure


def make_tensors() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"0.weight": (30, 20), "0.bias": (30,), "1.weight": (9000, 3), "1.bias": (1,)}
    tensors = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    return tensors | {"none": torch.zeros(0)}


def by_numpy(*tensors: Tensor, order: float) -> float:
    values = np.concatenate([tensor.double().numpy().ravel() for tensor in tensors])
    if not len(values):
        return 0.0
    return float(np.linalg.norm(values, order))


@pytest.mark.parametrize("order", [0.5, 1, 2.0, 3, math.inf])
def test_norms_are_those_of_numpy(order: float) -> None:
    tensors = make_tensors()
    expected = {name: by_numpy(tensor, order=order) for name, tensor in tensors.items()}
    assert norms(tensors, norm=order) == pytest.approx(expected, rel=1e-6)
    total = by_numpy(*tensors.values(), order=order)
    assert norms(tensors, norm=order, scope="global") == {"total": pytest.approx(total, rel=1e-6)}
    first = by_numpy(tensors["0.weight"], tensors["0.bias"], order=order)
    by_layer = norms(tensors, norm=order, scope="layer")
    assert list(by_layer) == ["0", "1", "(root)"]
    assert by_layer["0"] == pytest.approx(first, rel=1e-6)


def test_functions_make_a_norm() -> None:
    tensors = make_tensors()
    for scope in ("local", "layer", "global"):
        squares = norms(tensors, norm=(torch.sqrt, torch.square), scope=scope)
        assert squares == pytest.approx(norms(tensors, scope=scope), rel=1e-6)
        sums = norms(tensors, norm=torch.abs, scope=scope)
        assert sums == pytest.approx(norms(tensors, norm=1, scope=scope), rel=1e-6)


@pytest.mark.parametrize("shape", [(1_000_001,), (4096 * 300,), (1024, 1024)])
def test_long_tensors_lose_no_digits(shape: tuple[int, ...]) -> None:
    values = torch.rand(shape, generator=torch.Generator().manual_seed(0)) + 10
    expected = by_numpy(values, order=2)
    assert norms({"long": values})["long"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_short_numbers_are_summed_in_detail(dtype: torch.dtype) -> None:
    values = torch.full((100_000,), 3.0, dtype=dtype)
    assert norms({"short": values})["short"] == pytest.approx(3 * math.sqrt(100_000), rel=1e-6)
    assert norms({"short": values}, norm=torch.square)["short"] == pytest.approx(9e5, rel=1e-6)


def test_doubles_and_floats_go_together() -> None:
    tensors = {"a": torch.tensor([3e200], dtype=torch.float64), "b": torch.tensor([2.0])}
    assert norms(tensors, norm=1) == {"a": 3e200, "b": 2.0}


@pytest.mark.parametrize("order", [2.0, math.inf])
def test_nan_and_infinity_stay_visible(order: float) -> None:
    tensors = {"nan": torch.tensor([1.0, math.nan]), "inf": torch.tensor([1.0, -math.inf])}
    found = norms(tensors, norm=order)
    assert math.isnan(found["nan"])
    assert found["inf"] == math.inf


def test_complex_and_sparse_tensors_have_norms() -> None:
    places, values = torch.tensor([[0, 0, 2]]), torch.tensor([1.0, 2.0, 4.0])
    sparse = torch.sparse_coo_tensor(places, values, (3,), check_invariants=True)
    tensors = {"complex": torch.tensor([3 + 4j]), "sparse": sparse}
    assert norms(tensors) == {"complex": 5.0, "sparse": 5.0}
    assert norms({"complex": torch.tensor([3 + 4j])}, norm=math.inf) == {"complex": 5.0}


def test_nothing_has_no_norms() -> None:
    assert norms({}) == {}
    assert norms({}, scope="global") == {"total": 0.0}
    assert measure([], 2.0) == []


def test_unknown_norms_and_scopes_are_told() -> None:
    with pytest.raises(ConfigError, match="`norm` to be above zero, but got 0"):
        norms({}, norm=0)
    with pytest.raises(ConfigError, match=r"got 'locl'\. Did you mean 'local'\?"):
        norms({}, scope="locl")  # type: ignore[arg-type]
