"""What stands in for a method is on the object itself, and goes without a trace."""

import pytest

from leyden.resume.replaced import Replaced


class Thing:
    def method(self) -> str:
        return "own"


def test_what_is_replaced_is_put_back_in_reverse() -> None:
    thing, replaced = Thing(), Replaced()
    vars(thing)["value"] = 1
    assert replaced.replace(thing, "value", 2) == 1
    assert replaced.replace(thing, "method", lambda: "first")() == "own"
    replaced.replace(thing, "method", lambda: "second")
    replaced.put_back(thing, "method")
    assert thing.method() == "first"
    replaced.put_all_back()
    replaced.put_all_back()
    assert (thing.method(), vars(thing)) == ("own", {"value": 1})


def test_name_that_is_not_there_cannot_be_replaced() -> None:
    thing = Thing()
    with pytest.raises(AttributeError, match="nothing"):
        Replaced().replace(thing, "nothing", 1)
    assert vars(thing) == {}
