"""Hits and misses at many thresholds at once."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as by_sklearn

from leyden.calibration import metric_at_thresholds
from leyden.calibration.counts import count


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=30),
    st.lists(st.integers(-1, 9), min_size=1, max_size=6).map(sorted),
)
def test_counts_are_those_of_a_confusion_matrix(
    rows: list[tuple[int, bool]], thresholds: list[int]
) -> None:
    scores = torch.tensor([score for score, _ in rows]).double()
    targets = torch.tensor([target for _, target in rows])
    found = count(scores, targets, torch.tensor(thresholds).double())
    for index, threshold in enumerate(thresholds):
        matrix = by_sklearn.confusion_matrix(targets, scores > threshold, labels=[False, True])
        parts = [part[index].item() for part in (found.tn, found.fp, found.fn, found.tp)]
        np.testing.assert_array_equal(matrix.ravel(), parts)


def test_correlation_of_matthews_is_that_of_scikit_learn() -> None:
    numbers = np.random.default_rng(3)
    scores, targets = numbers.random(40).round(1), numbers.integers(0, 2, 40)
    thresholds = np.linspace(-0.05, 1.05, 23)
    expected = [
        by_sklearn.matthews_corrcoef(targets, scores > threshold) for threshold in thresholds
    ]
    for name in ("matthews_corrcoef", "mcc"):
        found = metric_at_thresholds(scores, targets, name, thresholds)
        np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-12)
    assert metric_at_thresholds([0.1, 0.9], [1, 1], "mcc", [0.5]).tolist() == [0.0]
