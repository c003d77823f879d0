"""What a user of an older system ran into, one number after another, does not happen here."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from safetensors.numpy import save_file
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.optim import SGD
from torchmetrics import CatMetric
from typing_extensions import override

import leyden
from leyden.data import AutoDataModule, Preprocessing
from leyden.errors import ConfigError, DataError, DiscoveryError, ResumeError, ShardError
from leyden.shards import discover, known_extensions
from leyden.shards.readers import NpyReader
from leyden.types import Array, Reader, Rows

Write: TypeAlias = Callable[..., Path]
MakeTrainer: TypeAlias = Callable[..., Trainer]

# The runs that go on write no checkpoints, and so have no callback for it.
pytestmark = pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`:UserWarning")


def inputs_of(batch: Any) -> Tensor:
    inputs: Tensor = batch if isinstance(batch, Tensor) else batch[0]
    return inputs


def labelled(batch: Any) -> tuple[Tensor, Tensor]:
    inputs, labels = batch
    return inputs, labels


def rows_of(data: AutoDataModule, phase: str = "train", epoch: int = 0) -> list[list[float]]:
    """All rows of an epoch, in order."""
    batches = [data.fetch(phase, epoch, index) for index in range(len(data.plan(phase, epoch)))]
    return [row for batch in batches for row in inputs_of(batch).tolist()]


def names_of(data: AutoDataModule, epoch: int = 0) -> list[str]:
    return [origin.name for origin in data.plan("train", epoch)]


def in_order(lengths: Mapping[int, int]) -> list[list[float]]:
    """The rows that ``write`` writes, set by set."""
    return [[number, row] for number, length in lengths.items() for row in range(length)]


class Auditor(LightningModule):
    """Notes the name and the rows of every batch, and gathers validation rows in a metric."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.rows = CatMetric()
        self.names: list[str] = []
        self.seen: list[list[list[float]]] = []
        self.validated: list[list[list[float]]] = []  # the rows of each validation

    def name_of_this(self) -> str:
        status = self.trainer.datamodule.status  # type: ignore[attr-defined] # set outside
        return f"{status.phase} {status.name}"

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.names.append(self.name_of_this())
        self.seen.append(batch.tolist())
        loss: Tensor = self.layer(batch).sum()
        return loss

    @override
    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.names.append(self.name_of_this())
        self.rows.update(batch)

    @override
    def on_validation_epoch_end(self) -> None:
        self.names.append("val is over")
        found = self.rows.compute()
        self.validated.append(found.tolist())
        self.rows.reset()

    @override
    def configure_optimizers(self) -> SGD:
        return SGD(self.parameters(), lr=1e-6)


# D1: the file of labels was told from the data by comparing paths as text.


@pytest.mark.parametrize(
    ("folder", "labels"), list(product(["d", "./x/../d", "{root}/d", "link"], repeat=2))
)
def test_labels_among_the_shards_are_known_however_their_path_is_spelled(
    workplace: Path, write: Write, folder: str, labels: str
) -> None:
    write({1: 2, 2: 3})
    np.save(workplace / "d" / "sample__9.npy", np.arange(5))
    (workplace / "x").mkdir()
    (workplace / "link").symlink_to("d")
    folder, labels = (path.format(root=workplace) for path in (folder, labels))
    data = AutoDataModule(folder, labels=f"{labels}/sample__9.npy", batch_size=5, shuffle="none")
    inputs, classes = labelled(data.fetch("train", 0, 0))
    assert inputs.tolist() == in_order({1: 2, 2: 3})
    assert classes.tolist() == [0, 1, 2, 3, 4]


def test_one_folder_in_two_spellings_is_not_taken_for_two(workplace: Path, write: Write) -> None:
    data = AutoDataModule("d", val=str(write({1: 2, 2: 3})))
    with pytest.raises(ConfigError, match=r"to share no rows, but both have sample__1\.npy"):
        data.setup("fit")


# D2: in a folder, files of unknown extensions were not looked at even with a loader for them.


