import hashlib
import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from leyden.errors import ConfigError, DataError, DiscoveryError, MissingPathError, ShardError
from leyden.shards import Catalog, discover, formats, headers, pieces
from leyden.shards.fields import check_sets, name_inputs
from leyden.types import Array

Write: TypeAlias = Callable[[Mapping[str, object]], Path]

IMAGES = np.arange(24, dtype=np.uint8).reshape(4, 3, 2)
META = np.arange(8, dtype=np.float32).reshape(4, 2)


def rows_of(catalog: Catalog, number: int) -> Array:
    return catalog.open_data(number).read(np.arange(catalog.lengths[number]))


def save_npz(path: Path, arrays: dict[str, Array]) -> None:
    np.savez(path, **arrays)  # type: ignore[arg-type] # its stub takes names for options


def save_safetensors(path: Path, arrays: dict[str, Array]) -> None:
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)


def save_hdf5(path: Path, arrays: dict[str, Array]) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


Save = Callable[[Path, dict[str, Array]], None]
containers = pytest.mark.parametrize(
    ("extension", "save"),
    [
        (".npz", save_npz),
        (".h5", save_hdf5),
        (".hdf5", save_hdf5),
        (".safetensors", save_safetensors),
    ],
)


@pytest.fixture
def folder(write: Write) -> Path:
    """Shards of three arrays and labels: set 2 of three rows, set 5 of one."""
    arrays: dict[str, Array] = {
        "mask": np.zeros((4, 7)),
        "img": IMAGES,
        "m": META,
        "y": np.arange(4),
    }
    return write(
        {
            "a2.npz": {name: array[:3] for name, array in arrays.items()},
            "a5.npz": {name: array[3:] for name, array in arrays.items()},
        }
    )


NAMES = {"image": "img", "meta": "m"}


@containers
def test_arrays_of_a_shard_can_be_named_as_inputs(
    tmp_path: Path, extension: str, save: Save
) -> None:
    save(tmp_path / f"a2{extension}", {"meta": META[:3], "image": IMAGES[:3]})
    save(tmp_path / f"a5{extension}", {"image": IMAGES[3:], "meta": META[3:]})
    catalog = discover(tmp_path, inputs=["meta", "image"])
    assert list(catalog.fields) == ["meta", "image"]
    image, meta = catalog.fields["image"], catalog.fields["meta"]
    assert (catalog.lengths, image.lengths, meta.lengths) == ({2: 3, 5: 1},) * 3
    assert (image.sample_shape, image.dtype) == ((3, 2), np.dtype(np.uint8))
    assert (meta.sample_shape, meta.dtype) == ((2,), np.dtype(np.float32))
    np.testing.assert_array_equal(rows_of(image, 5), IMAGES[3:])
    np.testing.assert_array_equal(rows_of(meta, 2), META[:3])


def test_a_mapping_names_inputs_for_the_batch(folder: Path) -> None:
    catalog = discover(folder, inputs=NAMES)
    assert list(catalog.fields) == ["image", "meta"]
    np.testing.assert_array_equal(rows_of(catalog.fields["meta"], 2), META[:3])


def test_what_a_catalogue_says_of_inputs_it_says_of_the_first(folder: Path) -> None:
    catalog = discover(folder, inputs=NAMES)
    assert (catalog.sample_shape, catalog.dtype) == ((3, 2), np.dtype(np.uint8))
    np.testing.assert_array_equal(rows_of(catalog, 5), IMAGES[3:])
    image = catalog.fields["image"]
    assert [s.data for s in catalog.shards] == [s.data for s in image.shards]
    assert (image.path, image.has_labels, image.fields) == (folder, False, {})


def test_without_names_there_are_no_fields(write: Write) -> None:
    assert discover(write({"a1.npy": 2})).fields == {}


@pytest.mark.parametrize("inputs", [["img"], {"img": "img"}])
def test_one_name_makes_one_field(folder: Path, inputs: Any) -> None:
    catalog = discover(folder, inputs=inputs)
    assert list(catalog.fields) == ["img"]
    np.testing.assert_array_equal(rows_of(catalog.fields["img"], 5), IMAGES[3:])


