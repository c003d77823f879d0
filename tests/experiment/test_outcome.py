import json

import pytest

from leyden.experiment import Outcome


def test_an_outcome_is_a_mapping_that_json_can_hold() -> None:
    outcome = Outcome({"total": {"duration": 1.0}}, {"loss": [0.5]}, {"gpu": []})
    assert list(outcome) == ["elapsed", "metrics", "hardware_info"]
    assert outcome["metrics"] == outcome.metrics == {"loss": [0.5]}
    assert json.loads(json.dumps(dict(outcome))) == dict(outcome)
    assert len(outcome) == 3


def test_other_names_are_no_keys() -> None:
    outcome = Outcome({}, {}, {})
    assert "keys" not in outcome
    with pytest.raises(KeyError, match="get"):
        outcome["get"]
