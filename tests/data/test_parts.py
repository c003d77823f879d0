import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leyden.data import AutoDataModule
from leyden.data.parts import Part, split_parts
from leyden.errors import ConfigError, DataError, DiscoveryError, MissingPathError
from leyden.shards import discover, pack
from leyden.types import Phase

TEN = dict.fromkeys(range(1, 11), 2)


def split(path: Path, *, seed: int = 0, **parts: Any) -> dict[str, tuple[int, ...]]:
    """Split a folder, and list the set numbers of each phase."""
    asked: dict[Phase, Part] = {phase: parts.get(phase) for phase in Phase}
    found = split_parts(path, asked, discover, seed=seed)
    return {str(phase): catalog.set_numbers for phase, catalog in found.items()}


def test_without_parts_everything_is_for_training(write: Callable[..., Path]) -> None:
    assert split(write({3: 2, 7: 2})) == {"train": (3, 7)}


def test_set_numbers_are_taken_from_the_rest(write: Callable[..., Path]) -> None:
    found = split(write(TEN), val=[7, 3], test=(1,), predict=range(9, 11))
    assert found == {"train": (2, 4, 5, 6, 8), "val": (3, 7), "test": (1,), "predict": (9, 10)}


def test_a_fraction_is_drawn_from_what_is_not_named(write: Callable[..., Path]) -> None:
    found = split(write(TEN), val=0.25, test=[1, 2])
    assert found["test"] == (1, 2)
    assert len(found["val"]) == 2  # a quarter of eight
    assert sorted(found["train"] + found["val"]) == [3, 4, 5, 6, 7, 8, 9, 10]


def test_training_sets_can_be_named_too(write: Callable[..., Path]) -> None:
    assert split(write(TEN), train=[1, 2], val=[4]) == {"train": (1, 2), "val": (4,)}
    found = split(write(TEN), train=[1, 2, 3, 4], val=0.25, test=[9])
    assert sorted(found["train"] + found["val"]) == [1, 2, 3, 4]
    assert len(found["val"]) == 1


def test_a_fraction_depends_on_the_seed(write: Callable[..., Path]) -> None:
    folder = write(TEN)
    draws = {split(folder, val=0.3, seed=seed)["val"] for seed in range(10)}
    assert len(draws) > 1
    assert split(folder, val=0.3, seed=4) == split(folder, val=0.3, seed=4)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("train", "valid"), {"train": (0,), "val": (1,)}),
        (("train", "validation", "testing"), {"train": (0,), "val": (1,), "test": (2,)}),
        (("training", "dev"), {"train": (0,), "val": (1,)}),
        (("training", "eval", "test"), {"train": (0,), "val": (1,), "test": (2,)}),
        (("train", "val", "validation"), {"train": (0,), "val": (1,)}),
        (("train", "training", "val"), {"train": (0,), "val": (2,)}),
    ],
)
def test_sub_folders_may_have_other_usual_names(
    write: Callable[..., Path],
    tmp_path: Path,
    names: Sequence[str],
    expected: Mapping[str, tuple[int, ...]],
) -> None:
    for number, name in enumerate(names):
        write({number: 2}, f"all/{name}")
    assert split(tmp_path / "all", val=0.5) == expected


