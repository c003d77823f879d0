import json
import pickle
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from typing_extensions import override

from leyden.errors import DataError, MissingPathError
from leyden.experiment.archive import read_archive, write_archive

WEIGHTS = {"a.b": torch.arange(6.0).reshape(2, 3), "c": torch.tensor(7)}
SPEC = {"name": "some", "sizes": [1, 2.5, None], "learned": {"mean_": torch.ones(3).double()}}


class Bomb:
    """Leaves a trace when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @override
    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_archive(tmp_path / "x.zip", SPEC, WEIGHTS)
    return tmp_path / "x.zip"


def rewrite(file: Path, change: Callable[[dict[str, bytes]], object]) -> None:
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)


def test_what_is_written_is_read(file: Path) -> None:
    spec, weights = read_archive(file)
    assert {name: spec[name] for name in ("name", "sizes")} == {
        "name": "some",
        "sizes": [1, 2.5, None],
    }
    learned: Tensor = spec["learned"]["mean_"]
    assert learned.dtype == torch.float64
    assert learned.tolist() == [1, 1, 1]
    assert all(torch.equal(weights[name], WEIGHTS[name]) for name in WEIGHTS)


def test_tensors_that_share_memory_are_each_written(tmp_path: Path) -> None:
    shared = torch.zeros(4)
    write_archive(tmp_path / "x.zip", {}, {"a": shared, "b": shared, "c": shared[::2]})
    assert {name: len(value) for name, value in read_archive(tmp_path / "x.zip")[1].items()} == {
        "a": 4,
        "b": 4,
        "c": 2,
    }


def test_the_same_content_is_the_same_file(file: Path, tmp_path: Path) -> None:
    write_archive(tmp_path / "y.zip", SPEC, WEIGHTS)
    assert file.read_bytes() == (tmp_path / "y.zip").read_bytes()


def test_a_file_stays_until_another_is_whole(file: Path, tmp_path: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_archive(file, {"object": object()}, WEIGHTS)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil.txt", "which leads out of the file"),
        ("a/../../evil.txt", "which leads out of the file"),
        ("..\\evil.txt", "which leads out of the file"),
        ("/etc/evil.txt", "which is an absolute path"),
        ("C:\\evil.txt", "which is an absolute path"),
        ("model.pkl", "which is a pickle, and would be run"),
        ("weights.PT", "which is a pickle, and would be run"),
        ("notes.txt", "which no experiment has"),
    ],
)
def test_a_part_that_no_experiment_has_is_refused(file: Path, name: str, reason: str) -> None:
    rewrite(file, lambda members: members.update({name: b"evil"}))
    with pytest.raises(DataError, match=rf"{reason}. Do not use the file"):
        read_archive(file)
    assert [path.name for path in file.parent.iterdir()] == ["x.zip"]


def test_a_link_is_refused(file: Path) -> None:
    info = zipfile.ZipInfo("weights.safetensors")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(file.with_name("link.zip"), "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match=r"got 'weights[.]safetensors', which is a link"):
        read_archive(file.with_name("link.zip"))


@pytest.mark.parametrize("name", ["weights.safetensors", "experiment.json"])
def test_a_pickle_under_another_name_is_never_unpickled(file: Path, name: str) -> None:
    trace = file.with_name("trace")
    bomb = pickle.dumps(Bomb(trace))
    rewrite(file, lambda members: members.update({name: bomb}))
    with pytest.raises(DataError, match="holds something else"):
        read_archive(file)
    assert not trace.exists()
    pickle.loads(bomb)
    assert trace.exists()  # it would have gone off


def test_a_part_that_is_compressed_is_refused_unread(file: Path) -> None:
    with zipfile.ZipFile(file.with_name("bomb.zip"), "w") as archive:
        archive.writestr("experiment.json", b"0" * (32 << 20), zipfile.ZIP_DEFLATED)
    assert file.with_name("bomb.zip").stat().st_size < 1 << 16
    with pytest.raises(DataError, match="which is compressed, and could fill the memory"):
        read_archive(file.with_name("bomb.zip"))


@pytest.mark.parametrize("claimed", [1 << 31, 3])
def test_a_part_that_claims_another_size_than_it_has_is_refused(file: Path, claimed: int) -> None:
    content = bytearray(file.read_bytes())
    entry = content.index(b"PK\x01\x02")  # of the first part, in the list at the end
    struct.pack_into("<I", content, entry + 24, claimed)
    file.write_bytes(content)
    with pytest.raises(DataError, match="which is compressed, and could fill the memory"):
        read_archive(file)
    struct.pack_into("<I", content, entry + 20, claimed)  # both sizes
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"too long|claim|damaged|something else"):
        read_archive(file)


def test_parts_that_lie_over_each_other_are_refused(tmp_path: Path) -> None:
    big = {"weights.safetensors": b"0" * 5000, "preprocessors.safetensors": b"0" * 5000}
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name, content in {"experiment.json": b"{}" * 9000, **big}.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    content = (tmp_path / "x.zip").read_bytes()
    kept = content[: content.index(b"PK\x03\x04", 4)]  # the first part only, and all of the list
    (tmp_path / "x.zip").write_bytes(kept + content[content.index(b"PK\x01\x02") :])
    with pytest.raises(DataError, match=r"fit into its .* bytes, but they claim|damaged"):
        read_archive(tmp_path / "x.zip")


def test_a_part_may_not_come_twice_or_be_missing(file: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(file, "a") as archive:
        archive.writestr(zipfile.ZipInfo("experiment.json"), b"{}")
    with pytest.raises(DataError, match=r"each once, but got experiment[.]json, weights"):
        read_archive(file)
    with zipfile.ZipFile(file, "w"):
        pass
    with pytest.raises(DataError, match="each once, but got nothing"):
        read_archive(file)


@pytest.mark.parametrize("version", [2, "1", None])
def test_another_version_is_refused(file: Path, version: object) -> None:
    def change(members: dict[str, bytes]) -> None:
        spec = json.loads(members["experiment.json"])
        members["experiment.json"] = json.dumps({**spec, "version": version}).encode()

    rewrite(file, change)
    with pytest.raises(DataError, match=rf"of version 1, but .* has {version!r}. Use the leyden"):
        read_archive(file)


@pytest.mark.parametrize("text", [b"[]", b'{"version": 1}', b"[" * 100_000, b"{", b"\xff\xfe"])
def test_a_description_of_something_else_is_refused(file: Path, text: bytes) -> None:
    rewrite(file, lambda members: members.update({"experiment.json": text}))
    with pytest.raises(DataError, match=r"something else"):
        read_archive(file)


def test_damage_is_found_wherever_it_is(file: Path) -> None:
    whole = file.read_bytes()
    places, num_found = range(0, len(whole), 37), 0
    for place in places:
        broken = bytearray(whole)
        broken[place] ^= 0xFF
        file.write_bytes(broken)
        try:
            spec, weights = read_archive(file)
        except DataError:
            num_found += 1
            continue
        # What was hit means nothing, such as a date.
        assert spec["sizes"] == [1, 2.5, None]
        assert all(torch.equal(weights[name], WEIGHTS[name]) for name in WEIGHTS)
    assert num_found > len(places) / 2


def test_a_file_that_is_cut_short_is_refused(file: Path) -> None:
    whole = file.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(DataError, match="Expected an intact experiment, but"):
            read_archive(file)


def test_a_file_that_is_not_there_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="Expected a saved experiment, but there is no file"):
        read_archive(tmp_path / "x.zip")
