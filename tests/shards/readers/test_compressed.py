from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leyden.errors import ShardError
from leyden.shards.readers.base import ArrayReader, reading
from leyden.shards.readers.compressed import Lz4Reader, ZstdReader
from leyden.types import Array


def compress_lz4(content: bytes) -> bytes:
    compressed: bytes = pytest.importorskip("lz4.frame").compress(content)
    return compressed


def compress_zstd(content: bytes) -> bytes:
    compressed: bytes = pytest.importorskip("zstandard").compress(content)
    return compressed


def npy(array: Array, **options: Any) -> bytes:
    file = BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


both = pytest.mark.parametrize(
    ("name", "reader", "compress"),
    [("a1.npy.lz4", Lz4Reader, compress_lz4), ("a1.npy.zst", ZstdReader, compress_zstd)],
)
Compress = Callable[[bytes], bytes]


@both
def test_only_the_beginning_is_decompressed_for_the_header(
    tmp_path: Path, name: str, reader: type[ArrayReader], compress: Compress
) -> None:
    content = compress(npy(np.random.default_rng(0).normal(size=(100_000, 8))))
    (tmp_path / name).write_bytes(content[: len(content) * 9 // 10])
    opened = reader(tmp_path / name)  # type: ignore[call-arg, arg-type] # it is one of the two
    assert (opened.shape, opened.dtype) == ((100_000, 8), np.dtype(np.float64))
    with pytest.raises(ShardError, match=rf"Expected .*{name}\)"), reading(tmp_path / name):
        opened.read(np.array([0]))


@both
@pytest.mark.parametrize(
    "array", [np.asfortranarray(np.arange(6).reshape(3, 2)), np.array([[1, 2], [3, 4]], ">i2")]
)
def test_order_and_bytes_become_those_of_the_machine(
    tmp_path: Path, name: str, reader: Any, compress: Compress, array: Array
) -> None:
    (tmp_path / name).write_bytes(compress(npy(array)))
    found = reader(tmp_path / name).read(np.array([1, 0]))
    assert (found.dtype.isnative, found.tolist()) == (True, array[[1, 0]].tolist())


@both
def test_several_frames_are_one_stream(
    tmp_path: Path, name: str, reader: Any, compress: Compress
) -> None:
    content = npy(np.arange(1000))
    frames = compress(content[:3000]) + compress(content[3000:])
    (tmp_path / name).write_bytes(frames)
    assert reader(tmp_path / name).read(np.array([999, 500])).tolist() == [999, 500]


@both
def test_numbers_that_are_missing_are_noticed(
    tmp_path: Path, name: str, reader: Any, compress: Compress
) -> None:
    (tmp_path / name).write_bytes(compress(npy(np.zeros(10))[:-8]))
    expected = r"Expected 80 bytes of numbers, as the header says, but got 72: truncated\. \(.*a1"
    with pytest.raises(ShardError, match=expected):
        reader(tmp_path / name).read(np.array([0]))


@both
def test_objects_are_never_unpickled(
    tmp_path: Path, name: str, reader: Any, compress: Compress, trap: Array
) -> None:
    (tmp_path / name).write_bytes(compress(npy(trap, allow_pickle=True)))
    with pytest.raises(ShardError, match=r"but got Python objects"):
        reader(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


@both
def test_what_is_not_an_array_is_refused(
    tmp_path: Path, name: str, reader: Any, compress: Compress
) -> None:
    (tmp_path / name).write_bytes(compress(b"hello"))
    with pytest.raises(ShardError, match=r"Expected a \.npy header, but got"):
        reader(tmp_path / name)


def test_a_checksum_behind_the_numbers_is_verified(tmp_path: Path) -> None:
    lz4 = pytest.importorskip("lz4.frame")
    content = bytearray(lz4.compress(npy(np.arange(1000)), content_checksum=True))
    content[-1] ^= 0xFF
    path = tmp_path / "a1.npy.lz4"
    path.write_bytes(content)
    with pytest.raises(ShardError, match=r"Expected an intact file, .*hecksum"), reading(path):
        Lz4Reader(path).read(np.array([0]))


@both
@pytest.mark.parametrize(
    "content", [npy(np.zeros(10)) * 2, npy(np.zeros(10)) + b"x", npy(np.zeros(11))[:-1]]
)
def test_bytes_behind_the_numbers_are_noticed(
    tmp_path: Path, name: str, reader: Any, compress: Compress, content: bytes
) -> None:
    content = content.replace(b"(11,)", b"(10,)")
    (tmp_path / name).write_bytes(compress(content))
    expected = r"Expected 80 bytes of numbers, as the header says, but got more: more than one ar.*"
    with pytest.raises(ShardError, match=rf"{expected}\. Save each array in a file of its own\. "):
        reader(tmp_path / name).read(np.array([0]))


@both
def test_a_header_that_claims_more_than_there_is_memory_is_damage(
    tmp_path: Path, name: str, reader: Any, compress: Compress
) -> None:
    content = npy(np.zeros(10)).replace(b"(10,), }" + b" " * 14, b"(9000000000000000,), }")
    (tmp_path / name).write_bytes(compress(content))
    expected = r"Expected 72000000000000000 bytes of numbers, as the header says, but got 80: "
    with pytest.raises(ShardError, match=expected):
        reader(tmp_path / name).read(np.array([0]))


@both
def test_memory_that_is_short_is_not_called_damage(
    tmp_path: Path, name: str, reader: Any, compress: Compress, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise MemoryError

    (tmp_path / name).write_bytes(compress(npy(np.zeros(10))))
    opened = reader(tmp_path / name)
    monkeypatch.setattr(np, "empty", refuse)
    with pytest.raises(MemoryError) as caught, reading(tmp_path / name):
        opened.read(np.array([0]))
    assert caught.value.__notes__ == [f"while reading {tmp_path / name}"]


@pytest.mark.parametrize("write_checksum", [True, False])
def test_the_end_of_a_frame_is_not_to_be_missing(tmp_path: Path, write_checksum: bool) -> None:
    zstandard = pytest.importorskip("zstandard")
    pressed = zstandard.ZstdCompressor(write_checksum=write_checksum).compressobj()
    content = pressed.compress(npy(np.arange(9))) + pressed.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    content += pressed.flush()  # whose block is empty, and comes before the checksum
    path = tmp_path / "a1.npy.zst"
    for missing in range(1, 8 if write_checksum else 4):
        path.write_bytes(content[:-missing])
        with pytest.raises(ShardError, match=r"Expected an intact file, .*zst"):
            ZstdReader(path).read(np.array([0]))
    path.write_bytes(content)
    assert ZstdReader(path).read(np.array([8])).tolist() == [8]
