from pathlib import Path
from types import SimpleNamespace

import pytest

from leyden.errors import ResumeError
from leyden.lifecycle import Counters, RunView


def test_counters_go_on_with_those_of_another_run() -> None:
    saved, counters = Counters(num_iters=4, num_validations=2), Counters()
    counters.load_state_dict(saved.state_dict())
    assert counters == saved


def test_counters_of_other_names_are_refused_and_nothing_changes() -> None:
    counters = Counters(num_iters=4)
    with pytest.raises(ResumeError, match=r"but got \['num_iters'\]. The checkpoint is of another"):
        counters.load_state_dict({"num_iters": 7})
    assert counters.num_iters == 4


def test_checkpoints_are_asked_for_and_taken_once(tmp_path: Path) -> None:
    run = RunView(SimpleNamespace(), None, tmp_path)
    run.save_checkpoint(tmp_path / "one.ckpt")
    run.save_checkpoint(tmp_path / "two.ckpt")
    assert run.has_requests
    assert run.take_requests() == [tmp_path / "one.ckpt", tmp_path / "two.ckpt"]
    assert not run.has_requests


@pytest.mark.parametrize(
    ("is_first", "is_trial", "writes"),
    [(True, False, True), (False, False, False), (True, True, False)],
)
def test_the_first_process_of_a_real_run_writes(
    tmp_path: Path, is_first: bool, is_trial: bool, writes: bool
) -> None:
    trainer = SimpleNamespace(is_global_zero=is_first, fast_dev_run=is_trial)
    assert RunView(trainer, None, tmp_path).writes is writes
