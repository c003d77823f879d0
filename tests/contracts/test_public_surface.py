"""Promises about the names that users import."""

import importlib
import importlib.resources
import inspect
import pkgutil
from types import ModuleType

import pytest

import leyden


def is_function_or_class(item: object) -> bool:
    return inspect.isfunction(item) or inspect.isclass(item)


def modules() -> list[ModuleType]:
    names = [info.name for info in pkgutil.walk_packages(leyden.__path__, "leyden.")]
    return [importlib.import_module(name) for name in ["leyden", *names]]


MODULES = modules()
PUBLIC = [
    (module, name)
    for module in MODULES
    for name in module.__all__
    if module.__name__.count(".") < 2 and is_function_or_class(getattr(module, name))
]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_module_lists_names_that_it_has(module: ModuleType) -> None:
    assert len(set(module.__all__)) == len(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)
    assert module.__doc__


def test_the_top_has_few_names() -> None:
    assert len(leyden.__all__) <= 25


@pytest.mark.parametrize(
    ("module", "name"), PUBLIC, ids=lambda item: getattr(item, "__name__", item)
)
def test_every_public_name_is_described(module: ModuleType, name: str) -> None:
    assert getattr(module, name).__doc__


def test_the_package_is_typed() -> None:
    assert (importlib.resources.files("leyden") / "py.typed").is_file()
