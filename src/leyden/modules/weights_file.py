"""Weights in a file that any program with torch can read."""

from pathlib import Path

import torch
from torch import nn

from leyden.errors import MissingPathError
from leyden.files import replacing

__all__ = ["load_weights", "save_weights"]


def save_weights(module: nn.Module, path: Path) -> None:
    """Write the weights of a module as a plain state dict.

    Args:
        module: The module.
        path: The file to make or replace.
    """
    weights = {name: value.detach().cpu() for name, value in module.state_dict().items()}
    with replacing(path) as temporary:
        torch.save(weights, temporary)


def load_weights(module: nn.Module, path: Path) -> None:
    """Read weights, also such that were saved from within ``DataParallel``.

    Args:
        module: The module to give them to.
        path: A state dict in a file.

    Raises:
        MissingPathError: If there is no such file.
        RuntimeError: If they are not the weights of such a module.
    """
    if not path.is_file():
        raise MissingPathError(f"Expected a file of weights, but there is no {str(path)!r}.")
    weights = torch.load(path, map_location="cpu", weights_only=True)
    known = module.state_dict()
    module.load_state_dict(
        {name if name in known else _unwrapped(name): value for name, value in weights.items()}
    )


def _unwrapped(name: str) -> str:
    """Take the name of the wrapper, ``module``, out of the name of a weight."""
    return ".".join(part for part in name.split(".") if part != "module")
