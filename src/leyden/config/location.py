"""Where the shipped configuration is."""

from pathlib import Path

__all__ = ["conf_dir", "group_options"]


def conf_dir() -> Path:
    """Find the folder of the shipped configuration.

    Returns:
        ``conf/`` inside the installed package; in a checkout, ``conf/`` at its top.
    """
    package = Path(__file__).parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parents[1] / "conf"


def group_options() -> dict[str, list[str]]:
    """List the shipped groups and their options.

    Example:
        >>> "mlp" in group_options()["model"]
        True
    """
    folders = sorted(path for path in conf_dir().iterdir() if path.is_dir())
    return {
        folder.name: sorted(path.stem for path in folder.glob("*.yaml"))
        for folder in folders
        if folder.name != "hydra"
    }
