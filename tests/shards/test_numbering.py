from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leyden.errors import ConfigError, DiscoveryError
from leyden.shards.numbering import list_some, number_files, number_keys


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["1.npy", "2.npy"], [1, 2]),
        (["x_1.npy", "x_2.npy", "x_5.npy"], [1, 2, 5]),
        ([f"b{i}.npy" for i in range(10, 20)], list(range(10, 20))),
        (["b1.npy", "b10.npy", "b11.npy"], [1, 10, 11]),
        (["b2.npy", "b10.npy", "b1.npy"], [1, 2, 10]),
        (["ecg2_1.npy", "ecg2_2.npy"], [1, 2]),
        (["run-0.npz", "run-1.npz"], [0, 1]),
        (["s__7.CSV", "s__8.csv"], [7, 8]),
    ],
)
def test_set_numbers_are_the_last_digits_of_names(
    tmp_path: Path, names: list[str], numbers: list[int]
) -> None:
    found = number_files(touch(tmp_path, *names)).paths
    assert list(found) == numbers
    assert {path.name for path in found.values()} == set(names)


def test_zero_padded_files_keep_their_real_paths(tmp_path: Path) -> None:
    names = [f"data_{i:03}.npy" for i in range(1, 13)]
    found = number_files(touch(tmp_path, *names))
    assert found.paths == {i: tmp_path / f"data_{i:03}.npy" for i in range(1, 13)}
    assert found.rule == "data_<number>.npy"


@settings(max_examples=30, deadline=None)
@given(
    base=st.text("abXY_- 9", max_size=5).filter(lambda text: not text[-1:].isdigit()),
    numbers=st.sets(st.integers(0, 10**6), min_size=1, max_size=8),
)
def test_any_base_and_any_numbers_are_recognised(base: str, numbers: set[int]) -> None:
    with TemporaryDirectory() as name:
        found = number_files(touch(Path(name), *(f"{base}{number}.npy" for number in numbers)))
    assert list(found.paths) == sorted(numbers)


def test_one_number_twice_is_an_error_that_names_both_files(tmp_path: Path) -> None:
    touch(tmp_path, "a1.npy", "a01.npy", "a2.npy", "a02.npy")
    clashes = "a01.npy and a1.npy are both 1, a02.npy and a2.npy are both 2"
    with pytest.raises(DiscoveryError, match=f"each set number once in .*{clashes}.*`pattern`"):
        number_files(tmp_path)


def test_mixed_extensions_are_listed_with_the_pattern_that_settles_it(tmp_path: Path) -> None:
    touch(tmp_path, "x1.csv", "x1.npy", "x2.npy")
    listing = r"got 2:\nx<number>.csv: 1 \(x1.csv\)\nx<number>.npy: 2 \(x1.npy, x2.npy\)\n"
    with pytest.raises(DiscoveryError, match=rf"{listing}Pass `pattern`.*'x\[0-9\]\*\.csv'"):
        number_files(tmp_path)
    assert list(number_files(tmp_path, pattern="x[0-9]*.csv").paths) == [1]


def test_two_base_names_are_listed_with_the_pattern_that_settles_it(tmp_path: Path) -> None:
    touch(tmp_path, "data_1.npy", "data_2.npy", "data_aug_1.npy")
    listing = r"data_<number>.npy: 2 .*\ndata_aug_<number>.npy: 1 .*\n"
    with pytest.raises(DiscoveryError, match=rf"{listing}.*'data_\[0-9\]\*\.npy'.*labels/"):
        number_files(tmp_path)
    assert list(number_files(tmp_path, pattern="data_[0-9]*.npy").paths) == [1, 2]


@pytest.mark.parametrize("name", ["a1_v2x.npy", "sub-01_eeg.npy"])
def test_a_number_in_the_middle_is_an_error_with_its_remedy(tmp_path: Path, name: str) -> None:
    touch(tmp_path, name, "a7.npy")
    remedy = r"Pass `pattern` with a group for the number, such as .*\(\?P<number>"
    with pytest.raises(DiscoveryError, match=f"at the end of each name in .*{name}. {remedy}"):
        number_files(tmp_path)


@pytest.mark.parametrize(
    ("pattern", "names", "numbers"),
    [
        (r"sub-(?P<number>\d+)_eeg", ["sub-01_eeg.npy", "sub-10_eeg.npy"], [1, 10]),
        (r"a(?P<number>\d+)_v\d+x", ["a1_v2x.npy", "a3_v1x.npy"], [1, 3]),
    ],
)
def test_a_pattern_with_a_group_finds_numbers_in_the_middle(
    tmp_path: Path, pattern: str, names: list[str], numbers: list[int]
) -> None:
    found = number_files(touch(tmp_path, *names, "b7.npy"), pattern=pattern)
    assert found.paths == {
        number: tmp_path / name for number, name in zip(numbers, names, strict=True)
    }
    assert (found.rule, found.left_out) == (pattern, ("b7.npy",))


def test_a_glob_chooses_among_the_files(tmp_path: Path) -> None:
    touch(tmp_path, "x_1.npy", "x_2.npy", "y_1.npy", "a1_v2x.npy")
    found = number_files(tmp_path, pattern="x_*.npy")
    assert (list(found.paths), found.left_out) == ([1, 2], ("a1_v2x.npy", "y_1.npy"))


