from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

from leyden.errors import DiscoveryError, FormatError, MissingPathError, ShardError
from leyden.shards import Catalog, discover
from leyden.shards.labels import LabelSource, check_labels, find_labels, locate_labels
from leyden.shards.pieces import Piece

Write: TypeAlias = Callable[[Mapping[str, object]], Path]

TWO_SETS: dict[str, object] = {"a1.npy": 3, "a2.npy": 2}
FIVE = {1: [0, 1, 2], 2: [1, 0]}  # the labels of their rows


def labels_of(catalog: Catalog) -> dict[int, object]:
    return {number: catalog.read_labels(number).tolist() for number in catalog.set_numbers}


def rule_of(catalog: Catalog) -> str:
    return dict(catalog.facts)["labels from"]


@pytest.mark.parametrize("name", ["y", "label", "labels", "target", "targets", "Y"])
def test_an_array_inside_an_archive_is_taken_for_labels(write: Write, name: str) -> None:
    shards = {f"a{i}.npz": {"x": np.zeros((len(y), 4)), name: y} for i, y in FIVE.items()}
    catalog = discover(write(shards))
    assert (labels_of(catalog), catalog.sample_shape) == (FIVE, (4,))
    assert rule_of(catalog) == "the shards themselves"


@pytest.mark.parametrize("name", ["y", "label", "labels", "target", "targets"])
def test_a_column_of_a_table_is_taken_for_labels(write: Write, name: str) -> None:
    folder = write({"a1.csv": f"u,{name},v\n1,7,2\n3,8,4\n"})
    catalog = discover(folder)
    assert labels_of(catalog) == {1: [7, 8]}
    assert catalog.open_data(1).read(np.arange(2)).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    "files",
    [
        {"labels.npz": {"1": FIVE[1], "2": FIVE[2]}},
        {"labels.npz": {"02": FIVE[2], "01": FIVE[1]}},
        {"labels.npz": {"arr_0": [0, 1, 2, 1, 0]}},
        {"labels.npz": {"labels": [0, 1, 2, 1, 0], "weights": [0.5]}},
        {"labels.npy": [0, 1, 2, 1, 0]},
        {"labels.csv": "1,2\n0,1\n1,0\n2,\n"},
        {"labels.csv": "01,02\n0,1\n1,0\n2,\n"},
        {"labels.csv": "label\n0\n1\n2\n1\n0\n"},
        {"labels.csv": "file,label\na,0\na,1\na,2\nb,1\nb,0\n"},
        {"labels.csv": "0\n1\n2\n1\n0\n"},
        {"labels.tsv": "1\t2\n0\t1\n1\t0\n2\t\n"},
        {"labels/1.npy": FIVE[1], "labels/2.npy": FIVE[2]},
        {"labels/y_001.npy": FIVE[1], "labels/y_002.npy": FIVE[2]},
        {"labels/1.csv": "0\n1\n2\n", "labels/2.csv": "1\n0\n"},
        {"labels/1.csv": "id,label\n7,0\n8,1\n9,2\n", "labels/2.csv": "id,label\n5,1\n6,0\n"},
        {"labels/1.npz": {"arr_0": FIVE[1]}, "labels/2.npz": {"arr_0": FIVE[2]}},
        {"../d_labels.npz": {"1": FIVE[1], "2": FIVE[2]}},
        {"../d_labels.csv": "1,2\n0,1\n1,0\n2,\n"},
        {"../d_labels.npy": [0, 1, 2, 1, 0]},
        {"../d_labels/1.npy": FIVE[1], "../d_labels/2.npy": FIVE[2]},
    ],
)
def test_labels_are_found_in_every_place(write: Write, files: Mapping[str, object]) -> None:
    catalog = discover(write({**TWO_SETS, **files}))
    assert labels_of(catalog) == FIVE
    assert (catalog.label_shape, catalog.num_classes) == ((), 3)
    assert "left out" not in dict(catalog.facts)


def test_a_first_label_that_is_a_set_number_is_no_heading(write: Write) -> None:
    catalog = discover(write({"a1.npy": 3, "a2.npy": 2, "labels.csv": "1\n0\n2\n2\n1\n"}))
    assert labels_of(catalog) == {1: [1, 0, 2], 2: [2, 1]}


def test_one_column_can_be_headed_by_the_only_set(write: Write) -> None:
    catalog = discover(write({"a1.npy": 3, "labels.csv": "1\n0\n2\n2\n"}))
    assert labels_of(catalog) == {1: [0, 2, 2]}