@settings(max_examples=20, deadline=None)
@given(
    lengths=st.dictionaries(st.integers(0, 99), st.integers(1, 4), min_size=1, max_size=4),
    widths=st.dictionaries(st.sampled_from("abcxy"), st.integers(1, 3), min_size=1),
)
def test_every_field_has_the_rows_of_its_array(
    tmp_path_factory: pytest.TempPathFactory, lengths: dict[int, int], widths: dict[str, int]
) -> None:
    folder, rng = tmp_path_factory.mktemp("d"), np.random.default_rng(0)
    arrays = {n: {k: rng.random((r, w)) for k, w in widths.items()} for n, r in lengths.items()}
    for number, content in arrays.items():
        save_npz(folder / f"s{number}.npz", content)
    catalog = discover(folder, inputs=list(widths))
    assert list(catalog.fields) == list(widths)
    for name, found in catalog.fields.items():
        assert found.lengths == dict(sorted(lengths.items()))
        for number in lengths:
            np.testing.assert_array_equal(rows_of(found, number), arrays[number][name])


TABLE = "age,height,y,weight\n1,0.5,0,7\n2,1.5,1,8\n3,2.5,0,9\n"


@pytest.fixture
def tables(write: Write) -> Path:
    folder = write({"d1.csv": TABLE, "d1.tsv": TABLE.replace(",", "\t")})
    columns = {"age": [1, 2, 3], "height": [0.5, 1.5, 2.5], "y": [0, 1, 0], "weight": [7, 8, 9]}
    pq.write_table(pa.table(columns), folder / "d1.parquet")
    return folder


@pytest.mark.parametrize("name", ["d1.csv", "d1.tsv", "d1.parquet"])
@pytest.mark.parametrize("is_file", [False, True])
def test_inputs_can_be_columns_of_a_table(tables: Path, name: str, *, is_file: bool) -> None:
    options: Any = {} if is_file else {"pattern": name.replace("1", "?")}
    place = tables / name if is_file else tables
    catalog = discover(place, inputs={"body": ["weight", "height"], "age": "age"}, **options)
    body, age = catalog.fields.values()
    assert rows_of(body, 1).tolist() == [[7, 0.5], [8, 1.5], [9, 2.5]]
    assert (body.dtype, age.dtype) == (np.dtype(np.float64), np.dtype(np.int64))
    assert (age.sample_shape, rows_of(age, 1).tolist()) == ((), [1, 2, 3])
    assert catalog.read_labels(1).tolist() == [0, 1, 0]


@containers
def test_arrays_of_a_dataset_file_are_cut_alike(tmp_path: Path, extension: str, save: Save) -> None:
    path = tmp_path / f"d{extension}"
    save(path, {"img": IMAGES, "m": META, "labels": np.array([0, 1, 2, 1])})
    catalog = discover(path, inputs=NAMES, rows_per_set=3)
    assert catalog.lengths == catalog.fields["meta"].lengths == {1: 3, 2: 1}
    np.testing.assert_array_equal(rows_of(catalog.fields["image"], 2), IMAGES[3:])
    np.testing.assert_array_equal(rows_of(catalog.fields["meta"], 1), META[:3])
    assert catalog.read_labels(1).tolist() == [0, 1, 2]


def test_arrays_of_a_dataset_file_may_be_stored_set_by_set(write: Write) -> None:
    image, meta = np.arange(24).reshape(2, 3, 4), np.arange(6).reshape(2, 3)
    path = write({"d.npz": {"img": image, "m": meta}}) / "d.npz"
    catalog = discover(path, inputs=NAMES, leading_axis="sets")
    assert rows_of(catalog.fields["meta"], 2).tolist() == [3, 4, 5]
    np.testing.assert_array_equal(rows_of(catalog.fields["image"], 2), image[1])


def test_arrays_that_are_named_may_be_called_by_numbers(write: Write) -> None:
    path = write({"d.npz": {"1": IMAGES, "2": META}}) / "d.npz"
    catalog = discover(path, inputs={"image": "1", "meta": "2"})
    assert (catalog.lengths, list(catalog.fields)) == ({1: 4}, ["image", "meta"])


def test_an_array_beside_the_inputs_is_the_labels(folder: Path) -> None:
    catalog = discover(folder, inputs=NAMES)
    assert catalog.read_labels(2).tolist() == [0, 1, 2]
    assert dict(catalog.facts)["labels from"] == "the shards themselves"


def test_an_input_is_no_label(folder: Path, write: Write) -> None:
    assert not discover(folder, inputs=["img", "y"]).has_labels
    write({"labels.npy": [9, 8, 7, 6]})
    catalog = discover(folder, inputs=["img", "y"])
    assert (catalog.read_labels(5).tolist(), catalog.num_classes) == ([6], 10)


