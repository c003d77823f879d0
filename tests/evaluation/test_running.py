"""Models run over splits."""

import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning import LightningDataModule, LightningModule
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from typing_extensions import override

from leyden.calibration import calibrate
from leyden.data import AutoDataModule
from leyden.data.origin import Slice
from leyden.errors import ConfigError, DataError
from leyden.evaluation import evaluate, list_evaluations
from leyden.lifecycle import reset_states, stateful_parts
from leyden.modules import ClassifierModule
from leyden.runs import RunDir
from leyden.shards import write_shards

CPU = {"accelerator": "cpu"}
ROWS = torch.arange(22, dtype=torch.float32).reshape(11, 2)


class Plain(LightningModule):
    """A module that knows nothing of leyden, and gives what its rows are."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Dropout(0.5)

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        return self.layer(inputs).sum(1)  # type: ignore[no-any-return] # a tensor

    @override
    def test_step(self, batch: Any, batch_idx: int) -> Any:
        (inputs, *_) = batch
        self.log("test/sum", inputs.sum())
        return {"loss": inputs.mean(), "first": inputs[:, 0]}


class WithOp(Plain):
    """A module as EDflow has them."""

    def eval_op(self, inputs: Tensor, labels: Tensor) -> Any:
        return {"outputs": inputs, "labels": {"loss": (inputs[:, 0] - labels).abs()}}


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path / "run")


@pytest.mark.parametrize(("split", "sets"), [("test", [2, 4]), ("val", [5]), ("train", [1, 3, 6])])
def test_every_row_of_a_split_is_stored_with_its_set_and_its_place(
    run: RunDir,
    data: AutoDataModule,
    module: ClassifierModule,
    shards: Path,
    split: str,
    sets: list[int],
) -> None:
    found = evaluate(module, data, run, split=split, global_step=5, trainer=CPU)
    records = found.records
    keys = list(zip(records["set_number"].tolist(), records["row"].tolist(), strict=True))
    assert sorted(keys) == [(number, row) for number in sets for row in range(10 + number)]
    labels = np.load(shards / "labels.npz")
    rows = {number: np.load(shards / f"sample__{number}.npy") for number in sets}
    assert records["target"].tolist() == [labels[str(number)][row] for number, row in keys]
    inputs = torch.from_numpy(np.stack([rows[number][row] for number, row in keys]))
    with torch.no_grad():
        expected = module.eval()(inputs).softmax(1)
    assert np.allclose(records["probabilities"], expected, atol=1e-6)
    assert (found.facts["split"], found.path.name) == (split, "5")
    assert found.metrics["accuracy"] == (expected.argmax(1).numpy() == records["target"]).mean()


def test_records_are_what_calibration_reads(
    run: RunDir, data: AutoDataModule, module: ClassifierModule
) -> None:
    path = evaluate(module, data, run, trainer=CPU).records.path
    found = calibrate(path, "f1", score="probabilities", subset_size=1)
    assert found.subset is not None
    assert set(found.subset.sets) < {2, 4}


def test_nothing_is_changed_by_looking(
    run: RunDir, data: AutoDataModule, module: ClassifierModule
) -> None:
    module.train()
    weights = {name: value.clone() for name, value in module.state_dict().items()}
    state, own = torch.get_rng_state(), set(vars(data))
    evaluate(module, data, run, trainer=CPU)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(weights[name], value) for name, value in module.state_dict().items())
    assert module.training
    assert (data.trainer, module._trainer) == (None, None)
    assert {"predict_dataloader", "setup", "num_windows"}.isdisjoint(set(vars(data)) - own)


@pytest.mark.parametrize("is_shuffled", [False, True])
def test_rows_of_plain_loaders_are_known_by_their_place_in_the_data_set(
    run: RunDir, is_shuffled: bool
) -> None:
    torch.manual_seed(0)
    loader = DataLoader(TensorDataset(ROWS), batch_size=4, shuffle=is_shuffled)
    records = evaluate(Plain(), loader, run, trainer=CPU).records
    assert records["set_number"].tolist() == [0] * 11
    assert sorted(records["row"].tolist()) == list(range(11))
    assert (records["row"].tolist() == list(range(11))) is not is_shuffled
    assert np.array_equal(records["predictions"], ROWS.sum(1).numpy()[records["row"]])


def test_several_loaders_count_as_sets(run: RunDir) -> None:
    loaders = [DataLoader(TensorDataset(ROWS[:start]), batch_size=4) for start in (3, 5)]
    records = evaluate(Plain(), loaders, run, trainer=CPU).records
    assert records["set_number"].tolist() == [0] * 3 + [1] * 5
    assert records["row"].tolist() == [*range(3), *range(5)]


class Stream(IterableDataset[Any]):
    @override
    def __iter__(self) -> Any:
        return iter({"image": row, "label": index} for index, row in enumerate(ROWS))


def test_streams_of_dictionaries_are_counted(run: RunDir) -> None:
    class Sums(Plain):
        @override
        def predict_step(self, batch: Any, batch_idx: int) -> Any:
            return batch["image"].sum(1), [f"{value:.0f}" for value in batch["image"][:, 0]]

    records = evaluate(Sums(), DataLoader(Stream(), batch_size=4), run, trainer=CPU).records
    assert records["row"].tolist() == records["target"].tolist() == list(range(11))
    assert records["predictions_0"].tolist() == ROWS.sum(1).tolist()
    assert records["predictions_1"][:2].tolist() == ["0", "2"]


def test_eval_op_is_called_with_the_parts_of_a_batch(run: RunDir) -> None:
    loader = DataLoader(TensorDataset(ROWS, torch.zeros(11)), batch_size=4)
    found = evaluate(WithOp(), loader, run, trainer=CPU, metrics={"m": lambda r: r["row"].sum()})
    assert found.facts["method"] == "eval_op"
    assert list(found.records) == ["set_number", "row", "target", "outputs", "labels.loss"]
    assert found.records["labels.loss"].tolist() == ROWS[:, 0].tolist()
    assert found.metrics == {"m": 55.0}


def test_test_step_is_called_as_lightning_does(run: RunDir) -> None:
    loader = DataLoader(TensorDataset(ROWS, torch.zeros(11)), batch_size=4)
    records = evaluate(Plain(), loader, run, method="test_step", trainer=CPU).records
    assert records["first"].tolist() == ROWS[:, 0].tolist()
    assert records["loss"][:4].tolist() == [ROWS[:4].mean()] * 4  # that of the batch


def test_plain_data_modules_have_their_splits(run: RunDir) -> None:
    class Own(LightningDataModule):
        @override
        def setup(self, stage: str) -> None:
            self.rows = {"fit": ROWS[:6], "test": ROWS[6:]}[stage]

        @override
        def val_dataloader(self) -> Any:
            return DataLoader(TensorDataset(self.rows), batch_size=4)

        @override
        def test_dataloader(self) -> Any:
            return DataLoader(TensorDataset(self.rows), batch_size=4)

    for split, rows in (("val", ROWS[:6]), ("test", ROWS[6:])):
        found = evaluate(Plain(), Own(), run, split=split, trainer=CPU)
        assert found.records["predictions"].tolist() == rows.sum(1).tolist()
    with pytest.raises(DataError, match="Expected a `predict` part of the data, but there is none"):
        evaluate(Plain(), Own(), run, split="predict", trainer=CPU)


def test_other_data_modules_are_asked_of_the_split_that_there_is(run: RunDir) -> None:
    class Own(LightningDataModule):
        @override
        def val_dataloader(self) -> Any:
            return DataLoader(TensorDataset(ROWS[:6]), batch_size=3)

        def num_windows(self, phase: str, epoch: int) -> int:
            return {"val": 1}[phase]

        def origin(self, phase: str, epoch: int, batch_index: int) -> Any:
            slices = [Slice({"val": 7}[phase], np.arange(3) + 3 * batch_index)]
            return SimpleNamespace(slices=slices)

    records = evaluate(Plain(), Own(), run, split="val", trainer=CPU).records
    assert records["set_number"].tolist() == [7] * 6
    assert records["row"].tolist() == list(range(6))


def test_windows_of_a_batch_are_one_row(run: RunDir, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    series: Any = {n: random.normal(size=(6, 10, 2)).astype(np.float32) for n in (1, 2)}
    write_shards(tmp_path / "s", series, labels={n: np.arange(6) % 2 for n in (1, 2)})
    data = AutoDataModule(tmp_path / "s", val=None, test=[2], batch_size=4, windows={"size": 5})
    lstm = {"type": "lstm", "hidden": 4}
    module = ClassifierModule(lstm, input_shape=(5, 2), num_classes=2)
    records = evaluate(module, data, run, trainer=CPU).records
    by_hand = evaluate(module, data.test_dataloader(), run, global_step=1, trainer=CPU).records
    assert by_hand.keys() == records.keys()
    assert all(np.array_equal(by_hand[name], records[name]) for name in records)
    assert records["row"].tolist() == list(range(6))
    with torch.no_grad():
        module.eval()
        rows = torch.from_numpy(series[2])
        reset_states(stateful_parts(module))
        first, second = (module(rows[:, part]).softmax(1) for part in (slice(5), slice(5, 10)))
    assert np.allclose(records["probabilities"], (first + second) / 2, atol=1e-6)
    assert not np.allclose(records["probabilities"], second, atol=1e-6)


def test_memory_does_not_grow_with_the_rows(run: RunDir) -> None:
    class Large(Plain):
        @override
        def predict_step(self, batch: Any, batch_idx: int) -> Any:
            return batch[0][:, :1].expand(-1, 50_000)  # 200 kB a row

    def peak(count: int) -> int:
        loader = DataLoader(TensorDataset(torch.zeros(count, 2)), batch_size=8)
        tracemalloc.start()
        evaluate(Large(), loader, run, trainer=CPU, metrics=())
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    few, many = peak(16), peak(160)  # 3 MB and 32 MB
    assert many - few < 4_000_000


def test_slips_are_told_before_anything_is_run(
    run: RunDir, data: AutoDataModule, module: ClassifierModule
) -> None:
    with pytest.raises(ConfigError, match=r"got 'tset'. Did you mean 'test'"):
        evaluate(module, data, run, split="tset")
    with pytest.raises(ConfigError, match=r"got 'predict'. Did you mean 'predict_step'"):
        evaluate(module, data, run, method="predict")  # type: ignore[arg-type] # a slip
    with pytest.raises(ConfigError, match="to have a method `eval_op`, but it has none"):
        evaluate(module, data, run, method="eval_op")
    with pytest.raises(ConfigError, match="got 'acuracy'"):
        evaluate(module, data, run, metrics=["acuracy"])
    with pytest.raises(ConfigError, match="Expected one process to evaluate in, but got 2"):
        evaluate(module, data, run, trainer={"accelerator": "cpu", "devices": 2})
    assert list_evaluations(run.path) == []


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        (None, "the step returned nothing"),
        ({"row": torch.zeros(4)}, "outputs of other names than 'row'"),
        (torch.zeros(3), r"for each of the 4 rows of a batch"),
    ],
)
def test_outputs_that_are_no_rows_leave_nothing_behind(
    run: RunDir, outputs: Any, told: str
) -> None:
    class Wrong(Plain):
        @override
        def predict_step(self, batch: Any, batch_idx: int) -> Any:
            return outputs

    with pytest.raises(DataError, match=told):
        evaluate(Wrong(), DataLoader(TensorDataset(ROWS), batch_size=4), run, trainer=CPU)
    assert list(run.evaluation_dir.iterdir()) == []


def test_rows_stay_if_a_metric_fails(
    run: RunDir, data: AutoDataModule, module: ClassifierModule
) -> None:
    with pytest.raises(ConfigError, match="to return a number"):
        evaluate(module, data, run, trainer=CPU, metrics={"bad": lambda r: None})
    (one,) = list_evaluations(run.path)
    assert one.add_metrics(["accuracy"]).metrics.keys() == {"accuracy"}