def test_columns_of_labels_may_be_headed_by_set_numbers_from_zero(write: Write) -> None:
    labels = {"labels.csv": "0,1,2\n0,1,2\n1,0,\n"}
    catalog = discover(write({"a0.npy": 2, "a1.npy": 2, "a2.npy": 1, **labels}))
    assert labels_of(catalog) == {0: [0, 1], 1: [1, 0], 2: [2]}


def test_truth_values_without_a_heading_are_labels(write: Write) -> None:
    catalog = discover(write({**TWO_SETS, "labels.csv": "true\nfalse\ntrue\ntrue\nfalse\n"}))
    assert labels_of(catalog) == {1: [True, False, True], 2: [True, False]}


def test_labels_stored_set_by_set_are_found(write: Write) -> None:
    folder = write({"a3.npy": 2, "a5.npy": 2, "a9.npy": 2, "labels.npy": [[0, 1], [2, 3], [4, 5]]})
    catalog = discover(folder)
    assert labels_of(catalog) == {3: [0, 1], 5: [2, 3], 9: [4, 5]}
    assert (catalog.label_shape, catalog.num_classes) == ((), 6)
    assert catalog.open_labels(5).read(np.array([1, 0, 1])).tolist() == [3, 2, 3]


@pytest.mark.parametrize("num_rows", [1, 2])
def test_labels_of_rows_stored_set_by_set_are_stored_so_too(write: Write, num_rows: int) -> None:
    labels = np.arange(3 * num_rows).reshape(3, num_rows)
    folder = write({"all.npy": np.zeros((3, num_rows, 4)), "all_labels.npy": labels})
    catalog = discover(folder / "all.npy", leading_axis="sets")
    assert catalog.label_shape == ()
    assert list(labels_of(catalog).values()) == labels.tolist()
    assert discover(write({"all.npy": np.zeros((3, 4))}) / "all.npy").label_shape == (num_rows,)


def test_a_row_of_labels_for_each_row_is_found(write: Write) -> None:
    labels = np.arange(20).reshape(5, 4)
    catalog = discover(write(TWO_SETS | {"labels.npy": labels}))
    assert labels_of(catalog) == {1: labels[:3].tolist(), 2: labels[3:].tolist()}
    assert catalog.label_shape == (4,)


def test_aligned_labels_follow_the_set_numbers_not_the_names(write: Write) -> None:
    catalog = discover(write({"a10.npy": 1, "a9.npy": 2, "labels.npy": [0, 1, 2]}))
    assert labels_of(catalog) == {9: [0, 1], 10: [2]}


PLACES: list[tuple[str, dict[str, object]]] = [
    ("the file labels.npy", {"labels.npy": [0, 0]}),
    ("the folder labels/", {"labels/1.npy": [1, 1]}),
    ("the file d_labels.csv", {"../d_labels.csv": "label\n2\n2\n"}),
    ("the folder d_labels/", {"../d_labels/1.npy": [3, 3]}),
]


@pytest.mark.parametrize("first", range(4))
def test_an_earlier_place_comes_before_the_later(write: Write, first: int) -> None:
    files = {name: content for _, place in PLACES[first:] for name, content in place.items()}
    catalog = discover(write({"a1.npy": 2, **files}))
    assert rule_of(catalog) == PLACES[first][0]
    assert labels_of(catalog) == {1: [first, first]}


def test_labels_inside_the_shards_come_before_all(write: Write) -> None:
    folder = write({"a1.npz": {"x": [1, 2], "y": [7, 7]}, "labels.npy": [0, 0]})
    catalog = discover(folder)
    assert labels_of(catalog) == {1: [7, 7]}
    assert dict(catalog.facts)["left out"] == "labels.npy"


@pytest.mark.parametrize(
    ("path", "content"),
    [("targets.npy", [5, 6]), ("targets7.npy", [5, 6]), ("b9.npz", {"1": [5, 6]})],
)
def test_an_explicit_file_may_lie_among_the_shards(
    write: Write, path: str, content: object
) -> None:
    folder = write({"a1.npy": 2, path: content, "labels.npy": [0, 0]})
    catalog = discover(folder, labels=folder / path)
    assert (labels_of(catalog), catalog.set_numbers) == ({1: [5, 6]}, (1,))
    assert rule_of(catalog) == f"`labels`: {folder / path}"
    assert dict(catalog.facts)["left out"] == "labels.npy"