def test_of_two_arrays_of_labels_one_has_to_be_named(write: Write) -> None:
    folder = write({"a1.npz": {"img": IMAGES, "y": META, "target": META}})
    with pytest.raises(ShardError, match=r"^Set 1: .*one array of labels .* but got y, target"):
        discover(folder, inputs=["img"])
    assert discover(folder, inputs=["img", "y"]).label_shape == (2,)
    assert not discover(folder, inputs=["img"], labels=None).has_labels


def test_one_named_input_can_be_its_own_label(folder: Path) -> None:
    catalog = discover(folder, inputs={"image": "img"}, labels="inputs")
    np.testing.assert_array_equal(catalog.read_labels(2), IMAGES[:3])
    assert not catalog.fields["image"].has_labels


def test_several_inputs_are_no_labels(folder: Path) -> None:
    expected = r"one of `inputs` for labels='inputs', but got \['image', 'meta'\]\. Name one"
    with pytest.raises(ConfigError, match=expected):
        discover(folder, inputs=NAMES, labels="inputs")


def test_inputs_of_a_shard_have_as_many_rows(folder: Path, write: Write) -> None:
    write({"a5.npz": {"img": IMAGES[:2], "m": META[:1]}})
    expected = r"^Set 5: Expected 2 rows in 'meta', as in 'image', but got 1\. \(.*a5\.npz\)$"
    with pytest.raises(ShardError, match=expected) as caught:
        discover(folder, inputs=NAMES)
    assert (caught.value.set_number, caught.value.path) == (5, folder / "a5.npz")


@pytest.mark.parametrize(
    ("leading_axis", "counts"),
    [("rows", "4 rows in 'meta', .* got 3"), ("sets", "4 x 3 rows in 'meta', .* got 4 x 2")],
)
def test_inputs_of_a_file_have_as_many_rows(write: Write, leading_axis: Any, counts: str) -> None:
    meta = META if leading_axis == "sets" else META[:3]
    path = write({"d.npz": {"img": IMAGES, "m": meta}}) / "d.npz"
    with pytest.raises(ShardError, match=rf"^Expected {counts}\. \(.*d\.npz\)$"):
        discover(path, inputs=NAMES, leading_axis=leading_axis)


def test_each_input_is_alike_in_all_sets(folder: Path, write: Write) -> None:
    write({"a5.npz": {"img": IMAGES, "m": META[:, :1]}})
    listing = r"set 2: float32 \(2,\) m in .*a2\.npz\nset 5: float32 \(1,\) m in .*a5\.npz$"
    with pytest.raises(ShardError, match=rf"Expected 'meta' of one shape .* differ\.\n{listing}"):
        discover(folder, inputs=NAMES, labels=None)


def test_an_input_has_rows(write: Write) -> None:
    folder = write({"a1.npz": {"img": IMAGES, "m": META[:0]}})
    with pytest.raises(ShardError, match=r"^Set 1: Expected at least one row, but got none\."):
        discover(folder, inputs=NAMES)


@containers
def test_an_array_that_is_missing_suggests_the_nearest(
    tmp_path: Path, extension: str, save: Save
) -> None:
    save(tmp_path / f"a3{extension}", {"image": IMAGES, "meta": META})
    expected = r"^Set 3: Expected an array 'imgae'\. Did you mean 'image'\? Known: image, meta\."
    with pytest.raises(ShardError, match=expected):
        discover(tmp_path, inputs=["imgae", "meta"])


@pytest.mark.parametrize("name", ["d1.csv", "d1.parquet"])
@pytest.mark.parametrize("source", ["hieght", ["age", "hieght"]])
def test_a_column_that_is_missing_suggests_the_nearest(
    tables: Path, name: str, source: str | list[str]
) -> None:
    with pytest.raises(ShardError, match=r"column 'hieght'\. Did you mean 'height'\? Known"):
        discover(tables / name, inputs={"a": source})


def test_a_table_without_a_header_has_no_names_to_choose_from(write: Write) -> None:
    with pytest.raises(ShardError, match=r"^Set 1: Expected a column 'age'\. Known: f0, f1\."):
        discover(write({"a1.csv": "1,2\n3,4\n"}), inputs=["age"])


def test_several_arrays_have_to_be_named(folder: Path) -> None:
    with pytest.raises(ShardError, match=r"but got mask, img, m\. Pass `inputs` with the names"):
        discover(folder)


