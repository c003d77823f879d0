"""Lines that draw on something that cannot be brought back."""

from pathlib import Path

import pytest

from leyden.cli.verification.suspects import find_suspects, lines_that_call, show_line

CODE = """\
import numpy as np, os, random, time, torch
SEED = time.time_ns()
class Rows:
    def __init__(self):
        self.rng = np.random.default_rng(3)
    def __getitem__(self, index):
        return os.urandom(4), random.random(), torch.rand(3)
trainer.fit(Rows())
"""


@pytest.fixture
def file(workplace: Path) -> str:
    path = workplace / "rows.py"
    path.write_text(CODE)
    return str(path)


def test_lines_in_the_named_place_come_alone(file: str) -> None:
    (found,) = find_suspects([file], [None, {"file": file, "line": 6, "end": 7}])
    assert (found.place, found.reason) == ("rows.py:7", "draws from the operating system")


def test_without_a_line_there_all_lines_count_and_unseeded_ones_come_first(file: str) -> None:
    found = find_suspects([file], [{"file": file, "line": 8, "end": 8}])
    assert [one.line for one in found] == [2, 7, 5]
    assert found[-1].is_seeded


def test_calls_are_shown_with_their_lines(file: str) -> None:
    assert lines_that_call([file], "fit") == ["rows.py:8: trainer.fit(Rows())"]


def test_files_that_are_not_python_are_passed_over(file: str) -> None:
    Path("rows.py").write_text("def (")
    assert find_suspects([file, "no/such/file.py"], []) == []


def test_only_the_users_own_code_is_named(file: str) -> None:
    place = {"name": "Rows", "file": file, "line": 3, "users": True}
    assert show_line(place) == "Rows (rows.py:3)"
    assert show_line(place | {"name": "<module>"}) == "rows.py:3"
    assert show_line(place | {"users": False}) is None
    assert show_line(None) is None
