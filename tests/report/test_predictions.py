"""Pictures of predictions."""

from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from sklearn.metrics import roc_auc_score

from leyden.errors import DataError
from leyden.report import draw_batch_predictions, draw_calibration, draw_roc, draw_threshold

SCORES = [0.1, 0.4, 0.35, 0.8, 0.9]
TARGETS = [0, 0, 1, 1, 1]


def points(ax: Axes, line: int) -> list[list[float]]:
    pairs: list[list[float]] = np.asarray(ax.get_lines()[line].get_xydata()).tolist()
    return pairs


def test_scores_are_drawn_by_class_beside_the_threshold() -> None:
    figure = draw_threshold(SCORES, TARGETS, 0.38)
    (ax,) = figure.axes
    assert [x for x, _ in points(ax, 0)] == [0.1, 0.4]
    assert [x for x, _ in points(ax, 1)] == [0.35, 0.8, 0.9]
    assert [x for x, _ in points(ax, 2)] == [0.38, 0.38]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["class 0: 1 of 2 right", "class 1: 2 of 3 right", "threshold 0.38"]
    assert (ax.get_xlim(), ax.get_xlabel()) == ((-0.02, 1.02), "score of class 1")
    assert ax.get_title(loc="left") == "predictions"


def test_a_score_at_the_threshold_is_class_0() -> None:
    figure = draw_threshold([0.5, 0.5], [0, 1], 0.5)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[:2] == ["class 0: 1 of 1 right", "class 1: 0 of 1 right"]


def test_scores_of_any_number_lie_apart() -> None:
    (ax,) = draw_threshold([0.5] * 7001, [1] * 7001).axes
    heights = sorted(y for _, y in points(ax, 1))
    assert min(np.diff(heights)) > 1 / 7001 / 3
    assert 0 <= heights[0] < heights[-1] < 1


def test_roc_goes_through_the_points_that_are_worked_out_by_hand() -> None:
    figure = draw_roc(SCORES, TARGETS)
    (ax,) = figure.axes
    drawn = points(ax, 1)
    assert drawn[0] == [0, 0]
    assert drawn[-1] == [1, 1]
    assert [0, 2 / 3] in drawn  # above 0.4: two of three positives, no negative
    assert [0.5, 2 / 3] in drawn  # from 0.4 on, one of two negatives
    assert points(ax, 0) == [[0, 0], [1, 1]]
    area = (1 + 2 / 3) / 2  # five of six pairs are in order
    assert roc_auc_score(TARGETS, SCORES) == pytest.approx(5 / 6)
    assert area == pytest.approx(5 / 6)
    assert ax.get_title(loc="left") == "receiver operating characteristic (AUC 0.833)"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("false positive rate", "true positive rate")
    assert ax.get_xlim() == ax.get_ylim() == (-0.01, 1.01)


def test_roc_of_equal_scores_is_chance() -> None:
    (ax,) = draw_roc([0.5] * 4, [0, 1, 0, 1]).axes
    assert ax.get_title(loc="left").endswith("(AUC 0.500)")
    assert points(ax, 1) == [[0, 0], [1, 1]]


def test_batches_are_maps_with_targets_above_and_slices_below() -> None:
    targets: list[Any] = [[0, 1, 1], np.array([[1], [0]])]
    scores: list[Any] = [[[0.1, 0.9, 0.5], [0.2, 0.8, 0.4]], np.array([[0.7], [0.3]])]
    figure = draw_batch_predictions(targets, scores, names=["7-a", "8"])
    first, second = figure.axes
    image = first.images[0]
    assert np.asarray(image.get_array()).tolist() == [
        [0, 1, 1],
        [0, 1, 1],
        [0.1, 0.9, 0.5],
        [0.2, 0.8, 0.4],
    ]
    assert np.asarray(second.images[0].get_array()).tolist() == [[1, 0], [1, 0], [0.7, 0.3]]
    assert (image.get_clim(), image.get_cmap().name) == ((0, 1), "bwr")
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["7-a", "8"]
    assert [label.get_text() for label in first.get_yticklabels()] == ["true", "score"]
    assert second.get_xlabel() == "sample"


