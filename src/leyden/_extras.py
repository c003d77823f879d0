"""The one door through which optional packages come in."""

from importlib import import_module
from types import ModuleType

from leyden.errors import MissingExtraError

__all__ = ["require"]


def require(module: str, *, extra: str, needed_for: str) -> ModuleType:
    """Import a package that leyden is installed without, unless asked for.

    Args:
        module: The module wanted, such as ``"lz4.frame"``.
        extra: The extra of leyden that installs it.
        needed_for: What the user wrote that asks for it, such as ``"a1.h5"``.

    Returns:
        The module.

    Raises:
        MissingExtraError: If it cannot be imported.

    Example:
        >>> require("json", extra="none", needed_for="an example").loads("[1]")
        [1]
    """
    package = module.partition(".")[0]
    try:
        import_module(package)
        return import_module(module)
    except ImportError as error:
        problem = f"Expected the package `{package}` to be installed for {needed_for}"
        raise MissingExtraError(
            f"{problem}, but got: {error}. Run `pip install leyden[{extra}]`."
        ) from error
