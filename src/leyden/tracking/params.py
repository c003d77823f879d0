"""Parameters as trackers list them."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

__all__ = ["flatten_params"]


def flatten_params(
    params: Mapping[str, Any] | Namespace | None, prefix: str = ""
) -> dict[str, Any]:
    """Give every parameter a name of its own.

    Args:
        params: Parameters, of which some are themselves mappings.
        prefix: Put before every name.

    Returns:
        Parameters that are no mappings, by names such as ``model/network/type``.

    Example:
        >>> flatten_params({"model": {"type": "cnn", "filters": [8, 16]}, "seed": 0})
        {'model/type': 'cnn', 'model/filters': [8, 16], 'seed': 0}
    """
    told = vars(params) if isinstance(params, Namespace) else params or {}
    flat: dict[str, Any] = {}
    for name, value in told.items():
        if isinstance(value, Mapping | Namespace):
            flat |= flatten_params(value, f"{prefix}{name}/")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
