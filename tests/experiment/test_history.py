import json

import pytest

from leyden.errors import ResumeError
from leyden.experiment.history import MetricHistory


def test_each_epoch_has_one_value() -> None:
    history = MetricHistory()
    for epoch in range(2):
        for step in range(3):
            history.log_metrics({"train/loss": 10.0 * epoch + step, "epoch": epoch}, step=step)
    history.log_metrics({"val/loss": 7.0, "epoch": 1}, step=5)
    assert history.metrics == {"loss": [2.0, 12.0], "val_loss": [7.0]}


def test_a_name_that_is_taken_is_not_shortened() -> None:
    history = MetricHistory()
    history.log_metrics({"train/loss": 1.0, "loss": 2.0, "epoch": 0})
    assert history.metrics == {"train/loss": [1.0], "loss": [2.0]}


def test_a_history_is_kept_in_checkpoints() -> None:
    history, other = MetricHistory(), MetricHistory()
    history.log_metrics({"train/loss": 1.0, "epoch": 0})
    other.load_state_dict(json.loads(json.dumps(history.state_dict())))
    other.log_metrics({"train/loss": 2.0, "epoch": 1})
    assert other.metrics == {"loss": [1.0, 2.0]}
    with pytest.raises(ResumeError, match="version of the state to be 1, but got 2"):
        other.load_state_dict({"version": 2})


def test_without_an_epoch_the_step_counts() -> None:
    history = MetricHistory()
    for step in (1, 2):
        history.log_metrics({"speed": step}, step=step)
    assert history.metrics == {"speed": [1.0, 2.0]}
