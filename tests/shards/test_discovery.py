import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest
import torch

from leyden.errors import ConfigError, DiscoveryError, MissingPathError, ShardError
from leyden.shards import Catalog, discover, formats, register_format
from leyden.types import Array, Rows

Write: TypeAlias = Callable[[Mapping[str, object]], Path]


def rows_of(catalog: Catalog, number: int) -> Array:
    return catalog.open_data(number).read(np.arange(catalog.lengths[number]))


class RawReader:
    """Bytes in pairs, without any header."""

    def __init__(self, path: Path) -> None:
        self._array = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 2)
        self.shape: tuple[int, ...] = self._array.shape
        self.dtype: np.dtype[Any] = self._array.dtype

    def read(self, rows: Rows) -> Array:
        return self._array[rows]


def test_a_folder_of_numbered_files_becomes_a_catalogue(write: Write) -> None:
    catalog = discover(str(write({"x_001.npy": 3, "x_002.npy": 2, "x_010.npy": 4})))
    assert catalog.lengths == {1: 3, 2: 2, 10: 4}
    assert [shard.data.path.name for shard in catalog.shards] == [
        "x_001.npy",
        "x_002.npy",
        "x_010.npy",
    ]
    np.testing.assert_array_equal(rows_of(catalog, 10), np.arange(8).reshape(4, 2))


def test_headers_are_read_and_rows_are_not(write: Write) -> None:
    folder = write({"a1.npz": {"x": np.zeros(3000)}})
    content = bytearray((folder / "a1.npz").read_bytes())
    content[12_000:12_008] = b"\xff" * 8
    write({"a1.npz": bytes(content)})
    assert discover(folder).num_samples == 3000


def test_one_row_may_be_a_single_number(write: Write) -> None:
    assert discover(write({"a1.npy": [1.0, 2.0]})).sample_shape == ()


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a1.csv", "1.5,2\n3,4\n", [[1.5, 2], [3, 4]]),
        ("a1.csv", "u,v\n1.5,2\n3,4\n", [[1.5, 2], [3, 4]]),
        ("a1.csv", b"\xef\xbb\xbfu,v\n1.5,2\n3,4\n", [[1.5, 2], [3, 4]]),
        ("a1.tsv", "u\tv\n1.5\t2\n", [[1.5, 2]]),
        ("a1.npz", {"signal": [[1, 2]]}, [[1, 2]]),
    ],
)
def test_tables_and_archives_are_shards(
    write: Write, name: str, content: object, expected: object
) -> None:
    catalog = discover(write({name: content}))
    assert rows_of(catalog, 1).tolist() == expected
    assert (catalog.sample_shape, catalog.has_labels) == ((2,), False)


def test_pattern_finds_numbers_that_are_not_last(write: Write) -> None:
    folder = write({"sub-01_eeg.npy": 1, "sub-02_eeg.npy": 2, "sub-01_ecg.npy": 5})
    catalog = discover(folder, pattern=r"sub-(?P<number>\d+)_eeg")
    assert catalog.lengths == {1: 1, 2: 2}
    assert dict(catalog.facts)["left out"] == "sub-01_ecg.npy"


def test_pattern_chooses_one_of_two_groups(write: Write) -> None:
    folder = write({"x_1.npy": 1, "x_2.npy": 1, "y_1.npy": 1})
    with pytest.raises(DiscoveryError, match="Expected one group of numbered files in"):
        discover(folder)
    assert discover(folder, pattern="x_*.npy").set_numbers == (1, 2)


def test_labels_can_be_declined(write: Write) -> None:
    catalog = discover(write({"a1.npz": {"x": [1], "y": [2]}, "labels.npy": [3]}), labels=None)
    assert (catalog.has_labels, catalog.label_dtype) == (False, None)
    assert dict(catalog.facts)["labels from"] == "nowhere, as asked"


def test_inputs_can_be_their_own_labels(write: Write) -> None:
    catalog = discover(write({"a1.npy": 2, "labels.npy": [0, 1]}), labels="inputs")
    np.testing.assert_array_equal(catalog.read_labels(1), rows_of(catalog, 1))
    assert (catalog.label_shape, catalog.label_dtype) == ((2,), np.dtype(np.float32))
    assert dict(catalog.facts)["labels from"] == "the inputs themselves, as asked"


@pytest.mark.parametrize("labels", [3, ["auto"], np.zeros(2)])
def test_labels_of_no_known_kind_are_refused(write: Write, labels: Any) -> None:
    expected = "`labels` to be 'auto', 'inputs', None or a path, but got"
    with pytest.raises(ConfigError, match=expected):
        discover(write({"a1.npy": 2}), labels=labels)


def test_a_missing_folder_suggests_its_nearest_sibling(write: Write) -> None:
    folder = write({"a1.npy": 1}).rename(write({}).with_name("signals"))
    (folder.parent / "other").mkdir()
    expected = (
        r"`path` to exist, but got '.*signal'\. Did you mean 'signals'\? Known: other, signals"
    )
    with pytest.raises(MissingPathError, match=expected):
        discover(folder.with_name("signal"))