def test_two_other_names_for_one_phase_are_an_error_that_names_both(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    for number, name in enumerate(("train", "valid", "dev")):
        write({number: 2}, f"all/{name}")
    problem = r"one folder for `val` in .*all, but got valid/ and dev/. Rename one to val/"
    with pytest.raises(DiscoveryError, match=problem):
        split(tmp_path / "all")
    found = split(tmp_path / "all", val=tmp_path / "all" / "dev")
    assert found == {"train": (0,), "val": (2,)}
    (tmp_path / "all" / "val").symlink_to("dev")
    assert split(tmp_path / "all") == {"train": (0,), "val": (2,)}


def test_a_folder_beside_shards_may_be_called_otherwise_too(write: Callable[..., Path]) -> None:
    folder = write(TEN)
    write({11: 2}, f"{folder.name}/validation")
    assert split(folder, val=0.2) == {"train": tuple(range(1, 11)), "val": (11,)}


def test_a_folder_that_is_not_used_is_told_of(write: Callable[..., Path], tmp_path: Path) -> None:
    for number, name in enumerate(("train", "val", "valid")):
        write({number: 2}, f"all/{name}")
    described = AutoDataModule(tmp_path / "all").describe()
    assert described.endswith("\n\nnot used: valid/, as there is val/")


def test_a_folder_of_testing_alone_lacks_training(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    write({1: 2}, "all/testing")
    with pytest.raises(DiscoveryError, match=r"shards or a folder train/ in .*, but got only tes"):
        split(tmp_path / "all")


def test_sub_folders_are_phases(write: Callable[..., Path], tmp_path: Path) -> None:
    for number, phase in enumerate(Phase):
        write({number: 2}, f"all/{phase}")
    found = split(tmp_path / "all")
    assert found == {"train": (0,), "val": (1,), "test": (2,), "predict": (3,)}


def test_a_folder_goes_before_a_fraction(write: Callable[..., Path], tmp_path: Path) -> None:
    write(TEN, "all/train")
    write({77: 2}, "all/val")
    found = split(tmp_path / "all", val=0.5, test=0.5)
    assert found["val"] == (77,)
    assert len(found["test"]) == len(found["train"]) == 5


def test_shards_beside_a_folder_are_for_training(write: Callable[..., Path]) -> None:
    folder = write({1: 2, 2: 2})
    write({1: 3}, "d/val")
    assert split(folder) == {"train": (1, 2), "val": (1,)}


def test_a_path_goes_before_everything(write: Callable[..., Path], tmp_path: Path) -> None:
    write({1: 2}, "all/train")
    write({2: 2}, "all/val")
    other = write({9: 2}, "other")
    assert split(tmp_path / "all", val=str(other))["val"] == (9,)
    assert split(tmp_path / "all", train=other)["train"] == (9,)


def test_phases_come_in_their_order(write: Callable[..., Path]) -> None:
    found = split(write(TEN), predict=[1], test=[2], val=[3])
    assert list(found) == ["train", "val", "test", "predict"]


@pytest.mark.parametrize("val", [None, 0.05, 0.3, [1, 5]])
@pytest.mark.parametrize("test", [None, 0.1, 0.4, [2]])
@pytest.mark.parametrize("seed", [0, 2**40])
def test_every_set_is_in_one_part(
    write: Callable[..., Path], val: Part, test: Part, seed: int
) -> None:
    found = split(write(TEN), val=val, test=test, seed=seed)
    assert sorted(sum(found.values(), ())) == list(TEN)
    assert ("val" in found, "test" in found) == (val is not None, test is not None)


@pytest.mark.parametrize(
    ("part", "shown"), [(1, "1"), (True, "True"), ([1.5], "[1.5]"), ({3}, "{3}"), (["3"], "['3']")]
)
def test_what_is_no_part_is_refused(write: Callable[..., Path], part: object, shown: str) -> None:
    kinds = "set numbers, the path of a folder or None"
    problem = f"Expected `val` to be a fraction, {kinds}, but got {shown}."
    with pytest.raises(ConfigError, match=re.escape(problem)):
        split(write(TEN), val=part)


def test_a_fraction_for_training_is_refused(write: Callable[..., Path]) -> None:
    problem = "Expected `train` to be set numbers, the path of a folder or None, but got 0.8."
    with pytest.raises(ConfigError, match=re.escape(problem)):
        split(write(TEN), train=0.8)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1.5])
def test_a_fraction_of_nothing_or_everything_is_refused(
    write: Callable[..., Path], fraction: float
) -> None:
    problem = f"Expected `val` to be a fraction between 0 and 1, but got {fraction}[.]"
    with pytest.raises(ConfigError, match=problem):
        split(write(TEN), val=fraction)


def test_set_numbers_beside_a_folder_are_refused(write: Callable[..., Path]) -> None:
    folder = write(TEN)
    write({1: 2}, "d/val")
    problem = r"Expected `val` to be None where .*d/val exists, but got \[3\]. Remove one"
    with pytest.raises(ConfigError, match=problem):
        split(folder, val=[3])


def test_overlapping_set_numbers_are_refused(write: Callable[..., Path]) -> None:
    problem = "Expected `val` and `test` to share no rows, but both have sample__3.npy. Give each"
    with pytest.raises(ConfigError, match=problem):
        split(write(TEN), val=[3, 4], test=[3])
    problem = "Expected `train` and `val` to share no rows, but both have sample__1.npy and 1 more"
    with pytest.raises(ConfigError, match=problem):
        split(write(TEN), train=[1, 2, 3], val=[1, 3])


def test_one_folder_for_two_phases_is_refused(write: Callable[..., Path]) -> None:
    folder, other = write(TEN), write({1: 2, 2: 2, 3: 2}, "other")
    problem = "`val` and `test` to share no rows, but both have sample__1.npy and 2 more"
    with pytest.raises(ConfigError, match=problem):
        split(folder, val=other, test=str(other))


def test_rows_behind_a_link_are_the_same_rows(write: Callable[..., Path], tmp_path: Path) -> None:
    folder = write(TEN)
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(ConfigError, match="`val` and `train` to share no rows"):
        split(folder, val=tmp_path / "link")


