from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest

from leyden.errors import ConfigError
from leyden.recipes import Recipe, build, is_plain

KNOWN = {"fraction": Fraction, "dictionary": dict}


class Demanding:
    def __init__(self, size: int, *, depth: int = 1) -> None:
        if depth < 1:
            raise ValueError("depth is too low")
        if depth > 9:
            raise ConfigError("Expected `depth` to be below 10.")
        self.size, self.depth = size, depth


@pytest.mark.parametrize(
    "recipe",
    [
        "fraction",
        "fractions.Fraction",
        {"type": "fraction"},
        {"type": "fractions.Fraction"},
        Fraction,
        partial(Fraction),
    ],
)
def test_a_recipe_can_be_written_in_many_ways(recipe: Recipe) -> None:
    assert build(recipe, KNOWN, 1, 3, what="number") == Fraction(1, 3)


def test_arguments_of_a_dictionary_follow_those_that_are_given() -> None:
    recipe = {"type": f"{__name__}.Demanding", "depth": 4}
    made = build(recipe, {}, 7, what="network")
    assert (made.size, made.depth) == (7, 4)
    assert recipe == {"type": f"{__name__}.Demanding", "depth": 4}  # it can be used again


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    problem = (
        "Expected `number` to be of a known type or an import path, but got 'fracton'[.]"
        " Did you mean 'fraction'[?] Known: dictionary, fraction[.]"
    )
    with pytest.raises(ConfigError, match=problem):
        build("fracton", KNOWN, what="number")


@pytest.mark.parametrize("recipe", [{"depth": 3}, {}, {"type": None}, {"type": 3}])
def test_a_dictionary_without_a_type_is_refused(recipe: dict[str, Any]) -> None:
    problem = "Expected `number` to have a `type`, but got {.*}[.] .*Known: dictionary, fraction[.]"
    with pytest.raises(ConfigError, match=problem):
        build(recipe, KNOWN, what="number")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("no_such_module.Thing", "No module named 'no_such_module'"),
        ("fractions.Fracture", "module 'fractions' has no attribute 'Fracture'"),
        ("..fractions.Fraction", "relative import"),
    ],
)
def test_a_path_that_cannot_be_imported_is_told_why(path: str, reason: str) -> None:
    problem = f"but got '{path}'[.] It cannot be imported: .*{reason}"
    with pytest.raises(ConfigError, match=problem):
        build(path, KNOWN, what="number")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"width": 3}, "got an unexpected keyword argument 'width'"),
        ({"depth": 0}, "depth is too low"),
        ({"size": 3}, "got multiple values for argument 'size'"),
    ],
)
def test_arguments_that_do_not_fit_are_told_why(settings: dict[str, int], reason: str) -> None:
    problem = (
        f"Expected `network` to have arguments that deep takes, but got {settings}: .*{reason}"
    )
    with pytest.raises(ConfigError, match=problem):
        build({"type": "deep", **settings}, {"deep": Demanding}, 7, what="network")


@pytest.mark.parametrize("factory", [Demanding, partial(Demanding, depth=2), np.log1p])
def test_a_factory_that_needs_other_arguments_is_refused(factory: Any) -> None:
    problem = "Expected `network` to be made by .* without more arguments, but got an error: .*"
    with pytest.raises(ConfigError, match=f"{problem}Pass what it makes, or a dictionary with"):
        build(factory, {}, what="network")


def test_an_error_that_explains_itself_is_passed_on() -> None:
    for recipe in ({"type": "deep", "depth": 10}, partial(Demanding, depth=10)):
        with pytest.raises(ConfigError, match=r"^Expected `depth` to be below 10[.]$"):
            build(recipe, {"deep": Demanding}, 7, what="network")


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        1,
        0.5,
        "adam",
        [1, "a"],
        (1, 2),
        {"type": "cnn", "filters": [1, {"a": None}]},
        {},
    ],
)
def test_numbers_strings_lists_and_dictionaries_are_plain(value: object) -> None:
    assert is_plain(value)


@pytest.mark.parametrize(
    "value",
    [Fraction, len, np.float64(0.1), np.zeros(2), {1: "a"}, {"a": len}, [Fraction(1, 2)], {1, 2}],
)
def test_everything_else_is_not_plain(value: object) -> None:
    assert not is_plain(value)