def test_a_missing_parent_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match=r"There is no '.*gone' either"):
        discover(tmp_path / "gone" / "d")


def test_an_empty_folder_is_refused(write: Write) -> None:
    with pytest.raises(DiscoveryError, match=r"numbered files in .*d, .* but found no files"):
        discover(write({}))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (np.zeros((2, 3), np.float32), r"set 2: float32 \(3,\)"),
        (np.zeros((2, 2), np.float64), r"set 2: float64 \(2,\)"),
        (np.zeros(2, np.float32), r"set 2: float32 \(\)"),
    ],
)
def test_rows_that_differ_between_sets_name_both_files(
    write: Write, content: object, problem: str
) -> None:
    listing = rf"set 1: float32 \(2,\) in .*a1\.npy\n{problem} in .*a2\.npy$"
    with pytest.raises(ShardError, match=rf"rows of one shape and dtype .* differ\.\n{listing}"):
        discover(write({"a1.npy": 2, "a2.npy": content, "a3.npy": 1}))


def test_columns_in_another_order_are_refused(write: Write) -> None:
    listing = r"set 1: float64 \(2,\) u, v in .*\nset 2: float64 \(2,\) v, u in "
    with pytest.raises(ShardError, match=listing):
        discover(write({"a1.csv": "u,v\n1,2\n", "a2.csv": "v,u\n1,2\n"}))


def test_a_table_that_happens_to_hold_whole_numbers_is_like_the_others(write: Write) -> None:
    catalog = discover(write({"a1.csv": "u,v\n1,2\n", "a2.csv": "u,v\n0.5,2\n"}))
    assert (catalog.dtype, catalog.sample_shape) == (np.dtype(np.float64), (2,))


def test_arrays_of_another_name_are_refused(write: Write) -> None:
    listing = r"set 1: int64 \(\) x in .*\nset 2: int64 \(\) mask in "
    with pytest.raises(ShardError, match=listing):
        discover(write({"a1.npz": {"x": [1]}, "a2.npz": {"mask": [1]}}))


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a2.npy", b"garbage", r"Expected a \.npy header, but got"),
        ("a2.npy", b"", r"Expected a \.npy header, but got"),
        ("a2.npy", np.zeros((0, 2), np.float32), "Expected at least one row, but got none"),
        ("a2.npy", 3.5, "Expected rows along axis 0, but got a single number"),
        ("a2.npy", np.array(["a"]), "Expected numbers, but got words, which only labels may be"),
        ("a2.npz", b"garbage", r"Expected an \.npz archive, but it is damaged"),
        ("a2.npz", {}, "Expected one array, but got none"),
        ("a2.npz", {"y": [1]}, "Expected an array of inputs beside 'y'"),
        ("a2.npz", {"a": [1], "b": [1]}, "Expected one array of inputs in a shard, but got a, b"),
        ("a2.npz", {"x": [1], "y": [1], "label": [1]}, "one array of labels .* but got y, label"),
        ("a2.npz", {"x": [1], "y": 1}, "Expected rows along axis 0, but got a single number"),
        ("a2.csv", "", "Expected a table, but got an empty first line"),
        ("a2.csv", "name,age\nAda,36\n", "numbers in every column .* got text in 'name'"),
        ("a2.csv", "u,v\n1,1\n,2\n3,3\n", "every row of column 'u', but row 2 is empty"),
        ("a2.csv", "u,v\n1,2\n3,4,5\n", "Expected a table of numbers, but it cannot be parsed"),
    ],
)
def test_a_broken_shard_is_an_error_with_its_number_and_path(
    write: Write, name: str, content: object, problem: str
) -> None:
    folder = write({name: content})
    with pytest.raises(ShardError, match=rf"^Set 2: .*{problem}.* \(.*{name}\)$") as caught:
        discover(folder)
    assert (caught.value.set_number, caught.value.path) == (2, folder / name)


def test_a_truncated_shard_is_found_at_discovery(write: Write) -> None:
    folder = write({"a1.npy": 3, "a2.npy": 3})
    write({"a2.npy": (folder / "a2.npy").read_bytes()[:-1]})
    expected = r"^Set 2: Expected 152 bytes, as the header says, but got 151: truncated.*a2\.npy"
    with pytest.raises(ShardError, match=expected):
        discover(folder)


@pytest.mark.parametrize("name", ["a2.npy", "a2.npz", "a2.csv"])
def test_a_shard_that_cannot_be_read_is_an_error(write: Write, name: str) -> None:
    folder = write({})
    (folder / name).symlink_to(folder / "gone")
    with pytest.raises(ShardError, match=rf"^Set 2: .*got: No such file .* \(.*{name}\)$"):
        discover(folder)
    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises(ShardError, match=rf"^Set 2: .*got: Is a directory\. \(.*{name}\)$"):
        discover(folder)


