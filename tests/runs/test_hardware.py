"""What a run runs on."""

import json
import os
import platform
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch

import leyden
from leyden.runs import hardware, hardware_info, versions


def test_hardware_names_platform_and_cpu() -> None:
    info = hardware_info()
    assert info["platform"] == platform.platform()
    assert info["cpu"]["brand"]
    assert info["cpu"]["cores"] == os.cpu_count()
    assert info["cpu"]["memory"] == psutil.virtual_memory().total


def test_hardware_fits_in_json() -> None:
    assert json.loads(json.dumps(hardware_info())) == hardware_info()


def test_gpu_list_is_empty_without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert hardware_info()["gpu"] == []


def test_every_gpu_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    properties = [SimpleNamespace(name=f"gpu{i}", total_memory=1024 * i) for i in range(2)]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties.__getitem__)
    expected = [{"name": "gpu0", "memory": 0}, {"name": "gpu1", "memory": 1024}]
    assert hardware_info()["gpu"] == expected


@pytest.mark.gpu
def test_a_real_gpu_has_a_name_and_memory() -> None:
    for gpu in hardware_info()["gpu"]:
        assert gpu["name"]
        assert gpu["memory"] > 2**30


def test_cpu_brand_is_read_where_linux_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nmodel name\t: Fast: CPU\n")
    monkeypatch.setattr(hardware, "_CPU_INFO_PATH", path)
    assert hardware_info()["cpu"]["brand"] == "Fast: CPU"


def test_cpu_brand_without_that_file_comes_from_the_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "_CPU_INFO_PATH", tmp_path / "missing")
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert hardware_info()["cpu"]["brand"] == platform.machine()


def test_versions_are_those_installed() -> None:
    found = versions()
    assert found["python"] == platform.python_version()
    assert found["torch"] == torch.__version__
    assert found["numpy"] == np.__version__
    assert found["leyden"] == leyden.__version__
    assert {"lightning", "torchmetrics", "hydra-core", "omegaconf"} <= set(found)


def test_a_package_that_is_missing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_PACKAGES", ("no-such-package",))
    assert list(versions()) == ["python"]


def test_cpu_brand_is_never_empty_handed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("Hardware\t: an ARM board names no model\n")
    monkeypatch.setattr(hardware, "_CPU_INFO_PATH", path)
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    assert hardware_info()["cpu"]["brand"] == "arm"