class BytesReader:
    """Opens a file of pairs of bytes."""

    def __init__(self, path: Path) -> None:
        self._rows = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 2)
        self.shape, self.dtype = self._rows.shape, self._rows.dtype

    def read(self, rows: Rows) -> Array:
        return self._rows[rows]


@pytest.mark.parametrize("extension", [".bin", ""])
def test_a_folder_of_an_unknown_extension_is_read_by_a_reader_of_ones_own(
    tmp_path: Path, extension: str
) -> None:
    for number in (1, 2, 10):
        (tmp_path / f"ecg_{number}{extension}").write_bytes(bytes([number, 0, number, 1]))
    data = AutoDataModule(tmp_path, reader=BytesReader, batch_size=4, shuffle="none")
    assert rows_of(data) == in_order({1: 2, 2: 2, 10: 2})


# D3: numbers were what was left of a name without the longest text common to all names.


@pytest.mark.parametrize(
    "names",
    [
        [f"b{number}" for number in range(10, 20)],  # all begin alike
        ["b1", "b10", "b11"],  # one begins like the others
        ["b10", "b20", "b30"],  # all end alike
        ["a110", "a210", "a310"],
        [f"data_{number:03}" for number in range(1, 13)],  # zeros in front
        ["x08", "x9", "x10"],
        ["128batch__1", "128batch__48"],
        ["ecg2_2", "ecg2_22"],
        ["7", "77"],
    ],
)
def test_every_set_is_read_from_the_file_with_its_number(tmp_path: Path, names: list[str]) -> None:
    numbers = [int(re.findall(r"\d+", name)[-1]) for name in names]
    for name, number in zip(names, numbers, strict=True):
        np.save(tmp_path / f"{name}.npy", np.array([[number, 0], [number, 1]]))
    data = AutoDataModule(tmp_path, batch_size=2, shuffle="none")
    assert names_of(data) == [str(number) for number in numbers]
    assert rows_of(data) == in_order(dict.fromkeys(numbers, 2))


def test_text_after_the_number_is_an_error_that_a_pattern_settles(tmp_path: Path) -> None:
    for number in (1, 2):
        np.save(tmp_path / f"a{number}_v2.npy", np.array([[number, 0]]))
        np.save(tmp_path / f"b{number}_left.npy", np.array([[number, 0]]))
    problem = r"the set number at the end .* but got b1_left\.npy, b2_left\.npy\. Pass `pattern`"
    with pytest.raises(DiscoveryError, match=problem):
        AutoDataModule(tmp_path).setup("fit")
    for pattern in (r"a(?P<number>\d+)_v2", r"b(?P<number>\d+)_left"):
        data = AutoDataModule(tmp_path, pattern=pattern, shuffle="none")
        assert rows_of(data) == [[1, 0], [2, 0]]


def test_a_version_after_the_number_is_an_error_that_lists_both_names(tmp_path: Path) -> None:
    np.save(tmp_path / "a1_v2.npy", np.zeros((2, 2)))
    np.save(tmp_path / "a2_v2.npy", np.zeros((2, 2)))
    problem = r"one group of numbered files(.|\n)*a1_v<number>(.|\n)*a2_v<number>(.|\n)*`pattern`"
    with pytest.raises(DiscoveryError, match=problem):
        AutoDataModule(tmp_path).setup("fit")


def test_one_number_written_in_two_ways_is_an_error(tmp_path: Path) -> None:
    np.save(tmp_path / "a1.npy", np.zeros((2, 2)))
    np.save(tmp_path / "a01.npy", np.zeros((2, 2)))
    with pytest.raises(DiscoveryError, match=r"a01\.npy and a1\.npy are both 1"):
        AutoDataModule(tmp_path).setup("fit")


def test_a_stray_file_does_not_change_the_numbers(tmp_path: Path) -> None:
    for name in ("batch32_0", "batch32_7", "mean"):
        np.save(tmp_path / f"{name}.npy", np.array([[int(name[-1] == "7"), 0]]))
    data = AutoDataModule(tmp_path, batch_size=1, shuffle="none")
    assert (names_of(data), rows_of(data)) == (["0", "7"], [[0, 0], [1, 0]])