def test_a_glob_does_not_move_the_number(tmp_path: Path) -> None:
    touch(tmp_path, "sub-01_eeg.npy", "sub-02_eeg.npy")
    with pytest.raises(DiscoveryError, match=r"number at the end .*sub-01_eeg.npy, sub-02_eeg.npy"):
        number_files(tmp_path, pattern="sub-*_eeg.npy")


def test_a_pattern_that_fits_nothing_is_explained(tmp_path: Path) -> None:
    touch(tmp_path, "x_1.npy")
    found = r"that match 'x_.*', but found only x_1\.npy"
    with pytest.raises(
        DiscoveryError, match=f"{found}.*regular expression .* for names without extension"
    ):
        number_files(tmp_path, pattern=r"x_(?P<number>\d+)\.npy")


def test_a_pattern_that_is_no_expression_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`pattern` to be a regular expression, but got"):
        number_files(tmp_path, pattern=r"x(_(?P<number>\d+)")


@pytest.mark.parametrize("pattern", [r"x_(?P<number>.+)", r"x_(?P<number>\d+)?.*"])
def test_a_pattern_must_capture_digits(tmp_path: Path, pattern: str) -> None:
    touch(tmp_path, "x_a.npy")
    with pytest.raises(ConfigError, match=r"to match digits, but got ('a'|None) in x_a.npy. Write"):
        number_files(tmp_path, pattern=pattern)


def test_two_kinds_of_file_under_one_pattern_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "x1a.npy", "x1a.csv")
    with pytest.raises(DiscoveryError, match=r"got 2:\n(.*\n)+Keep one kind of file"):
        number_files(tmp_path, pattern=r"x(?P<number>\d+)a")


def test_keys_are_put_into_the_order_of_their_numbers() -> None:
    assert list(number_keys(Path("d.h5"), ["0", "1", "10", "11", "02"])) == [0, 1, 2, 10, 11]
    with pytest.raises(DiscoveryError, match=r"each set number once in d\.h5, but got 2, 02\."):
        number_keys(Path("d.h5"), ["2", "02"])


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    expected = r"such as sample__1.npy, but found no files. Formats: \.csv \.h5 .* \.tsv"
    with pytest.raises(DiscoveryError, match=expected):
        number_files(tmp_path)


def test_a_folder_of_folders_is_told_how_images_are_packed(tmp_path: Path) -> None:
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    expected = r"A folder of images for each class is packed: leyden pack photos DIR\."
    with pytest.raises(DiscoveryError, match=expected):
        number_files(tmp_path / "photos")


def test_folders_of_phases_in_capitals_are_to_be_renamed(tmp_path: Path) -> None:
    for name in ("Train", "Val"):
        (tmp_path / name).mkdir()
        touch(tmp_path / name, "x_1.npy")
    touch(tmp_path, "README.md")
    expected = r"names in small letters: rename Train/ to train/, Val/ to val/\."
    with pytest.raises(DiscoveryError, match=expected):
        number_files(tmp_path)


def test_a_folder_without_numbered_files_says_what_it_holds(tmp_path: Path) -> None:
    touch(tmp_path, "mean.npy", "README.md", "x1.dat")
    with pytest.raises(DiscoveryError, match=r"only README.md, mean.npy, x1.dat\..*`reader`"):
        number_files(tmp_path)


def test_other_files_and_folders_are_left_out(tmp_path: Path) -> None:
    others = ("._a3.npy", ".a2.npy", "README.md", "labels.npz", "mean.npy", "notes1.txt")
    touch(tmp_path, "a1.npy", *others)
    (tmp_path / "a2").mkdir()
    found = number_files(tmp_path)
    assert (list(found.paths), found.left_out) == ([1], others)


def test_files_known_to_be_something_else_are_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a1.npy", "a2.npy", "targets7.npy")
    monkeypatch.chdir(tmp_path)
    found = number_files(tmp_path, skip=[Path("targets7.npy")])
    assert (list(found.paths), found.left_out) == ([1, 2], ("targets7.npy",))


@pytest.mark.parametrize("extension", [".dat", ""])
def test_unknown_extensions_count_if_asked_for(tmp_path: Path, extension: str) -> None:
    touch(tmp_path, f"a1{extension}", f"a2{extension}", "README.md", "Makefile")
    found = number_files(tmp_path, any_extension=True)
    assert (list(found.paths), found.rule) == ([1, 2], f"a<number>{extension}")


def test_a_link_to_nowhere_counts_as_a_shard(tmp_path: Path) -> None:
    touch(tmp_path, "a1.npy")
    (tmp_path / "a2.npy").symlink_to(tmp_path / "gone.npy")
    assert list(number_files(tmp_path).paths) == [1, 2]


def test_a_list_for_a_message_is_cut_after_ten() -> None:
    assert list_some([1, 2]) == "1, 2"
    assert list_some(range(11)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 1 more"


@pytest.mark.parametrize("name", ["a9223372036854775808.npy", "a99999999999999999999.npy"])
def test_a_number_that_numpy_cannot_hold_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(DiscoveryError, match=rf"numbers up to 9223372036854775807, but got {name}"):
        number_files(tmp_path)
    with pytest.raises(DiscoveryError, match="set numbers up to"):
        number_keys(tmp_path, [name[1:-4]])
