import math

import numpy as np
import pytest
import torch

from leyden.errors import ConfigError
from leyden.introspect import histograms, sums

VALUES = torch.randn(5000, generator=torch.Generator().manual_seed(0))


def test_sums_are_those_of_numpy() -> None:
    expected = VALUES.double().sum().item()
    found = sums({"a": VALUES, "whole": torch.arange(5)})
    assert found == {"a": pytest.approx(expected, rel=1e-6), "whole": 10.0}


@pytest.mark.parametrize("limits", [None, (-1.0, 2.0)])
def test_histograms_are_those_of_numpy(limits: tuple[float, float] | None) -> None:
    tensors = {"a": VALUES, "b": VALUES.reshape(50, 100)[:7].exp()}
    found = histograms(tensors, bins=37, limits=limits)
    for name, tensor in tensors.items():
        values = tensor.double().numpy()
        counts, edges = np.histogram(values, 37, limits)
        assert found[name].counts.tolist() == counts.tolist()
        assert found[name].edges == pytest.approx(edges)
        assert found[name].num_nonfinite == 0


def test_what_is_not_finite_is_counted_apart() -> None:
    broken = torch.tensor([0.0, 1.0, math.nan, math.inf, -math.inf])
    found = histograms({"a": broken}, bins=2)["a"]
    assert found.counts.tolist() == [1, 1]
    assert found.num_nonfinite == 3
    assert found.counts.dtype == np.int64


@pytest.mark.parametrize(
    ("values", "counts", "edges"),
    [
        ([2.0, 2.0], [0, 2], [1.5, 2.0, 2.5]),
        ([math.nan], [0, 0], [-0.5, 0.0, 0.5]),
        ([], [0, 0], [-0.5, 0.0, 0.5]),
    ],
)
def test_values_without_a_spread_have_a_histogram(
    values: list[float], counts: list[int], edges: list[float]
) -> None:
    found = histograms({"a": torch.tensor(values)}, bins=2)["a"]
    assert found.counts.tolist() == counts
    assert found.edges.tolist() == edges


def test_impossible_bins_are_told() -> None:
    with pytest.raises(ConfigError, match="`bins` to be at least 1, but got 0"):
        histograms({}, bins=0)
    with pytest.raises(ConfigError, match=r"`limits` to be in order, but got \(1, 1\)"):
        histograms({}, limits=(1, 1))


def test_sums_are_exact_whatever_the_type() -> None:
    short = torch.full((100_000,), 0.1, dtype=torch.bfloat16)
    ones = torch.ones(100_000, dtype=torch.float16)  # more than the type can count to
    whole = torch.tensor([2**24 + 1])
    wave = torch.tensor([1 + 2j, 3 - 1j])
    found = sums({"short": short, "ones": ones, "whole": whole, "wave": wave})
    assert found["short"] == pytest.approx(100_000 * float(short[0]), rel=1e-12)
    assert (found["ones"], found["whole"], found["wave"]) == (100_000.0, 2.0**24 + 1, 4 + 1j)


def test_complex_values_are_spread_by_magnitude() -> None:
    found = histograms({"wave": torch.tensor([3 + 4j, -1 + 0j])}, bins=2)["wave"]
    assert (found.counts.tolist(), found.edges.tolist()) == ([1, 1], [1.0, 3.0, 5.0])