@pytest.mark.parametrize(
    "inputs",
    [
        *([], {}, "image", b"image", 3, {"image", "meta"}, np.array(["image"])),
        *([""], [3], [["a"]], {"a": ""}, {"": "a"}, {3: "a"}, {"a": 3}, {"a": []}, {"a": ["b", 3]}),
    ],
)
def test_inputs_of_no_known_kind_are_refused(write: Write, inputs: Any) -> None:
    expected = r"`inputs` to be names, or a mapping from names, but got .*inputs=\['image', 'meta'"
    with pytest.raises(ConfigError, match=expected):
        discover(write({"a1.npy": 2}), inputs=inputs)


@pytest.mark.parametrize("inputs", [["b", "a", "b"], {"a": ["b", "a", "b"]}])
def test_one_name_twice_is_refused(write: Write, inputs: Any) -> None:
    expected = r"each name once in `inputs`, but got \['b', 'a', 'b'\]"
    with pytest.raises(ConfigError, match=expected):
        discover(write({"a1.npy": 2}), inputs=inputs)


@given(st.lists(st.text(min_size=1), min_size=1, unique=True))
def test_names_alone_are_names_for_the_batch(names: list[str]) -> None:
    assert name_inputs(names) == name_inputs({name: name for name in names})
    assert list(name_inputs(names)) == names


def test_a_file_of_one_array_has_no_names(write: Write) -> None:
    expected = r"no `inputs` for a file of one array, but got \['image', 'meta'\] for .*a1\.npy"
    with pytest.raises(ConfigError, match=expected):
        discover(write({"a1.npy": 2}), inputs=NAMES)
    with pytest.raises(ConfigError, match=expected):
        discover(write({"a1.npy": 2}) / "a1.npy", inputs=NAMES)


def test_a_list_of_columns_is_for_tables(folder: Path) -> None:
    expected = r"one array for 'a' in `inputs`, but got \['img', 'm'\] for .*a2\.npz\. Lists are"
    with pytest.raises(ConfigError, match=expected):
        discover(folder, inputs={"a": ["img", "m"]})


def test_a_reader_opens_no_arrays_by_name(folder: Path) -> None:
    expected = r"folders or files in `inputs` with `reader`, but got \['image', 'meta'\]"
    with pytest.raises(ConfigError, match=expected):
        discover(folder, inputs=NAMES, reader="leyden.shards.readers.NpzReader")


PLACES = {"image": "images/", "meta": "meta"}
APART: dict[str, object] = {
    "images/a02.npy": IMAGES[:3],
    "images/a05.npy": IMAGES[3:],
    "images/notes.md": "",
    "meta/2.npz": {"m": META[:3]},
    "meta/5.npz": {"m": META[3:]},
}


def test_each_input_may_have_a_folder(write: Write) -> None:
    folder = write(APART)
    catalog = discover(folder, inputs=PLACES)
    assert catalog.lengths == catalog.fields["meta"].lengths == {2: 3, 5: 1}
    assert {found.path for found in (catalog, *catalog.fields.values())} == {folder}
    np.testing.assert_array_equal(rows_of(catalog.fields["image"], 5), IMAGES[3:])
    np.testing.assert_array_equal(rows_of(catalog.fields["meta"], 2), META[:3])
    assert dict(catalog.facts) == {
        "shards": "a<number>.npy; <number>.npz",
        "inputs from": "image: images/; meta: meta",
        "labels from": "nowhere: none found",
        "left out": "images/notes.md",
    }


def test_names_of_folders_may_be_names_of_inputs(write: Write) -> None:
    catalog = discover(write(APART), inputs=["meta", "images"])
    assert [found.sample_shape for found in catalog.fields.values()] == [(2,), (3, 2)]


def test_each_input_may_have_a_file(write: Write) -> None:
    numbered = {"2": META[:3], "5": META[3:], "mean": META}
    folder = write({"image.npz": {"2": IMAGES[:3], "5": IMAGES[3:]}, "m.npz": numbered})
    catalog = discover(folder, inputs={"image": "image.npz", "meta": "m.npz"})
    np.testing.assert_array_equal(rows_of(catalog.fields["meta"], 5), META[3:])
    assert dict(catalog.facts)["left out"] == "m.npz/mean"


