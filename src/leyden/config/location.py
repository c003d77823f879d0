"""Where the shipped configuration is."""

from pathlib import Path

import leyden

__all__ = ["conf_dir"]


def conf_dir() -> Path:
    """Find the folder of the shipped configuration.

    Returns:
        ``conf/`` inside the installed package; in a checkout, ``conf/`` at its top.
    """
    package = Path(leyden.__file__).parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"
