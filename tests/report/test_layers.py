"""Pictures of layers."""

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from leyden.errors import DataError
from leyden.report import draw_heat_map, draw_histograms


def test_each_array_has_a_pane_with_its_counts() -> None:
    figure = draw_histograms({"weight": [[0, 0], [1, 3]], "bias": [np.nan, 1.0, np.inf]}, bins=3)
    weight, bias = figure.axes
    bars = [bar for bar in weight.patches if isinstance(bar, Rectangle)]
    assert [bar.get_height() for bar in bars] == [2, 1, 1]
    assert sum(bar.get_height() for bar in bias.patches if isinstance(bar, Rectangle)) == 1
    assert weight.get_title(loc="left") == "weight"
    assert bias.get_title(loc="left") == "bias (2 not finite)"


def test_panes_share_limits_and_bars_if_asked() -> None:
    arrays = {"training": [0.0, 1.0], "evaluation": [0.4, 0.6]}
    figure = draw_histograms(arrays, bins=10, share_axes=True, vertical_line=0.5)
    one, other = figure.axes
    assert one.get_xlim() == other.get_xlim()
    assert one.get_ylim() == other.get_ylim()
    widths = [
        bar.get_width() for ax in figure.axes for bar in ax.patches if isinstance(bar, Rectangle)
    ]
    np.testing.assert_allclose(widths, 0.1)
    assert [np.asarray(ax.get_lines()[0].get_xdata()).tolist() for ax in figure.axes] == [
        [0.5, 0.5]
    ] * 2


def test_arrays_of_nothing_finite_have_empty_panes() -> None:
    (ax,) = draw_histograms({"a": [np.nan]}, share_axes=True).axes
    assert ax.get_title(loc="left") == "a (1 not finite)"


@pytest.mark.parametrize(("count", "grid"), [(1, (1, 1)), (4, (1, 4)), (6, (2, 4))])
def test_panes_form_a_grid(count: int, grid: tuple[int, int]) -> None:
    figure = draw_histograms({str(index): [1.0] for index in range(count)})
    spec = figure.axes[0].get_subplotspec()
    assert spec is not None
    assert spec.get_gridspec().get_geometry() == grid
    assert len(figure.axes) == count


def test_heat_map_has_a_row_for_each_layer_and_red_for_what_is_broken() -> None:
    values = np.array([[1.0, 10.0, np.nan], [100.0, 0.0, 1.0]])
    figure = draw_heat_map([0, 10, 30], values, ["first", "last"], logarithmic=True)
    ax = figure.axes[0]
    numbers, red = [mesh.get_array() for mesh in ax.collections]
    assert numbers is not None
    assert red is not None
    assert np.ma.filled(numbers, -1).tolist() == [[0, 1, -1], [2, -1, 0]]
    assert np.ma.getmaskarray(red).tolist() == [[True, True, False], [True, True, True]]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["first", "last"]
    assert (ax.get_xlim(), ax.get_ylim(), ax.get_xlabel()) == ((0, 50), (2, 0), "step")
    assert figure.axes[1].get_ylabel() == "power of ten"


def test_heat_map_of_many_layers_names_some() -> None:
    names = [f"layer{index}" for index in range(100)]
    ax = draw_heat_map([0], np.ones((100, 1)), names).axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == names[::3]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="at least one, but got none"):
        draw_histograms({})
    with pytest.raises(DataError, match=r"\(layers, times\), \(1, 2\), but got \(2, 1\)"):
        draw_heat_map([0, 1], [[1.0], [2.0]], ["a"])


@pytest.mark.parametrize("share_axes", [False, True])
def test_values_that_nearly_are_the_same_are_drawn(share_axes: bool) -> None:
    near = np.array([1.0, 1.0 + 1e-15, 1.0 + 2e-15])
    figure = draw_histograms({"near": near}, share_axes=share_axes)
    heights = [bar.get_height() for bar in figure.axes[0].patches if isinstance(bar, Rectangle)]
    assert sum(heights) == 3
