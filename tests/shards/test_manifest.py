import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from leyden.data import AutoDataModule
from leyden.errors import DataError, MissingPathError, ShardError
from leyden.shards import discover, find_manifest, pack, read_manifest, verify_pack


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    pack_again(tmp_path / "d")
    return tmp_path / "d"


def pack_again(folder: Path) -> None:
    pack(np.arange(20.0).reshape(10, 2), folder, labels=["cat", "dog"] * 5, rows_per_shard=4)


def test_a_folder_that_nobody_touched_is_as_it_was_packed(packed: Path) -> None:
    (packed / "README.md").write_text("other files are nobody's business")
    verify_pack(packed)


def test_all_that_differs_is_told_at_once(packed: Path) -> None:
    (packed / "sample__1.npy").unlink()
    (packed / "labels" / "sample__2.npy").write_bytes(b"short")
    content = bytearray((packed / "sample__3.npy").read_bytes())
    content[-1] ^= 1
    (packed / "sample__3.npy").write_bytes(content)
    np.save(packed / "sample__4.npy", np.zeros(3))
    with pytest.raises(ShardError, match="as they were packed, but:\n") as caught:
        verify_pack(packed)
    assert str(caught.value).splitlines()[1:] == [
        "sample__1.npy: missing",
        "labels/sample__2.npy: 5 bytes instead of 160",
        "sample__3.npy: other content",
        "sample__4.npy: not in the manifest",
        "Put the files back, or remove the folder and pack again. Move others elsewhere.",
    ]


@pytest.mark.parametrize(
    "name", ["labels.npy", "labels.csv", "labels/sample__4.npy", "labels/a.npz"]
)
def test_labels_that_were_not_packed_are_told(packed: Path, name: str) -> None:
    (packed / name).write_text("1\n")
    (packed / "labels" / "README.md").write_text("other files are nobody's business")
    with pytest.raises(ShardError, match=f"\n{name}: not in the manifest\n"):
        verify_pack(packed)


@pytest.mark.parametrize("name", ["sample__2.npy", "labels/sample__2.npy", "labels"])
def test_a_packed_folder_is_not_used_without_what_it_has_lost(packed: Path, name: str) -> None:
    path = packed / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(DataError, match=r"sample__2.npy|sets 2\n"):
        discover(packed)
    with pytest.raises(ShardError, match=rf"some are missing:\n{name}"):
        pack_again(packed)
    (packed / "manifest.json").unlink()
    for other in packed.rglob("sample__2.npy"):
        other.unlink()
    assert discover(packed).num_samples == 6


def test_all_that_a_packed_folder_has_lost_is_told(packed: Path) -> None:
    for number in (1, 3):
        (packed / f"sample__{number}.npy").unlink()
    expected = (
        r"Expected the files of .*d that were packed, but some are missing:\nsample__1.npy\n"
        r"sample__3.npy\nPut them back, or remove the folder and pack again\. To do without them,"
        r" remove .*manifest\.json, which has names of classes too\."
    )
    with pytest.raises(ShardError, match=expected):
        discover(packed)
    with pytest.raises(ShardError, match=expected):
        discover(packed, pattern="sample__2.npy", labels=None)


def test_a_packed_folder_may_be_used_in_part(packed: Path) -> None:
    assert discover(packed, pattern="sample__[12].npy", labels=None).set_numbers == (1, 2)
    shutil.rmtree(packed / "labels")
    assert not discover(packed, labels=None).has_labels
    np.save(packed / "labels.npy", np.zeros(10))
    assert discover(packed).has_labels