# D4: numbers of sets were texts, and whole numbers never matched.


def test_sets_are_given_as_whole_numbers(write: Write) -> None:
    data = AutoDataModule(
        write({1: 2, 7: 3, 8: 1, 10: 1}), train=[10, 7], val=(8,), shuffle="none", batch_size=9
    )
    assert rows_of(data) == in_order({7: 3, 10: 1})
    assert rows_of(data, "val") == [[8, 0]]
    data.schedule("train", [10, 7])
    assert rows_of(data) == in_order({10: 1, 7: 3})


def test_texts_are_no_numbers_of_sets(write: Write) -> None:
    with pytest.raises(ConfigError, match=r"Expected `val` to be .*, set numbers, .*got \['8'\]"):
        AutoDataModule(write({1: 2, 8: 1}), val=["8"]).setup("fit")  # type: ignore[list-item] # a wrong one


# D5: the epoch was over with the first part of its last set; the rest came into the next one.


def test_all_parts_of_the_last_set_belong_to_their_epoch(
    write: Write, make_trainer: MakeTrainer
) -> None:
    folder = write({1: 4, 2: 4, 3: 12, 8: 10})
    data, module = AutoDataModule(folder, val=[8], batch_size=4, shuffle="none"), Auditor()
    make_trainer(max_epochs=2, num_sanity_val_steps=0).fit(module, data)
    train = [f"train {name}" for name in ("1", "2", "3-a", "3-b", "3-c")]
    val = [f"val {name}" for name in ("8-a", "8-b", "8-c")]
    assert module.names == 2 * [*train, *val, "val is over"]
    assert module.validated == 2 * [in_order({8: 10})]


def test_parts_of_an_epoch_that_is_broken_off_do_not_come_into_the_next(
    write: Write, make_trainer: MakeTrainer
) -> None:
    data = AutoDataModule(write({1: 4, 3: 12}), batch_size=4, shuffle="none")
    module = Auditor()
    make_trainer(max_epochs=2, limit_train_batches=2).fit(module, data)
    make_trainer(max_epochs=1).fit(module, data)
    broken, whole = ["1", "3-a"], ["1", "3-a", "3-b", "3-c"]
    assert module.names == [f"train {name}" for name in [*broken, *broken, *whole]]


# D6: an order once shuffled could not be had unshuffled.


def test_no_shuffle_is_honoured_after_a_shuffled_one(
    write: Write, make_trainer: MakeTrainer
) -> None:
    lengths = {1: 5, 2: 6, 3: 7}
    folder = write(lengths)
    shuffled, module = AutoDataModule(folder, shuffle="full", batch_size=18), Auditor()
    make_trainer(max_epochs=2).fit(module, shuffled)
    assert module.seen[0] != module.seen[1] != in_order(lengths)
    plain, module = AutoDataModule(folder, shuffle="none", batch_size=18), Auditor()
    make_trainer(max_epochs=2).fit(module, plain)
    assert module.seen == 2 * [in_order(lengths)]


def test_no_shuffle_is_honoured_for_one_plan_of_a_shuffled_module(write: Write) -> None:
    data = AutoDataModule(write({1: 5, 2: 6, 3: 7}), shuffle="full", batch_size=6)
    before = names_of(data, 1)
    natural = [origin.name for origin in data.plan("train", 1, shuffle="none")]
    assert natural == ["1+2-a", "2-b+3-a", "3-b"]
    assert names_of(data, 1) == before != natural


# D7: asking for a batch before advancing to one failed.


def test_the_first_thing_asked_for_may_be_a_batch(write: Write) -> None:
    folder = write({1: 4})
    arguments: dict[str, Any] = {"batch_size": 2, "shuffle": "none"}
    first = AutoDataModule(folder, **arguments).fetch("train", 0, 1)
    assert inputs_of(first).tolist() == [[1, 2], [1, 3]]
    first = next(iter(AutoDataModule(folder, **arguments).train_dataloader()))
    assert inputs_of(first).tolist() == [[1, 0], [1, 1]]