def test_a_single_batch_is_drawn() -> None:
    (ax,) = draw_batch_predictions([[0, 1]], [[0.1, 0.9]]).axes
    assert ax.get_title(loc="left") == "batch 0"


@pytest.mark.parametrize(
    ("scores", "targets", "message"),
    [
        ([0.5], [0, 1], "as many `targets` as `scores`, at least one, but got 2 and 1"),
        ([], [], "at least one, but got 0 and 0"),
        ([0.5, 0.5], [0, 2], "`targets` to be 0 or 1, but got 2"),
    ],
)
def test_scores_and_targets_that_do_not_fit_are_refused(
    scores: list[float], targets: list[int], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        draw_threshold(scores, targets)
    with pytest.raises(DataError, match=message):
        draw_roc(scores, targets)


def test_roc_of_one_class_is_refused() -> None:
    with pytest.raises(DataError, match="both classes, but got 2 of one class only"):
        draw_roc([0.5, 0.6], [1, 1])


def test_batches_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match=r"names for all or none, but got 1, 2 and 0\."):
        draw_batch_predictions([[0]], [[0.1], [0.2]])
    with pytest.raises(DataError, match="as many batches"):
        draw_batch_predictions([], [])
    with pytest.raises(DataError, match="but got 2 and 1 in batch 0"):
        draw_batch_predictions([[0, 1]], [[0.1]])


def test_nothing_global_is_touched() -> None:
    before = dict(mpl.rcParams)
    draw_threshold(SCORES, TARGETS)
    draw_roc(SCORES, TARGETS)
    assert dict(mpl.rcParams) == before


def test_calibration_has_the_metric_above_the_scores() -> None:
    curve = ([0.2, 0.38, 0.6], [0.75, 0.857, 0.8])
    figure = draw_calibration(
        SCORES, TARGETS, curve=curve, threshold=0.38, before=0.5, metric="informedness"
    )
    upper, lower = figure.axes
    assert points(upper, 0) == [[0.2, 0.75], [0.38, 0.857], [0.6, 0.8]]
    assert points(upper, 1) == [[0.38, 0.857]]  # the best one is marked
    assert [x for x, _ in points(upper, 2)] == [0.5, 0.5]
    assert upper.get_title(loc="left") == "informedness at every threshold"
    assert (upper.get_xlabel(), upper.get_ylabel()) == ("threshold", "informedness")
    assert upper.get_xlim() == lower.get_xlim() == (-0.02, 1.02)
    assert [x for x, _ in points(lower, 2)] == [0.38, 0.38]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[:3] == ["informedness", "best", "before 0.5"]
    assert labels[3:] == ["class 0: 1 of 2 right", "class 1: 2 of 3 right", "threshold 0.38"]


def test_calibration_of_scores_that_are_no_probabilities_shows_them_all() -> None:
    curve = ([-3.0, 2.0], [0.5, 0.6])
    upper, lower = draw_calibration([-2.0, 5.0], [0, 1], curve=curve, threshold=2.0).axes
    assert upper.get_xlim() == lower.get_xlim() == (-3.0, 5.0)
    assert len(upper.get_lines()) == 2


def test_scores_that_are_not_finite() -> None:
    scores, targets = [np.nan, np.inf, 0.25, 0.75], [0, 1, 0, 1]
    with pytest.raises(DataError, match=r"`scores` to be finite, but 2 of 4 are not\."):
        draw_roc(scores, targets)
    (ax,) = draw_threshold(scores, targets).axes
    assert ax.get_xlim() == (-0.02, 1.02)
    with pytest.raises(DataError, match="`scores` to be numbers"):
        draw_threshold(["a"], [0])