def test_a_manifest_of_somebody_else_says_nothing_of_shards(tmp_path: Path) -> None:
    np.save(tmp_path / "a1.npy", np.zeros((3, 2)))
    (tmp_path / "manifest.json").write_text('{"name": "app", "files": ["a2.npy"]}')
    assert discover(tmp_path, labels=None).set_numbers == (1,)


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "app"}',
        '{"audio": "a.wav", "duration": 1.0}\n{"audio": "b.wav", "duration": 2.0}\n',
        '{"version": "1.0", "files": ["a1.npy"]}',
        "\udcff",
    ],
)
def test_data_beside_a_manifest_of_somebody_else_is_used_as_ever(tmp_path: Path, text: str) -> None:
    np.save(tmp_path / "a1.npy", np.zeros((3, 2)))
    (tmp_path / "labels").mkdir()
    np.save(tmp_path / "labels" / "a1.npy", np.arange(3))
    (tmp_path / "manifest.json").write_text(text, errors="surrogateescape")
    assert find_manifest(tmp_path) is None
    catalog = discover(tmp_path)
    assert (catalog.column_names, catalog.label_names) == (None, None)
    assert "3 classes" in catalog.describe()
    data = AutoDataModule(tmp_path)
    data.setup("fit")
    assert "classes" not in data.state_dict()
    with pytest.raises(DataError, match=r"`path` to be a new or an empty folder"):
        pack(np.zeros((3, 2)), tmp_path)


def test_a_file_that_cannot_be_read_is_told(packed: Path) -> None:
    path = packed / "sample__1.npy"
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(ShardError, match=r"sample__1.npy: cannot be read: Too many levels"):
        verify_pack(packed)


def test_a_long_list_is_cut(tmp_path: Path) -> None:
    pack(np.zeros((60, 1)), tmp_path / "d", rows_per_shard=1)
    for path in (tmp_path / "d").glob("*.npy"):
        path.unlink()
    with pytest.raises(ShardError, match=r"sample__50.npy: missing\n... and 10 more\nPut"):
        verify_pack(tmp_path / "d")


def test_the_names_of_classes_are_kept(packed: Path) -> None:
    assert read_manifest(packed).class_names == ("cat", "dog")


def test_a_folder_without_a_manifest_cannot_be_verified(tmp_path: Path) -> None:
    with pytest.raises(
        MissingPathError, match=r"Expected a manifest.json in .*, but there is none"
    ):
        verify_pack(tmp_path)


def to_list(text: str) -> str:
    return json.dumps(list(json.loads(text)))


def without_files(text: str) -> str:
    return json.dumps({**json.loads(text), "files": {"x.npy": {}}})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", True),
        ("base", None),
        ("class_names", 3),
        ("class_names", "ab"),
        ("class_names", [1, 2]),
        ("column_names", 5),
        ("num_rows", -1),
        ("files", []),
    ],
)
def test_a_damaged_manifest_is_refused_before_the_data_is_used(
    packed: Path, key: str, value: object
) -> None:
    path = packed / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    expected = rf"an intact manifest, but .*manifest.json cannot be read: '{key}' is .*\. Put it"
    for use in (discover, verify_pack, find_manifest, read_manifest):
        with pytest.raises(DataError, match=expected):
            use(packed)


@pytest.mark.parametrize(
    "change",
    [
        {"class_names": ["dog", "cat"]},
        {"class_names": ["cat"]},
        {"num_rows": 9},
        {"source": {}},
        {"checksum": None},
    ],
)
def test_a_manifest_that_was_changed_is_told(packed: Path, change: dict[str, object]) -> None:
    path = packed / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ShardError, match=r"were packed, but:\nmanifest\.json: other content"):
        verify_pack(packed)


def test_no_flipped_bit_of_a_manifest_goes_unnoticed(packed: Path) -> None:
    path = packed / "manifest.json"
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(DataError, match=r"manifest|as they were packed"):
            verify_pack(packed)


def test_a_manifest_of_before_there_was_a_digest_is_read_and_verified(packed: Path) -> None:
    path = packed / "manifest.json"
    content = json.loads(path.read_text())
    del content["checksum"], content["column_names"]
    path.write_text(json.dumps(content))
    verify_pack(packed)
    pack_again(packed)
    assert discover(packed).label_names == ("cat", "dog")


@pytest.mark.parametrize("damage", [lambda text: text[:50], to_list, without_files])
def test_a_damaged_manifest_is_told(packed: Path, damage: Callable[[str], str]) -> None:
    path = packed / "manifest.json"
    path.write_text(damage(path.read_text()))
    with pytest.raises(DataError, match=r"an intact manifest, but .*manifest.json cannot be read"):
        read_manifest(packed)


def test_a_manifest_of_a_later_version_is_refused(packed: Path) -> None:
    path = packed / "manifest.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(DataError, match=r"of version 1, but got 2 in .*Use the version of leyden"):
        read_manifest(packed)