def test_the_first_thing_asked_for_may_be_a_batch_of_windows(tmp_path: Path) -> None:
    series = np.arange(2 * 6, dtype=np.float32).reshape(2, 6, 1)
    np.save(tmp_path / "a1.npy", series)
    windows = leyden.TimeWindows(size=3)
    data = AutoDataModule(tmp_path, windows=windows, batch_size=2, shuffle="none")
    first = inputs_of(next(iter(data.train_dataloader())))
    assert first.tolist() == series[:, :3].tolist()


# D8: what was to be preloaded was loaded from elsewhere.


@pytest.fixture
def two_places(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders of sets with the same numbers and other rows."""
    folders = tmp_path / "here", tmp_path / "there"
    for place, folder in enumerate(folders):
        folder.mkdir()
        for number in (1, 2, 3):
            np.save(folder / f"a{number}.npy", np.array([[place, number], [place, -number]]))
    return folders


@pytest.mark.parametrize("preload", ["all", "4GiB", [1, 3]])
def test_preloaded_sets_are_those_of_their_phase(
    two_places: tuple[Path, Path], preload: Any
) -> None:
    here, there = two_places
    data = AutoDataModule(here, val=str(there), preload=preload, batch_size=2, shuffle="none")
    for place, loader in enumerate((data.train_dataloader(), data.val_dataloader())):
        expected = [[[place, number], [place, -number]] for number in (1, 2, 3)]
        for _ in range(2):
            assert [inputs_of(batch).tolist() for batch in loader] == expected


@pytest.mark.parametrize(
    ("preload", "read_again"), [("all", set()), ("1GiB", set()), ([1, 3], {"sample__2.npy"})]
)
def test_preloaded_sets_are_read_once_and_the_others_each_time(
    write: Write, counting: Any, preload: Any, read_again: set[str]
) -> None:
    data = AutoDataModule(write({1: 2, 2: 2, 3: 2}), reader=counting, preload=preload, batch_size=2)
    loader = data.train_dataloader()
    list(loader)
    counting.read_rows.clear()
    assert len(list(loader)) == 3
    assert {name for name, _ in counting.read_rows} == read_again


# D9: a set of more than 26 parts failed for want of letters.


def test_parts_beyond_the_alphabet_have_names_and_are_trained_on(
    write: Write, make_trainer: MakeTrainer
) -> None:
    data, module = AutoDataModule(write({7: 29}), batch_size=1, shuffle="none"), Auditor()
    make_trainer(max_epochs=1).fit(module, data)
    assert module.names[24:] == [f"train 7-{part}" for part in ("y", "z", "aa", "ab", "ac")]
    assert module.seen == [[row] for row in in_order({7: 29})]


# D10: the place in the data did not come back from a file, and the batch in progress was lost.


def trained(make_trainer: MakeTrainer, data: AutoDataModule, **options: Any) -> Auditor:
    """Train for two epochs, or as told."""
    module, path = Auditor(), options.pop("ckpt_path", None)
    make_trainer(**({"max_epochs": 2} | options)).fit(module, data, ckpt_path=path)
    return module


@pytest.mark.parametrize("step", range(1, 8))
def test_a_checkpoint_file_goes_on_in_the_middle_of_an_epoch_without_a_batch_lost_or_repeated(
    write: Write, tmp_path: Path, make_trainer: MakeTrainer, step: int
) -> None:
    folder = write({1: 9, 2: 4, 5: 2})  # 15 rows: four batches an epoch, with parts and unions
    whole = trained(make_trainer, AutoDataModule(folder, batch_size=4))
    keep = ModelCheckpoint(tmp_path / "saved", "{step}", every_n_train_steps=1)
    before = trained(
        make_trainer, AutoDataModule(folder, batch_size=4), max_steps=step, callbacks=[keep]
    )
    path = tmp_path / "saved" / f"step={step}.ckpt"
    after = trained(make_trainer, AutoDataModule(folder, batch_size=4), ckpt_path=path)
    assert (len(whole.seen), len(before.seen)) == (8, step)
    assert before.seen + after.seen == whole.seen
    assert before.names + after.names == whole.names


@pytest.mark.parametrize("step", [1, 4, 5])
def test_a_checkpoint_file_brings_back_the_sets_that_were_to_come(
    write: Write, tmp_path: Path, make_trainer: MakeTrainer, step: int
) -> None:
    folder, order = write({1: 3, 2: 4, 5: 2}), [5, 1, 5, 5]
    data = AutoDataModule(folder, batch_size=2)
    data.schedule("train", order)  # 9 rows: five batches an epoch
    keep = ModelCheckpoint(tmp_path / "saved", "{step}", every_n_train_steps=1, save_top_k=-1)
    whole = trained(make_trainer, data, callbacks=[keep])
    path = tmp_path / "saved" / f"step={step}.ckpt"
    after = trained(make_trainer, AutoDataModule(folder, batch_size=2), ckpt_path=path)
    assert after.seen == whole.seen[step:]
    assert {number for batch in whole.seen for number, _ in batch} == {1, 5}


# D11: preprocessors from a file silently took the place of those that were passed.


@pytest.fixture
def scaled_checkpoint(write: Write, tmp_path: Path, make_trainer: MakeTrainer) -> Path:
    """A checkpoint of a run with a scaler, and the data in the folder ``d`` beside it."""
    data = AutoDataModule(write({1: 4}), preprocessors=["standard_scaler"])
    trainer = make_trainer(max_epochs=1)
    trainer.fit(Auditor(), data)
    trainer.save_checkpoint(tmp_path / "scaled.ckpt")
    return tmp_path / "scaled.ckpt"


@pytest.mark.parametrize(
    ("passed", "shown"),
    [
        ("min_max_scaler", "MinMaxScaler"),
        ({"type": "standard_scaler", "with_mean": False}, '"with_mean": false'),
    ],
)
def test_preprocessors_other_than_those_of_the_checkpoint_are_an_error(
    scaled_checkpoint: Path, make_trainer: MakeTrainer, passed: Any, shown: str
) -> None:
    data = AutoDataModule(scaled_checkpoint.parent / "d", preprocessors=[passed])
    before = rows_of(data)
    problem = rf"Preprocessors changed\.\nsaved: .*StandardScaler.*\ngiven: .*{shown}"
    with pytest.raises(ResumeError, match=problem):
        trained(make_trainer, data, ckpt_path=scaled_checkpoint)
    assert rows_of(data) == before


def test_preprocessors_of_the_checkpoint_that_are_not_passed_are_an_error(
    scaled_checkpoint: Path, make_trainer: MakeTrainer
) -> None:
    data = AutoDataModule(scaled_checkpoint.parent / "d")
    with pytest.raises(ResumeError, match="without a state of preprocessors, but it has one"):
        trained(make_trainer, data, ckpt_path=scaled_checkpoint)


def test_preprocessors_of_one_of_several_inputs_that_are_not_passed_are_an_error(
    tmp_path: Path,
) -> None:
    np.savez(tmp_path / "a1.npz", u=np.arange(6.0).reshape(3, 2), v=np.arange(3.0)[:, None])
    scaled, half = {"u": ["standard_scaler"], "v": ["standard_scaler"]}, {"u": ["standard_scaler"]}
    source = AutoDataModule(tmp_path, inputs=["u", "v"], preprocessors=scaled)
    data = AutoDataModule(tmp_path, inputs=["u", "v"], preprocessors=half)
    source.setup("fit")
    with pytest.raises(ResumeError, match=r"[Pp]reprocessors"):
        data.load_state_dict(source.state_dict())


def test_preprocessors_that_the_checkpoint_lacks_are_an_error(
    write: Write, tmp_path: Path, make_trainer: MakeTrainer
) -> None:
    folder, trainer = write({1: 4}), make_trainer(max_epochs=1)
    trainer.fit(Auditor(), AutoDataModule(folder))
    trainer.save_checkpoint(tmp_path / "plain.ckpt")
    data = AutoDataModule(folder, preprocessors=["standard_scaler"])
    with pytest.raises(ResumeError, match="with the state of preprocessors, but it has none"):
        trained(make_trainer, data, ckpt_path=tmp_path / "plain.ckpt")


# D12: a memory-mapped format was offered, and did not exist.


def save_text(path: Path, array: Array) -> None:
    sign = "\t" if path.suffix == ".tsv" else ","
    np.savetxt(path, array, delimiter=sign, header=f"u{sign}v", comments="")


def save_hdf5(path: Path, arrays: Mapping[str, Array]) -> None:
    with pytest.importorskip("h5py").File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


def save_compressed(path: Path, array: Array) -> None:
    package = "lz4.frame" if path.suffix == ".lz4" else "zstandard"
    with pytest.importorskip(package).open(path, "wb") as stream:
        np.save(stream, array)


ADVERTISED: dict[str, Callable[[Path, Array], None]] = {
    ".npy": np.save,
    ".npz": lambda path, array: np.savez(path, x=array),
    ".h5": lambda path, array: save_hdf5(path, {"x": array}),
    ".hdf5": lambda path, array: save_hdf5(path, {"x": array}),
    ".safetensors": lambda path, array: save_file({"x": array}, path),
    ".csv": save_text,
    ".tsv": save_text,
    ".parquet": lambda path, array: pq.write_table(
        pa.table({"u": array[:, 0], "v": array[:, 1]}), path
    ),
    ".npy.lz4": save_compressed,
    ".npy.zst": save_compressed,
}


def test_the_formats_that_are_known_are_those_that_are_advertised() -> None:
    assert set(known_extensions()) == set(ADVERTISED)


@pytest.mark.parametrize("extension", ADVERTISED)
def test_every_advertised_format_opens_as_a_folder_and_as_a_file(
    tmp_path: Path, extension: str
) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    arrays = [np.array([[number, 0.5], [number, 1.5]]) for number in (1, 2)]
    for number, array in enumerate(arrays, start=1):
        ADVERTISED[extension](folder / f"a{number}{extension}", array)
    data = AutoDataModule(folder, batch_size=4, shuffle="none")
    assert rows_of(data) == np.concatenate(arrays).tolist()
    data = AutoDataModule(folder / f"a2{extension}", rows_per_set=1, shuffle="none")
    assert rows_of(data) == arrays[1].tolist()
    assert data.plan("train", 0).set_order == (1, 2)


def test_arrays_are_mapped_and_not_read_whole(tmp_path: Path) -> None:
    shape = (1 << 16, 1 << 20)  # 64 GiB, of which the disk holds next to nothing
    np.lib.format.open_memmap(tmp_path / "a1.npy", mode="w+", dtype=np.uint8, shape=shape)
    catalog = discover(tmp_path)
    rows = catalog.open_data(1).read(np.array([shape[0] - 1, 0]))
    assert (catalog.num_samples, rows.shape) == (1 << 16, (2, 1 << 20))
    assert not rows.any()


# D13: sets of a compressed file could not be told apart.


@pytest.mark.parametrize("extension", [".npy.lz4", ".npy.zst"])
@pytest.mark.parametrize("mode", ["folder", "rows", "sets"])
def test_compressed_sets_are_found_in_a_folder_and_in_one_file(
    tmp_path: Path, extension: str, mode: str
) -> None:
    sets = np.array([[[number, row] for row in range(3)] for number in (1, 2, 3, 4)], np.float32)
    options: dict[str, Any] = {}
    if mode == "folder":
        for number, array in enumerate(sets, start=1):
            save_compressed(tmp_path / f"a{number}{extension}", array)
    else:
        whole = sets if mode == "sets" else sets.reshape(12, 2)
        save_compressed(tmp_path / f"all{extension}", whole)
        options = {"leading_axis": "sets"} if mode == "sets" else {"rows_per_set": 3}
    path = tmp_path if mode == "folder" else tmp_path / f"all{extension}"
    data = AutoDataModule(path, train=[2, 3], val=[4], batch_size=3, shuffle="none", **options)
    assert names_of(data) == ["2", "3"]
    assert rows_of(data) == in_order({2: 3, 3: 3})
    assert rows_of(data, "val") == in_order({4: 3})
    inputs_of(data.fetch("train", 0, 0)).zero_()  # no read-only memory


# D14: loaders had to be plain functions.


def open_scaled(path: Path, *, factor: int) -> Reader:
    return ScaledReader(path, factor)


class ScaledReader(NpyReader):
    """Opens a ``.npy`` file, and multiplies its rows."""

    def __init__(self, path: Path, factor: int = 3) -> None:
        super().__init__(path)
        self._factor = factor

    @override
    def read(self, rows: Rows) -> Array:
        return super().read(rows) * self._factor


class OpensScaled:
    """A callable object that opens files."""

    def __call__(self, path: Path) -> Reader:
        return open_scaled(path, factor=3)

    def open(self, path: Path) -> Reader:
        return self(path)


@pytest.mark.parametrize(
    "reader",
    [
        partial(open_scaled, factor=3),
        partial(ScaledReader, factor=3),
        OpensScaled(),
        OpensScaled().open,
        ScaledReader,
        lambda path: open_scaled(path, factor=3),
    ],
    ids=["partial", "partial class", "object", "method", "class", "lambda"],
)
def test_anything_that_can_be_called_is_a_reader(write: Write, reader: Any) -> None:
    folder = write({1: 2, 2: 2})
    data = AutoDataModule(folder, reader=reader, batch_size=4, shuffle="none")
    assert rows_of(data) == [[3, 0], [3, 3], [6, 0], [6, 3]]
    one = AutoDataModule(folder / "sample__2.npy", reader=reader, batch_size=4, shuffle="none")
    assert rows_of(one) == [[6, 0], [6, 3]]


# D15: keys of HDF5 files came in the order of the alphabet: 0, 1, 10, 11, 2.


def test_numbered_arrays_of_hdf5_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    save_hdf5(tmp_path / "all.h5", {str(n): np.array([[n, 0], [n, 1]]) for n in range(12)})
    save_hdf5(tmp_path / "labels.h5", {str(n): np.array([n, n]) for n in range(12)})
    data = AutoDataModule(tmp_path / "all.h5", batch_size=2, shuffle="none")
    assert names_of(data) == [str(number) for number in range(12)]
    assert rows_of(data) == in_order(dict.fromkeys(range(12), 2))
    for number in range(12):
        assert labelled(data.fetch("train", 0, number))[1].tolist() == [number, number]


# D16: numbers of sets that were given did not spare anyone the search that failed.


def test_given_sets_restrict_what_is_used(
    write: Write, counting: Any, make_trainer: MakeTrainer
) -> None:
    folder = write({1: 3, 2: 2, 3: 4, 4: 2, 5: 1})
    data = AutoDataModule(folder, train=[2, 4], val=[5], reader=counting, batch_size=3)
    module = Auditor()
    make_trainer(max_epochs=2, num_sanity_val_steps=0).fit(module, data)
    for epoch in (module.seen[:2], module.seen[2:]):
        assert sorted(row for batch in epoch for row in batch) == in_order({2: 2, 4: 2})
    assert module.validated == 2 * [[[5, 0]]]
    assert {name for name, _ in counting.read_rows} == {f"sample__{n}.npy" for n in (2, 4, 5)}


def test_given_sets_restrict_what_is_used_of_a_file_with_a_reader_of_ones_own(
    tmp_path: Path,
) -> None:
    (tmp_path / "all.bin").write_bytes(bytes(range(20)))
    data = AutoDataModule(
        tmp_path / "all.bin", reader=BytesReader, rows_per_set=2, train=[5, 2], shuffle="none"
    )
    assert rows_of(data) == [[4, 5], [6, 7], [16, 17], [18, 19]]


def test_given_sets_that_do_not_exist_are_an_error_that_lists_those_that_do(write: Write) -> None:
    with pytest.raises(DataError, match=r"Expected a set number of .*, but got 6\. Known: 1-3, 5"):
        AutoDataModule(write({1: 1, 2: 1, 3: 1, 5: 1}), train=[1, 6]).setup("fit")


# D17: what one preprocessor changed was changed in all of them.


def test_two_modules_share_no_preprocessor(write: Write) -> None:
    scaler = StandardScaler()
    one = AutoDataModule(write({1: 4}, "one"), preprocessors=[scaler])
    other = AutoDataModule(write({9: 8}, "other"), preprocessors=[scaler])
    first = rows_of(one)
    assert rows_of(other) != first
    other.load_state_dict(other.state_dict())
    assert rows_of(one) == first
    assert not hasattr(scaler, "mean_")


def test_two_modules_share_no_chain_of_preprocessors(write: Write) -> None:
    chain = Preprocessing(["standard_scaler"])
    one = AutoDataModule(write({1: 4}, "one"), preprocessors=chain)
    other = AutoDataModule(write({9: 8}, "other"), preprocessors=chain)
    assert np.mean(rows_of(one), axis=0) == pytest.approx([0, 0], abs=1e-6)
    assert np.mean(rows_of(other), axis=0) == pytest.approx([0, 0], abs=1e-6)


def test_two_modules_share_no_schedule_and_no_place(write: Write) -> None:
    folder = write({1: 4, 2: 4})
    one, other = (AutoDataModule(folder, batch_size=2, shuffle="none") for _ in range(2))
    batches = iter(one.train_dataloader())
    next(batches)
    one.schedule("train", [2])
    assert other.status is None
    assert "train" not in other.state_dict()
    assert names_of(other, 1) == ["1-a", "1-b", "2-a", "2-b"]
    assert inputs_of(next(iter(other.train_dataloader()))).tolist() == [[1, 0], [1, 1]]
    assert inputs_of(next(batches)).tolist() == [[1, 2], [1, 3]]


# D18: windows longer than the series never came to an end.


@pytest.mark.parametrize(
    ("size", "starts", "window"), [(25, (0,), "25 time steps"), (15, (0, 10), "15 .* begins at 10")]
)
def test_a_series_shorter_than_the_window_is_an_error_before_the_first_step(
    tmp_path: Path, make_trainer: MakeTrainer, size: int, starts: tuple[int, ...], window: str
) -> None:
    np.save(tmp_path / "a1.npy", np.zeros((4, 20, 2), np.float32))
    module, windows = Auditor(), leyden.TimeWindows(size, starts=starts)
    with pytest.raises(DataError, match=f"as long as a window of {window}.*, but got 20"):
        make_trainer(max_epochs=2).fit(module, AutoDataModule(tmp_path, windows=windows))
    assert module.seen == []


# D57: a folder with one file was read as a file of many sets.


@pytest.mark.parametrize("extension", [name for name in ADVERTISED if name not in (".csv", ".tsv")])
def test_a_folder_with_one_file_is_one_set(tmp_path: Path, extension: str) -> None:
    array = np.array(in_order({4: 12}))
    ADVERTISED[extension](tmp_path / f"only__4{extension}", array)
    data = AutoDataModule(tmp_path, rows_per_set=2, batch_size=12, shuffle="none")
    assert (names_of(data), rows_of(data)) == (["4"], array.tolist())


def test_a_folder_with_one_file_of_images_is_not_cut_along_its_images(tmp_path: Path) -> None:
    np.save(tmp_path / "128batch__1.npy", np.zeros((128, 28, 28, 1), np.float32))
    data = AutoDataModule(tmp_path, batch_size=128)
    assert (data.sample_shape, names_of(data)) == ((28, 28, 1), ["1"])


def test_a_folder_with_one_file_of_all_sets_says_to_pass_the_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "all1.npz", **{str(n): np.zeros((2, 2)) for n in range(3)})  # type: ignore[arg-type] # NumPy's annotation
    with pytest.raises(ShardError, match="If the file holds all sets, pass its own path"):
        AutoDataModule(tmp_path).setup("fit")


def test_labels_of_a_folder_with_one_file_are_those_of_its_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "a3.npy", np.array(in_order({3: 4})))
    np.save(tmp_path / "labels.npy", np.arange(4))
    inputs, labels = labelled(AutoDataModule(tmp_path, shuffle="none").fetch("train", 0, 0))
    assert torch.equal(inputs[:, 1].long(), labels)
