"""What a run runs on."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

__all__ = ["hardware_info", "versions"]

_CPU_INFO_PATH = Path("/proc/cpuinfo")  # Linux; elsewhere the platform module knows
_PACKAGES = ("leyden", "torch", "lightning", "torchmetrics", "hydra-core", "omegaconf", "numpy")


def hardware_info() -> dict[str, Any]:
    """Say what machine this is.

    With CUDA this initialises it, so that processes forked later cannot use it.

    Returns:
        ``platform``, a name; ``cpu``, its ``brand``, number of logical ``cores`` and ``memory`` in
        bytes; ``gpu``, a list of ``name`` and ``memory`` in bytes of each, empty without CUDA.
    """
    return {
        "platform": platform.platform(),
        "cpu": {
            "brand": _cpu_brand(),
            "cores": psutil.cpu_count() or 1,
            "memory": psutil.virtual_memory().total,
        },
        "gpu": _gpus(),
    }


def versions() -> dict[str, str]:
    """Say which software this is.

    Returns:
        Name and version of Python and of the packages that decide what a run computes; one that is
        not installed is left out.
    """
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _cpu_brand() -> str:
    if _CPU_INFO_PATH.exists():
        for line in _CPU_INFO_PATH.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _gpus() -> list[dict[str, Any]]:
    if not torch.cuda.is_available():
        return []
    devices = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    return [{"name": device.name, "memory": device.total_memory} for device in devices]