def test_files_of_rows_are_cut_alike(write: Write) -> None:
    folder = write({"image.npy": IMAGES, "meta.npy": META, "labels.npy": [0, 1, 2, 3]})
    places = {"image": "image.npy", "meta": "meta.npy"}
    catalog = discover(folder, inputs=places, rows_per_set=3)
    np.testing.assert_array_equal(rows_of(catalog.fields["image"], 2), IMAGES[3:])
    assert catalog.read_labels(2).tolist() == [3]


def test_one_input_may_lie_in_the_folder_itself(write: Write) -> None:
    folder = write({"a1.npy": IMAGES, "meta.npz": {"1": META}})
    catalog = discover(folder, inputs={"image": ".", "meta": "meta.npz"})
    assert catalog.fields["meta"].lengths == {1: 4}
    assert "left out" not in dict(catalog.facts)


def test_a_reader_opens_the_files_of_each_folder(write: Write) -> None:
    folder = write({"images/1.npy": IMAGES, "meta/1.npy": META})
    catalog = discover(folder, inputs=PLACES, reader="leyden.shards.readers.NpyReader")
    np.testing.assert_array_equal(rows_of(catalog.fields["meta"], 1), META)


@pytest.mark.parametrize(
    ("files", "rule"),
    [
        ({"labels.npy": [1, 2, 3, 4]}, "the file labels.npy"),
        ({"images/labels.npy": [0] * 4, "labels.npy": [1, 2, 3, 4]}, "the file labels.npy"),
        ({"meta/labels.npy": [1, 2, 3, 4]}, "the file labels.npy"),
        ({"meta_labels.npy": [1, 2, 3, 4]}, "the file meta_labels.npy"),
        ({"../d_labels.npy": [1, 2, 3, 4]}, "the file d_labels.npy"),
        (
            {
                "meta/2.npz": {"m": META[:3], "y": [1, 2, 3]},
                "meta/5.npz": {"m": META[3:], "y": [4]},
            },
            "the shards themselves",
        ),
    ],
)
def test_labels_are_found_for_inputs_in_folders(
    write: Write, files: Mapping[str, object], rule: str
) -> None:
    catalog = discover(write({**APART, **files}), inputs=PLACES)
    assert (catalog.read_labels(2).tolist(), catalog.read_labels(5).tolist()) == ([1, 2, 3], [4])
    assert dict(catalog.facts)["labels from"] == rule


def test_a_folder_of_inputs_is_no_folder_of_labels(write: Write) -> None:
    folder = write({**APART, "labels/2.npy": [1, 2, 3], "labels/5.npy": [4]})
    catalog = discover(folder, inputs={"image": "images", "before": "labels/"})
    assert (catalog.has_labels, rows_of(catalog.fields["before"], 5).tolist()) == (False, [4])


def test_inputs_in_folders_have_the_same_sets_and_rows(write: Write) -> None:
    folder = write({**APART, "meta/5.npz": {"m": META}, "meta/7.npz": {"m": META}})
    listing = r"set 5: 1 rows in image, 4 rows in meta\nset 7: none in image, 4 rows in meta\n"
    expected = rf"the same sets and rows for all inputs, but in .*d:\n{listing}Mend the files"
    with pytest.raises(DiscoveryError, match=expected):
        discover(folder, inputs=PLACES)


Counts = st.dictionaries(st.integers(0, 5), st.integers(1, 3))


@given(counts=Counts, others=Counts)
def test_sets_that_differ_are_all_listed(counts: dict[int, int], others: dict[int, int]) -> None:
    lengths = {"a": counts, "b": others}
    differing = [n for n in range(6) if counts.get(n) != others.get(n)]
    if not differing:
        check_sets(Path("d"), lengths)
        return
    with pytest.raises(DiscoveryError) as caught:
        check_sets(Path("d"), lengths)
    listed = [line for line in str(caught.value).splitlines() if line.startswith("set ")]
    assert [int(line.split()[1].rstrip(":")) for line in listed] == differing


def test_a_folder_that_is_missing_suggests_the_nearest(write: Write) -> None:
    expected = r"`inputs` to exist, but got '.*mets'\. Did you mean 'meta'\? Known: images, meta\."
    with pytest.raises(MissingPathError, match=expected):
        discover(write(APART), inputs={"image": "images", "meta": "mets"})


def test_a_folder_and_columns_do_not_mix(write: Write) -> None:
    expected = r"a folder or file for 'meta', as for other `inputs`, but got \['u', 'v'\]"
    with pytest.raises(ConfigError, match=expected):
        discover(write(APART), inputs={"image": "images", "meta": ["u", "v"]})