def test_a_reader_opens_files_of_an_unknown_format(write: Write) -> None:
    folder = write({"a1.dat": b"\x01\x02\x03\x04", "a2.dat": b"\x05\x06", "labels.npy": [0, 1, 2]})
    catalog = discover(folder, reader=RawReader)
    assert (catalog.lengths, catalog.dtype) == ({1: 2, 2: 1}, np.dtype(np.uint8))
    assert rows_of(catalog, 1).tolist() == [[1, 2], [3, 4]]
    assert catalog.read_labels(2).tolist() == [2]


def test_a_reader_opens_inputs_that_are_labels(write: Write) -> None:
    catalog = discover(write({"a1.dat": b"\x01\x02"}), reader=RawReader, labels="inputs")
    assert catalog.read_labels(1).tolist() == [[1, 2]]


def test_a_reader_may_be_named_by_its_import_path(write: Write) -> None:
    catalog = discover(write({"a1.npy": 3}), reader="leyden.shards.readers.NpyReader")
    assert (catalog.num_samples, pickle.loads(pickle.dumps(catalog))) == (3, catalog)


def test_a_reader_comes_before_the_known_formats(write: Write) -> None:
    catalog = discover(write({"a1.csv": b"ab"}), reader=RawReader)
    assert rows_of(catalog, 1).tolist() == [[97, 98]]


def test_a_reader_that_fails_is_an_error_with_the_set_number(write: Write) -> None:
    expected = r"^Set 1: Expected an intact file, but got: cannot reshape .*\(.*a1\.dat\)$"
    with pytest.raises(ShardError, match=expected):
        discover(write({"a1.dat": b"odd"}), reader=RawReader)


def test_a_registered_format_needs_no_reader(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(formats._FORMATS, ".dat", formats._FORMATS[".npy"])  # undone afterwards
    register_format(".dat", RawReader)
    catalog = discover(write({"a1.dat": b"\x01\x02"}))
    assert rows_of(catalog, 1).tolist() == [[1, 2]]
    assert dict(catalog.facts)["shards"] == "a<number>.dat"


def with_make(shape: Any, dtype: Any) -> type[RawReader]:
    """Make a reader that says this of its array."""

    class Odd(RawReader):
        def __init__(self, path: Path) -> None:
            super().__init__(path)
            self.shape, self.dtype = shape, dtype

    return Odd


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reader": 5}, "Expected `reader` to be a function or its import path, but got 5"),
        ({"reader": with_make(4, np.uint8)}, r"a `shape` such as \(rows, 3\), but Odd has 4"),
        ({"reader": with_make((2, "2"), np.uint8)}, r"but Odd has \(2, '2'\). Make it that of"),
        (
            {"reader": with_make((2, 2), torch.uint8)},
            "`dtype` of NumPy's, but Odd has torch.uint8",
        ),
        ({"pattern": 5}, "Expected `pattern` to be text, but got 5. A `pattern` is a glob"),
        ({"path": None}, "Expected `path` to be the path of a folder or a file, but got None"),
    ],
)
def test_an_argument_of_another_kind_is_refused(
    write: Write, arguments: dict[str, Any], message: str
) -> None:
    folder = write({"a1.raw": b"1234"})
    with pytest.raises(ConfigError, match=message):
        discover(**{"path": folder, "reader": RawReader, **arguments})


@pytest.mark.parametrize("arguments", [(5, RawReader), (".wrong", 5)])
def test_what_is_no_format_is_not_registered(arguments: Any) -> None:
    with pytest.raises(ConfigError, match="but got 5"):
        register_format(*arguments)
    assert ".wrong" not in formats.known_extensions()


def test_numbers_that_torch_does_not_have_are_refused(write: Write) -> None:
    folder = write({"a1.npy": np.zeros((3, 2), np.longdouble)})
    with pytest.raises(ShardError, match=r"that PyTorch has, but got float.*\.astype\('float64'\)"):
        discover(folder)


def test_a_shard_of_more_than_one_array_is_refused(write: Write) -> None:
    folder = write({"a1.npy": 3})
    whole = (folder / "a1.npy").read_bytes()
    (folder / "a1.npy").write_bytes(2 * whole)
    expected = r"Set 1: Expected 152 bytes, .* but got 304: more than one array\. Save each array"
    with pytest.raises(ShardError, match=expected):
        discover(folder)


def test_columns_of_one_name_are_refused(write: Write) -> None:
    folder = write({"a1.csv": "a,a,b\n1,2,3\n"})
    with pytest.raises(ShardError, match=r"name once, but got 'a', 'a', 'b'\. Rename"):
        discover(folder)
    with pytest.raises(ShardError, match=r"name once, but got 'a', 'a', 'b'\. Rename"):
        discover(folder, inputs=["a"])
    assert rows_of(discover(folder, inputs={"x": ["b"]}), 1).tolist() == [[3]]
    table = pa.table([[1.0], [2.0]], ["a", "a"])
    pa_parquet.write_table(table, folder / "a1.parquet")
    with pytest.raises(ShardError, match=r"name once, but got 'a', 'a'\. Rename"):
        discover(folder, pattern="*.parquet")