def test_an_explicit_folder_may_hold_more_sets(write: Write) -> None:
    folder = write({"a2.npy": 2, "other/1.npy": [0], "other/2.npy": [5, 6], "other/3.npy": [0]})
    assert labels_of(discover(folder, labels=str(folder / "other"))) == {2: [5, 6]}


def test_an_explicit_path_must_exist(write: Write) -> None:
    folder = write({"a1.npy": 2})
    expected = r"`labels` to exist, but got 'input'\. Pass 'auto', 'inputs', None or the path"
    with pytest.raises(MissingPathError, match=expected):
        discover(folder, labels="input")
    with pytest.raises(MissingPathError, match="`labels` to exist, but got"):
        locate_labels(LabelSource(folder / "gone", ""), {1: 2})


def test_an_explicit_file_of_unknown_format_is_refused(write: Write) -> None:
    folder = write({"a1.npy": 2, "classes.txt": "0\n1\n"})
    with pytest.raises(FormatError, match=r"known format, but got 'classes\.txt'"):
        discover(folder, labels=folder / "classes.txt")


@pytest.mark.parametrize(
    "files",
    [
        {"labels.npy": [0], "labels.csv": "0\n"},
        {"../d_labels.npy": [0], "../d_labels.csv": "0\n"},
    ],
)
def test_two_label_files_of_one_rule_are_refused(write: Write, files: Mapping[str, object]) -> None:
    expected = r"one label file in .*, but got (d_)?labels\.csv, (d_)?labels\.npy\. Pass `labels`"
    with pytest.raises(DiscoveryError, match=expected):
        discover(write({"a1.npy": 1, **files}))


def test_all_disagreements_are_listed_at_once(write: Write) -> None:
    shards = {f"a{i}.npy": 3 for i in range(1, 6)}
    found = {"2": [0, 0], "3": [0, 0, 0], "4": [0] * 4, "8": [0], "9": [0]}
    expected = (
        r"for every row, but in .*labels\.npz:\nno labels for sets 1, 5\n"
        r"labels for sets that do not exist: 8, 9\nset 2 has 3 rows but 2 labels\n"
        r"set 4 has 3 rows but 4 labels\nMend the files, or pass `labels`"
    )
    with pytest.raises(DiscoveryError, match=expected):
        discover(write(shards | {"labels.npz": found}))


def test_a_long_list_of_disagreements_is_cut() -> None:
    pieces = {number: Piece(Path("x"), 1) for number in range(60)}
    listing = r"set 0 has 2 rows but 1 labels\n(.*\n)+set 49 has .*\n\.\.\. and 10 more\nMend"
    with pytest.raises(DiscoveryError, match=listing):
        check_labels(LabelSource(Path("x"), ""), pieces, dict.fromkeys(range(60), 2))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"labels/1.npy": FIVE[1]}, "no labels for sets 2"),
        ({"labels/1.npy": FIVE[1], "labels/2.npy": [0]}, "set 2 has 2 rows but 1 labels"),
        ({"labels.npz": {"1": FIVE[1]}}, "no labels for sets 2"),
        ({"labels.csv": "1,2,3\n0,1,9\n1,0,9\n2,,9\n"}, "sets that do not exist: 3"),
        ({"labels.csv": "1,2\n0,1\n1,0\n"}, "set 1 has 3 rows but 2 labels"),
        (
            {"labels.npy": [0, 1, 2, 1]},
            r"one label per row, 5 in 2 sets, but got 4 in .*labels\.npy",
        ),
        ({"labels.npy": [[0, 1], [0, 1]]}, "one label per row, 5 in 2 sets, but got 2 in"),
        ({"labels.csv": "1\n0\n1\n2\n"}, "no labels for sets 2"),
    ],
)
def test_missing_and_surplus_labels_are_refused(
    write: Write, files: Mapping[str, object], expected: str
) -> None:
    with pytest.raises(DiscoveryError, match=expected):
        discover(write({**TWO_SETS, **files}))


def test_labels_in_only_some_shards_are_refused(write: Write) -> None:
    files = {"a1.npz": {"x": [1, 2], "y": [0, 0]}, "a2.npz": {"x": [1, 2]}}
    with pytest.raises(DiscoveryError, match=r"in .*d:\nno labels for sets 2\nMend"):
        discover(write(files))


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"labels.npz": {"a": [0], "b": [1]}}, "a, b"),
        ({"labels.csv": "age,height\n0,1\n"}, "age, height"),
        ({"labels.csv": "1,0,0\n0,1,0\n"}, "1, 0, 0"),
        ({"labels/1.csv": "0.5,1.5\n"}, "0.5, 1.5"),
    ],
)
def test_labels_that_could_be_several_are_refused(
    write: Write, files: Mapping[str, object], named: str
) -> None:
    expected = f"one array of labels in .*, but got {named}. Keep one, or name it 'labels'"
    with pytest.raises(DiscoveryError, match=expected):
        discover(write({"a1.npy": 1, **files}))


