"""Defects of an older system in the names of runs; none of them is here."""

from pathlib import Path

import pytest

from leyden.runs import build_name, next_number


# D32: the best value was called the highest one, also of a loss.
def test_best_value_of_a_loss_is_its_lowest() -> None:
    assert build_name("a", {}, {}, best=0.25).endswith("__min.250")
    assert build_name("a", {}, {}, best=0.25, higher_is_better=True).endswith("__max.250")


# D35: run 1 was taken for runs 10, 11, 12.
def test_number_one_is_free_beside_number_ten(tmp_path: Path) -> None:
    (tmp_path / "day" / "09-00-00-M10__cnn").mkdir(parents=True)
    with next_number(tmp_path) as number:
        assert number == 11


# D38: keys with dots were left out.
def test_keys_with_dots_are_in_the_name() -> None:
    assert build_name("a", {"data": {"batch_size": 8}}, {"data.batch_size": "BS"}) == "a-BS8"


# D39: a folder whose name begins with M, and is of something else, was the end.
def test_other_folders_that_begin_with_m_do_not_matter(tmp_path: Path) -> None:
    for name in ("M", "Mine", "Mx__y", "09-00-00-M__z", "09-00-00-models__old"):
        (tmp_path / "day" / name).mkdir(parents=True)
    with next_number(tmp_path) as number:
        assert number == 1


# D40: 10.5 was written as 1.500, and 20 as 2.000.
@pytest.mark.parametrize(
    ("value", "text"), [(10.5, "10.500"), (20.0, "20.000"), (0.97512, ".975"), (-0.5, "-.500")]
)
def test_best_values_keep_their_digits(value: float, text: str) -> None:
    assert build_name("a", {}, {}, best=value) == f"a__min{text}"
