"""Where the shipped configuration is."""

from pathlib import Path

__all__ = ["conf_dir"]


def conf_dir() -> Path:
    """Find the folder of the shipped configuration.

    Returns:
        ``conf/`` inside the installed package; in a checkout, ``conf/`` at its top.
    """
    package = Path(__file__).parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"