def test_one_set_number_twice_among_the_labels_is_refused(write: Write) -> None:
    files = {"a1.npy": 1, "labels.npz": {"1": [0], "01": [0]}}
    with pytest.raises(DiscoveryError, match=r"each set number once in .*npz, but got 1, 01\."):
        discover(write(files))


@pytest.mark.parametrize(
    "files",
    [
        {"labels.npz": {"1": np.array([0, 1, 2]), "2": np.array([0.5, 1])}},
        {"labels/1.npy": np.array([0, 1, 2]), "labels/2.npy": np.array([0.5, 1])},
        {"labels.csv": "1,2\n0,0.5\n1,1\n2,\n"},
    ],
)
def test_labels_of_differing_dtype_are_refused(write: Write, files: Mapping[str, object]) -> None:
    listing = r"they differ\.\nset 1: int64 \(\) in .*\nset 2: float64 \(\) in "
    with pytest.raises(
        ShardError, match=f"labels of one shape and dtype in all sets, but {listing}"
    ):
        discover(write({**TWO_SETS, **files}))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"labels.npy": b"garbage"}, r"^Expected a \.npy header.*labels\.npy\)"),
        ({"labels.npy": 7.0}, r"^Expected rows along axis 0, but got a single number.*labels\.npy"),
        ({"labels.npz": b"garbage"}, r"^Expected an \.npz archive.*labels\.npz\)"),
        ({"labels.csv": ""}, r"^Expected a table.*labels\.csv\)"),
        (
            {"labels.csv": "1,2\n,0\n"},
            r"^Set 1: Expected numbers in column '1'.*labels\.csv\)",
        ),
        ({"labels.npz": {"1": [" "]}}, r"^Set 1: .* a word in every row, but row 1.*labels\.npz\)"),
        ({"labels.npz": {"1": [b"\xff"]}}, r"^Set 1: Expected words in UTF-8, but.*labels\.npz\)"),
        ({"labels/1.npy": b"garbage"}, r"^Set 1: Expected a \.npy header.*1\.npy\)"),
        ({"labels/1.csv": "cat\n"}, r"^Set 1: Expected rows below the names.*got none.*1\.csv\)"),
    ],
)
def test_broken_labels_are_a_shard_error(
    write: Write, files: Mapping[str, object], expected: str
) -> None:
    with pytest.raises(ShardError, match=expected):
        discover(write({"a1.npy": 1, **files}))


def test_labels_that_link_to_nowhere_are_not_overlooked(write: Write) -> None:
    folder = write({"a1.npy": 1})
    (folder / "labels.npy").symlink_to(folder / "gone.npy")
    with pytest.raises(MissingPathError, match=r"`labels` to exist, but got '.*labels\.npy'"):
        discover(folder)


@pytest.mark.parametrize("spelling", ["link", "link/", "x/../link", "../{}/link"])
def test_labels_are_found_beside_a_link_and_then_beside_its_folder(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    write(TWO_SETS | {"../x/a.npy": 1, "../d_labels.npy": np.zeros(5)})
    (tmp_path / "link").symlink_to("d")
    monkeypatch.chdir(tmp_path)
    place = spelling.format(tmp_path.name)
    assert rule_of(discover(place)) == "the file d_labels.npy"
    np.save("link_labels.npy", np.ones(5))
    assert rule_of(discover(place)) == "the file link_labels.npy"


@pytest.mark.parametrize("place", [".", "inner/..", "../d/inner/..", "../link"])
def test_labels_are_found_beside_a_folder_without_a_name(
    write: Write, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    folder = write(TWO_SETS | {"../d_labels.npy": np.zeros(5)})
    (folder / "inner").mkdir()
    (folder.parent / "link").symlink_to("d")
    monkeypatch.chdir(folder)
    found = find_labels(Path(place))
    assert found is not None
    assert found.rule == "the file d_labels.npy"


def test_find_labels_says_none_where_there_are_none(write: Write) -> None:
    folder = write({"a1.npy": 1})
    assert find_labels(folder) is None
    assert find_labels(folder / ".." / "d") is None
