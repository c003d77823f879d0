"""Names of errors, and of what is better the higher it is."""

import pytest

from leyden.calibration import choose_goal
from leyden.calibration.names import is_error
from leyden.calibration.sample_metrics import SAMPLE_METRICS


@pytest.mark.parametrize("name", sorted(SAMPLE_METRICS.keys() - {"cosine_similarity"}))
def test_names_of_losses_say_what_is_known_of_them(name: str) -> None:
    assert is_error(f"val/{name}") is not choose_goal(name).higher_is_better


@pytest.mark.parametrize("name", ["mae", "test/RMSE", "mae-at-threshold", "TotalLoss", "val/nll"])
def test_short_names_are_known(name: str) -> None:
    assert is_error(name)


@pytest.mark.parametrize("name", ["f1", "accuracy", "auroc", "cosine_similarity", "imsefoo"])
def test_other_metrics_are_no_errors(name: str) -> None:
    assert not is_error(name)
