import re
from typing import Any

import pytest

from leyden.errors import ConfigError
from leyden.lifecycle import check_likeness, check_methods

HOOKS = ("after_step", "on_val_end", "on_val_epoch_end")


def part(*names: str) -> Any:
    return type("Part", (), {name: lambda self: None for name in names})()


@pytest.mark.parametrize("name", ["aftr_step", "after_setp", "on_val_epochs_end"])
def test_a_method_that_is_almost_a_hook_is_answered(name: str) -> None:
    with pytest.raises(ConfigError, match=f"`Part` to override hooks that exist, but got {name!r}"):
        check_methods(part("after_step", name), HOOKS)


def test_other_methods_are_left_alone() -> None:
    check_methods(part(*HOOKS, "_after_steps", "on_click", "atlas", "before_all"), HOOKS)


def test_what_is_documented_is_named_first() -> None:
    problem = "Did you mean 'on_val_end' or 'on_fal_end'? If it is no hook, begin its name with `_`"
    with pytest.raises(ConfigError, match=re.escape(problem)):
        check_likeness(int, "on_xal_end", ("on_fal_end", "on_val_end"), documented=("on_val_end",))