def test_rows_behind_a_hard_link_are_the_same_rows(write: Callable[..., Path]) -> None:
    folder = write({1: 3, 2: 3}, "d/train").parent
    (write({3: 3}, "d/val") / "sample__4.npy").hardlink_to(folder / "train" / "sample__2.npy")
    expected = r"`val` and `train` to share no rows, but both have sample__4.npy\. Give each"
    with pytest.raises(ConfigError, match=expected):
        split(folder)


def test_predicting_what_was_seen_before_is_fine(write: Callable[..., Path]) -> None:
    folder = write(TEN)
    assert split(folder, predict=folder)["predict"] == tuple(TEN)


def test_holding_out_every_set_is_refused(write: Callable[..., Path]) -> None:
    problem = (
        "Expected a set to be left for training, but all of .*d are for `val` and `test`[.] Name"
    )
    with pytest.raises(ConfigError, match=problem):
        split(write({1: 2, 2: 2, 3: 2}), val=[1, 2], test=[3])
    with pytest.raises(ConfigError, match="left for training, but of 2 sets 1 for `val` and 1 for"):
        split(write({1: 2, 2: 2}, "two"), val=0.5, test=0.5)


def test_a_set_that_does_not_exist_is_refused(write: Callable[..., Path]) -> None:
    problem = "Expected a set number of .*d, but got 11. Known: 1-10[.]"
    with pytest.raises(DataError, match=problem):
        split(write(TEN), val=[11])


def test_an_empty_list_is_refused(write: Callable[..., Path]) -> None:
    problem = "Expected at least one set of .*d to be kept, but got none"
    with pytest.raises(DataError, match=problem):
        split(write(TEN), val=[])


def test_folders_that_do_not_exist_are_refused(write: Callable[..., Path], tmp_path: Path) -> None:
    problem = "Expected `val` to exist, but got 'nowhere'. Pass its path as seen"
    with pytest.raises(MissingPathError, match=problem):
        split(write(TEN), val="nowhere")
    with pytest.raises(MissingPathError, match=r"Expected `path` to exist, but got '.*nothing'"):
        split(tmp_path / "nothing")


def test_sub_folders_without_one_for_training_are_refused(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    write({1: 2}, "all/val")
    write({1: 2}, "all/test")
    problem = r"shards or a folder train/ in .*all, but got only val/, test/. Pass `train` with"
    with pytest.raises(DiscoveryError, match=problem):
        split(tmp_path / "all")
    train = write({1: 2, 2: 2}, "elsewhere")
    assert split(tmp_path / "all", train=train)["train"] == (1, 2)


def test_parts_of_different_make_are_refused(write: Callable[..., Path], tmp_path: Path) -> None:
    folder = write({1: 2}, "all/train", labels=True)
    write({1: 2}, "all/val")
    problem = (
        "Expected `val` to be of the make of `train`, but they differ[.]\n"
        r"train: rows float32 \(2,\), labels int64 \(\)" + "\n"
        r"val: rows float32 \(2,\), labels none"
    )
    with pytest.raises(DataError, match=problem):
        split(folder.parent)
    np.save(tmp_path / "all" / "val" / "sample__1.npy", np.zeros((4, 3), np.uint8))
    with pytest.raises(DataError, match=r"val: rows uint8 \(3,\), labels none"):
        split(folder.parent)


def test_rows_to_predict_need_no_labels(write: Callable[..., Path], tmp_path: Path) -> None:
    write({1: 2}, "all/train", labels=True)
    write({5: 2}, "all/predict")
    assert split(tmp_path / "all") == {"train": (1,), "predict": (5,)}


def test_parts_packed_with_other_classes_are_refused(tmp_path: Path) -> None:
    """The numbers of ``test`` would mean other classes than those of ``train``."""
    rows = np.zeros((4, 2), np.float32)
    pack(rows, tmp_path / "train", labels=np.array(["ant", "bee", "ant", "cow"]))
    catalog = pack(rows, tmp_path / "test", labels=np.array(["bee", "cow", "bee", "cow"]))
    assert (catalog.class_names, catalog.label_names) == (None, ("bee", "cow"))
    expected = r"trained on, ant, bee, cow, but .*test was packed with bee, cow, which are other"
    with pytest.raises(DataError, match=expected):
        split_parts(tmp_path, dict.fromkeys(Phase), discover, seed=0)


def test_words_are_numbered_as_packed_classes_are(tmp_path: Path) -> None:
    pack(np.zeros((3, 1)), tmp_path / "train", labels=np.array(["ant", "bee", "cow"]))
    (tmp_path / "test").mkdir()
    (tmp_path / "test/part__1.csv").write_text("x,label\n1,cow\n2,bee\n")
    found = split_parts(tmp_path, dict.fromkeys(Phase), discover, seed=0)
    assert found[Phase.TEST].read_labels(1).tolist() == [2, 1]
