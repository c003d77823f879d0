import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from leyden.errors import ShardError
from leyden.shards.readers.base import reading
from leyden.shards.readers.safetensors import SafetensorsReader, _parse_header, safetensors_keys

GOOD = {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


def write(path: Path, header: object, numbers: bytes = bytes(8)) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + numbers)
    return path


def test_arrays_are_mapped(tmp_path: Path) -> None:
    path = tmp_path / "a1.safetensors"
    save_file({"x": torch.arange(6.0).reshape(3, 2), "y": torch.tensor([1, 0, 1])}, path)
    reader = SafetensorsReader(path, "x")
    assert reader.is_mapped
    assert reader.read(np.array([2, 0])).tolist() == [[4, 5], [0, 1]]
    assert SafetensorsReader(path, "y").read(np.array([0])).tolist() == [1]


@pytest.mark.parametrize(
    "dtype",
    [
        *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
        *(torch.float16, torch.float32, torch.float64, torch.complex64),
    ],
)
def test_every_kind_of_number_is_read(tmp_path: Path, dtype: torch.dtype) -> None:
    tensor = torch.tensor([0, 1, 3]).to(dtype)
    save_file({"x": tensor}, tmp_path / "a1.safetensors")
    found = SafetensorsReader(tmp_path / "a1.safetensors").read(np.arange(3))
    assert found.dtype == tensor.numpy().dtype
    assert found.tolist() == tensor.tolist()


def test_bfloat16_is_read_as_float32(tmp_path: Path) -> None:
    tensor = torch.tensor([[1.5, -2.25], [3e38, 0.1]], dtype=torch.bfloat16)
    save_file({"x": tensor}, tmp_path / "a1.safetensors")
    reader = SafetensorsReader(tmp_path / "a1.safetensors")
    assert (reader.shape, reader.dtype) == ((2, 2), np.dtype(np.float32))
    np.testing.assert_array_equal(reader.read(np.array([1, 0])), tensor.float().numpy()[[1, 0]])


def test_a_type_that_numpy_lacks_is_refused(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(2).to(torch.float8_e4m3fn)}, tmp_path / "a1.safetensors")
    expected = r"that NumPy has, but got F8_E4M3 in 'x'\. Save it as float32\. \(.*a1\.safetensors"
    with pytest.raises(ShardError, match=expected):
        SafetensorsReader(tmp_path / "a1.safetensors")


def test_the_header_is_parsed_once(tmp_path: Path) -> None:
    path = tmp_path / "a1.safetensors"
    save_file({str(i): torch.tensor([i]) for i in range(20)}, path, {"note": "no array"})
    _parse_header.cache_clear()
    assert len(safetensors_keys(path)) == 20
    for i in range(20):
        assert SafetensorsReader(path, str(i)).read(np.array([0])).tolist() == [i]
    assert _parse_header.cache_info().misses == 1


def test_an_array_that_is_not_there_is_named(tmp_path: Path) -> None:
    save_file({"images": torch.zeros(1), "masks": torch.zeros(1)}, tmp_path / "a1.safetensors")
    with pytest.raises(ShardError, match=r"array 'image'\. Did you mean 'images'\?"):
        SafetensorsReader(tmp_path / "a1.safetensors", "image")
    with pytest.raises(ShardError, match="Expected one array, but got images, masks"):
        SafetensorsReader(tmp_path / "a1.safetensors")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a1.safetensors", GOOD, bytes(7))
    expected = path.stat().st_size + 1
    message = rf"Expected {expected} bytes, .* but got {expected - 1}: truncated\. \(.*a1\.safet"
    with pytest.raises(ShardError, match=message):
        SafetensorsReader(path)


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (b"no json at all", "Expected an intact file, but got: Expecting value"),
        (b"[" * 100_000, "Expected an intact file, but got: "),
        (["x"], "Expected a .safetensors header, but got: TypeError"),
        ({"x": 3}, "Expected a .safetensors header, but got: TypeError"),
        ({"x": {"dtype": "F32", "shape": [2]}}, "header, but got: KeyError.'data_offsets'"),
        ({"x": GOOD["x"] | {"shape": "ab"}}, "Expected an intact file, but got: invalid literal"),
        ({"x": GOOD["x"] | {"shape": [-2]}}, "Expected an intact file, .* negative numbers in"),
        ({"x": GOOD["x"] | {"data_offsets": [-8, 0]}}, "negative numbers in"),
        ({"x": GOOD["x"] | {"data_offsets": [0, 8, 16]}}, "too many values to unpack"),
        ({"x": GOOD["x"] | {"shape": [3]}}, "Expected 'x' to have 12 bytes, but the header says 8"),
        ({"x": GOOD["x"] | {"data_offsets": [8, 0]}}, "to have 8 bytes, but the header says -8"),
    ],
)
def test_a_damaged_header_is_refused(tmp_path: Path, header: object, problem: str) -> None:
    path = write(tmp_path / "a1.safetensors", header)
    with pytest.raises(ShardError, match=rf"{problem}.*\(.*a1\.safetensors\)$"), reading(path):
        SafetensorsReader(path)


def test_a_header_longer_than_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a1.safetensors").write_bytes(struct.pack("<Q", 2**60) + b"{}")
    with pytest.raises(ShardError, match="header of 1152921504606846976 bytes, but got 10 in all"):
        SafetensorsReader(tmp_path / "a1.safetensors")