def test_select_keeps_sets_of_every_input(folder: Path) -> None:
    kept = discover(folder, inputs=NAMES).select(number for number in (5, 5))
    assert [found.set_numbers for found in (kept, *kept.fields.values())] == [(5,)] * 3
    np.testing.assert_array_equal(rows_of(kept.fields["meta"], 5), META[3:])
    with pytest.raises(DataError, match=r"a set number of .*d, but got 2\. Known: 5"):
        kept.select([2])


def test_check_looks_at_the_files_of_every_input(write: Write) -> None:
    folder = write(APART)
    catalog = discover(folder, inputs=PLACES)
    catalog.check()
    (folder / "meta" / "5.npz").unlink()
    with pytest.raises(ShardError, match=r"^Set 5: .*No such file .*\(.*meta/5\.npz\)$"):
        catalog.check()
    catalog.select([2]).check()
    catalog.fields["image"].check()


def test_a_catalogue_of_several_inputs_survives_the_way_to_a_worker(folder: Path) -> None:
    catalog = discover(folder, inputs=NAMES)
    copy = pickle.loads(pickle.dumps(catalog))
    assert (copy, hash(copy), copy.fingerprint) == (catalog, hash(catalog), catalog.fingerprint)
    np.testing.assert_array_equal(rows_of(copy.fields["meta"], 2), META[:3])


def test_the_fingerprint_of_one_input_is_what_it_always_was(write: Write) -> None:
    facts = {
        "names": ["a1.npy", "a3.npy"],
        "lengths": [[1, 2], [3, 1]],
        "sample": [[2], "float32"],
        "label": [[], "int64"],
    }
    expected = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    folder = write({"a1.npy": 2, "a3.npy": 1, "labels.npy": [0, 1, 1]})
    assert discover(folder).fingerprint == expected


def test_the_fingerprint_depends_on_every_input(folder: Path, write: Write) -> None:
    before = discover(folder, inputs=NAMES)
    prints = [
        before.fingerprint,
        discover(folder, inputs=["img"]).fingerprint,
        discover(folder, inputs=["img", "m"]).fingerprint,
        discover(folder, inputs={"image": "img", "meta": "mask"}).fingerprint,
        before.select([2]).fingerprint,
    ]
    same = {"img": IMAGES, "mask": META, "y": [0] * 4}
    for name, meta in {"m": META.astype(np.float64), "m2": META}.items():
        write({"a2.npz": same | {name: meta}, "a5.npz": same | {name: meta}})
        prints.append(discover(folder, inputs={"image": "img", "meta": name}).fingerprint)
    assert len(set(prints)) == len(prints)


def test_the_fingerprint_depends_on_the_names_of_all_files(write: Write) -> None:
    folder = write(APART)
    before = discover(folder, inputs=PLACES).fingerprint
    for name in ("2.npz", "5.npz"):
        (folder / "meta" / name).rename(folder / "meta" / f"m{name}")
    assert discover(folder, inputs=PLACES).fingerprint != before


def test_describe_tells_of_every_input(folder: Path) -> None:
    catalog = discover(folder, inputs={"image": "img", "meta": "m"})
    assert catalog.describe().splitlines() == [
        f"path         {folder}",
        "shards       a<number>.npz",
        "inputs from  image: img; meta: m",
        "labels from  the shards themselves",
        "sets         2: 2, 5",
        "rows         4 (1 to 3 in a set)",
        "input image  uint8 (3, 2)",
        "input meta   float32 (2,)",
        "label        int64 (), 4 classes",
        f"fingerprint  {catalog.fingerprint}",
    ]


@pytest.mark.parametrize("is_apart", [False, True])
def test_nothing_is_opened_again_for_several_inputs(
    folder: Path, write: Write, monkeypatch: pytest.MonkeyPatch, *, is_apart: bool
) -> None:
    opened = []

    def note(path: Path, *args: Any, **options: Any) -> Any:
        opened.append(path.name)
        return formats.open_array(path, *args, **options)

    monkeypatch.setattr(headers, "_WORTH", 0.0)
    monkeypatch.setattr(pieces, "open_array", note)
    place, inputs = (write(APART), PLACES) if is_apart else (folder, NAMES)
    first = discover(place, inputs=inputs)
    assert len(opened) == (4 if is_apart else 6)  # inputs, and labels beside them
    opened.clear()
    assert discover(place, inputs=inputs) == first
    assert (opened, [*place.glob("*/.leyden*")]) == ([], [])
