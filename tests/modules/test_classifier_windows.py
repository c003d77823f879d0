"""A classifier whose batches come in time windows: what goes on, what ends, what is counted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from sklearn import metrics as by_sklearn
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset
from typing_extensions import override

from leyden.data import AutoDataModule
from leyden.errors import ConfigError
from leyden.modules import LSTM, ClassifierModule
from leyden.shards import write_shards

MakeTrainer: TypeAlias = Callable[..., Trainer]

SMALL = {"type": "lstm", "hidden": 5, "dropout": 0.0}
WINDOWS = 3
TIME = 4 * WINDOWS


@pytest.fixture
def data(tmp_path: Path) -> AutoDataModule:
    """Sets of 10 noisy series in 3 windows, whose class is the sign of their mean."""
    random = np.random.default_rng(0)
    series: Any = {n: random.normal(size=(10, TIME, 2)).astype(np.float32) for n in range(5)}
    labels: Any = {n: (rows.mean((1, 2)) > 0).astype(np.int64) for n, rows in series.items()}
    write_shards(tmp_path / "d", series, labels=labels)
    return AutoDataModule(
        tmp_path / "d", val=[3], test=[4], batch_size=5, windows={"size": TIME // WINDOWS}
    )


class Noting(ClassifierModule):
    """Notes the scores of every step."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.noted: list[Tensor] = []

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        scores = super().forward(inputs)
        self.noted.append(scores.detach().clone())
        return scores


def make(kind: type[ClassifierModule] = Noting, **kwargs: Any) -> Any:
    torch.manual_seed(0)
    optimizer = {"type": "sgd", "lr": kwargs.pop("lr", 0.1)}
    shape = (TIME // WINDOWS, 2)
    return kind(SMALL, optimizer=optimizer, input_shape=shape, num_classes=2, **kwargs)


def whole_batches(data: AutoDataModule, phase: str) -> list[Tensor]:
    """Put the windows of each batch of an epoch together again."""
    steps: list[Any] = [data.fetch(phase, 0, step) for step in range(len(data.plan(phase, 0)))]
    return [
        torch.cat([inputs for inputs, *_ in steps[first : first + WINDOWS]], 1)
        for first in range(0, len(steps), WINDOWS)
    ]


@pytest.mark.parametrize("phase", ["train", "val", "test", "predict"])
def test_a_batchs_windows_end_as_its_whole_series_would(
    data: AutoDataModule, make_trainer: MakeTrainer, phase: str
) -> None:
    module, trainer = make(lr=0.0), make_trainer(max_epochs=1, limit_val_batches=0)
    if phase == "train":
        trainer.fit(module, data)
    elif phase == "predict":
        trainer.predict(module, data)
    else:
        {"val": make_trainer().validate, "test": trainer.test}[phase](module, data, verbose=False)
    batches = whole_batches(data, phase)
    assert len(module.noted) == WINDOWS * len(batches) > WINDOWS
    for series, scores in zip(batches, module.noted[WINDOWS - 1 :: WINDOWS], strict=True):
        module.network.reset_state()
        torch.testing.assert_close(scores, module.network(series))


def weights(module: nn.Module) -> list[Tensor]:
    return [weight.detach().clone() for weight in module.parameters()]


@pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no:UserWarning")
@pytest.mark.parametrize("phase", ["fit", "validate", "test", "predict"])
def test_loaders_alone_know_their_windows_as_well(
    data: AutoDataModule, make_trainer: MakeTrainer, phase: str
) -> None:
    name = {"fit": "train", "validate": "val"}.get(phase, phase)
    loader = getattr(data, f"{name}_dataloader")()
    results = []
    for served in (data, loader):
        module, trainer = make(), make_trainer(max_epochs=2, limit_val_batches=int(phase != "fit"))
        options = {"verbose": False} if phase in ("validate", "test") else {}
        found = getattr(trainer, phase)(module, served, **options)
        results.append([found, dict(trainer.callback_metrics), module.noted])
    torch.testing.assert_close(*results, rtol=0, atol=0)


def test_loaders_of_other_data_have_their_own_windows(
    data: AutoDataModule, tmp_path: Path, make_trainer: MakeTrainer
) -> None:
    other = AutoDataModule(tmp_path / "d", val=[4], batch_size=5)
    module, trainer = make(), make_trainer(max_epochs=1)
    trainer.fit(module, data)
    plain = DataLoader(TensorDataset(torch.randn(12, TIME, 2)), batch_size=5)
    for loader in (other.val_dataloader(), plain):  # neither of which has windows
        module.noted.clear()
        found: Any = trainer.predict(module, loader)
        for scores, outputs in zip(module.noted, found, strict=True):
            assert torch.equal(scores.softmax(1), outputs["probabilities"])
    trainer.validate(module, other.val_dataloader(), verbose=False)
    expected = make_trainer().validate(module, other.val_dataloader(), verbose=False)
    assert trainer.callback_metrics["val/loss"] == expected[0]["val/loss"]


def test_no_state_is_left_after_a_run(data: AutoDataModule, make_trainer: MakeTrainer) -> None:
    module, trainer = make(), make_trainer(max_epochs=1)
    trainer.fit(module, data)
    trainer.test(module, data, verbose=False)
    trainer.predict(module, data)
    assert module.state_dict()["network.state._extra_state"] == {}


@pytest.mark.parametrize("phase", ["fit", "validate", "test", "predict"])
def test_no_state_is_left_where_a_phase_ends_within_a_batch(
    data: AutoDataModule, make_trainer: MakeTrainer, tmp_path: Path, phase: str
) -> None:
    limits = {f"limit_{name}_batches": WINDOWS + 1 for name in ("train", "val", "test", "predict")}
    keep: Any = ModelCheckpoint(tmp_path / "kept", save_top_k=-1)
    module = make()
    getattr(make_trainer(max_epochs=1, callbacks=[keep], **limits), phase)(module, data)
    states = [module.state_dict()]
    if phase == "fit":
        states.append(torch.load(keep.best_model_path, weights_only=True)["state_dict"])
    assert [state["network.state._extra_state"] for state in states] == [{}] * len(states)


def test_a_validation_between_two_windows_changes_nothing(
    data: AutoDataModule, make_trainer: MakeTrainer
) -> None:
    found = []
    for settings in ({"limit_val_batches": 0}, {"val_check_interval": 1}):
        module = make()
        make_trainer(max_epochs=2, **settings).fit(module, data)
        found.append(weights(module))
    assert all(map(torch.equal, *found))


class Forgetful(Noting):
    """Does not take over the hidden state that was saved."""

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["state_dict"]["network.state._extra_state"] = {}


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`:UserWarning")
@pytest.mark.parametrize("step", [4, 5, 6, 22])
def test_a_run_goes_on_in_the_middle_of_a_batch_as_if_it_had_not_stopped(
    data: AutoDataModule, tmp_path: Path, make_trainer: MakeTrainer, step: int
) -> None:
    keep = ModelCheckpoint(tmp_path / "kept", "{step}", every_n_train_steps=step, save_top_k=-1)
    whole = make()
    make_trainer(max_epochs=2, callbacks=[keep]).fit(whole, data)
    path = tmp_path / "kept" / f"step={step}.ckpt"
    same = {}
    for kind in (Noting, Forgetful):
        rest = make(kind)
        make_trainer(max_epochs=2).fit(rest, data, ckpt_path=path, weights_only=True)
        assert len(rest.noted) < len(whole.noted)
        same[kind] = all(map(torch.equal, weights(rest), weights(whole)))
    assert same == {Noting: True, Forgetful: step % WINDOWS == 0}


class AsTheyAre(nn.Module):
    """Takes each window, one step of logarithms of probabilities, for the scores."""

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs[:, 0]


def data_of(folder: Path, probabilities: Any, labels: list[int]) -> AutoDataModule:
    """Serve rows of probabilities, ``(rows, windows, classes)``, in validation and test alike."""
    rows, classes = np.log(np.array(probabilities, np.float32)), np.array(labels)
    write_shards(folder, dict.fromkeys(range(3), rows), labels=dict.fromkeys(range(3), classes))
    return AutoDataModule(folder, val=[1], test=[2], windows={"size": 1})


TWO = [[[0.8, 0.2], [0.1, 0.9]]]
THREE = [[[0.2, 0.5, 0.3], [0.9, 0.05, 0.05]]]


@pytest.mark.parametrize(
    ("rows", "weights", "expected"),
    [
        (TWO, (0.5, 1.5), [0.275, 0.725]),
        (THREE, (0.5, 1.5), [0.725, 0.1625, 0.1125]),
        (TWO, None, [0.45, 0.55]),
        (TWO, (1, 0), [0.8, 0.2]),
        (TWO, (0, 1), [0.1, 0.9]),
    ],
)
def test_a_prediction_is_the_weighted_mean_of_its_windows(
    tmp_path: Path, make_trainer: MakeTrainer, rows: Any, weights: Any, expected: list[float]
) -> None:
    data = data_of(tmp_path / "d", rows, [0])
    module = ClassifierModule(
        AsTheyAre(), input_shape=(1,), num_classes=len(expected), prediction_weights=weights
    )
    found: Any = make_trainer().predict(module, data)
    first, last = found
    assert first["probabilities"][0].tolist() == pytest.approx(rows[0][0])
    assert last["probabilities"][0].tolist() == pytest.approx(expected)
    assert last["classes"].item() == np.argmax(expected)


@pytest.mark.parametrize("phase", ["validate", "test"])
def test_every_row_is_counted_once_by_the_prediction_of_its_batch(
    tmp_path: Path, make_trainer: MakeTrainer, phase: str
) -> None:
    # The means of the second class are 0.55, 0.25 and 0.35.
    seconds = [[0.2, 0.9], [0.1, 0.4], [0.6, 0.1]]
    rows = [[[1 - second, second] for second in windows] for windows in seconds]
    data = data_of(tmp_path / "d", rows, [1, 1, 0])
    module = ClassifierModule(AsTheyAre(), input_shape=(1,), num_classes=2)
    (found,) = getattr(make_trainer(), phase)(module, data, verbose=False)
    by_name = {name.split("/")[1]: value for name, value in found.items()}
    assert by_name["accuracy"] == pytest.approx(2 / 3)
    losses = -np.log([0.2, 0.9, 0.1, 0.4, 1 - 0.6, 1 - 0.1])
    assert by_name["loss"] == pytest.approx(losses.mean())


def test_metrics_of_several_classes_are_those_of_all_rows_at_once(
    tmp_path: Path, make_trainer: MakeTrainer
) -> None:
    numbers = np.random.default_rng(1)
    rows = {number: numbers.dirichlet(np.ones(3), (7, 2)) for number in range(5)}
    labels = {number: numbers.integers(3, size=7) for number in range(5)}
    inputs: Any = {number: np.log(part).astype(np.float32) for number, part in rows.items()}
    write_shards(tmp_path / "d", inputs, labels=labels)
    data = AutoDataModule(
        tmp_path / "d", val=[1], test=[2, 3, 4], batch_size=4, windows={"size": 1}
    )
    macro = {name: {"type": name, "average": "macro"} for name in ("f1", "precision", "recall")}
    module = ClassifierModule(
        AsTheyAre(),
        input_shape=(1,),
        num_classes=3,
        metrics={"accuracy": "accuracy", "auroc": "auroc", "kappa": "cohen_kappa", **macro},
        prediction_weights=(0.5, 1.5),
        class_weights={2: 5.0},
    )
    (found,) = make_trainer().test(module, data, verbose=False)
    of_windows = np.concatenate([rows[number] for number in (2, 3, 4)])
    true = np.concatenate([labels[number] for number in (2, 3, 4)])
    shares = (0.5 * of_windows[:, 0] + 1.5 * of_windows[:, 1]) / 2
    classes = shares.argmax(1)
    expected = {
        "accuracy": by_sklearn.accuracy_score(true, classes),
        "auroc": by_sklearn.roc_auc_score(true, shares, multi_class="ovr"),
        "kappa": by_sklearn.cohen_kappa_score(true, classes),
        "f1": by_sklearn.f1_score(true, classes, average="macro"),
        "precision": by_sklearn.precision_score(true, classes, average="macro"),
        "recall": by_sklearn.recall_score(true, classes, average="macro"),
        "loss": (
            -np.log(of_windows[np.arange(21), :, true]) * (1 + 4 * (true == 2))[:, None]
        ).mean(),
    }
    assert {name.split("/")[1]: value for name, value in found.items()} == pytest.approx(
        expected, abs=1e-6
    )


class SavingAndLoading(Callback):
    """Puts what a module saves through a checkpoint after every step."""

    @override
    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        checkpoint: dict[str, Any] = {}
        pl_module.on_save_checkpoint(checkpoint)
        torch.save(checkpoint, Path(trainer.default_root_dir, "saved"))
        pl_module.on_load_checkpoint({})
        loaded = torch.load(Path(trainer.default_root_dir, "saved"), weights_only=True)
        pl_module.on_load_checkpoint(loaded)


def test_a_prediction_goes_on_from_a_checkpoint(tmp_path: Path, make_trainer: MakeTrainer) -> None:
    data = data_of(tmp_path / "d", TWO, [0])
    module = ClassifierModule(AsTheyAre(), input_shape=(1,), num_classes=2)
    found: Any = make_trainer(callbacks=[SavingAndLoading()]).predict(module, data)
    assert found[-1]["probabilities"][0].tolist() == pytest.approx([0.45, 0.55])


def test_a_prediction_outside_a_trainer_is_that_of_one_window() -> None:
    module = ClassifierModule(AsTheyAre(), input_shape=(1,), num_classes=2)
    for _ in range(2):
        found = module.predict_step(torch.tensor(TWO).log()[:, :1], 1)
        assert found["probabilities"][0].tolist() == pytest.approx([0.8, 0.2])


@pytest.mark.parametrize("weights", [(1,), (1, 2, 3), (-1, 1), (0, 0), (float("nan"), 1)])
def test_weights_of_predictions_that_are_none_are_refused(weights: Any) -> None:
    problem = r"Expected `prediction_weights` to be weights of the first and the last window, but"
    with pytest.raises(ConfigError, match=problem):
        ClassifierModule(prediction_weights=weights)


def test_weights_of_predictions_are_in_the_checkpoint(
    data: AutoDataModule, tmp_path: Path, make_trainer: MakeTrainer
) -> None:
    module, trainer = make(prediction_weights=(0.5, 2)), make_trainer(max_epochs=1)
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "all.ckpt")
    loaded = ClassifierModule.load_from_checkpoint(tmp_path / "all.ckpt", weights_only=True)
    assert loaded.hparams["prediction_weights"] == [0.5, 2.0]
    inputs = torch.randn(3, TIME // WINDOWS, 2)
    assert torch.equal(loaded.eval()(inputs), module.eval()(inputs))


def test_weights_of_rows_and_windows_count_in_the_training_loss(
    data: AutoDataModule, tmp_path: Path, make_trainer: MakeTrainer
) -> None:
    data = AutoDataModule(
        tmp_path / "d",
        val=[3],
        test=[4],
        batch_size=5,
        windows={"size": TIME // WINDOWS},
        class_weights={1: 5.0},
        window_weights=(0.5, 1.5),
    )
    module, trainer = make(lr=0.0), make_trainer(max_epochs=1, limit_val_batches=0)
    trainer.fit(module, data)
    expected = []
    for step, scores in enumerate(module.noted):
        batch: Any = data.fetch("train", 0, step)
        classes = batch[1]
        window_weight = (0.5, 1.0, 1.5)[step % 3]
        losses = cross_entropy(scores, classes, reduction="none")
        expected.append((losses * (1 + 4 * classes) * window_weight).mean())
    found = trainer.callback_metrics["train/loss"].item()
    assert found == pytest.approx(torch.stack(expected).mean().item(), rel=1e-5)


@pytest.mark.parametrize("precision", ["64-true", "bf16-true", "bf16-mixed"])
def test_the_state_goes_on_in_every_precision(
    data: AutoDataModule, make_trainer: MakeTrainer, precision: str
) -> None:
    module, trainer = make(lr=0.0), make_trainer(max_epochs=1, precision=precision)
    found: Any = trainer.predict(module, data)
    trainer.fit(module, data)
    series, _ = whole_batches(data, "predict")
    exact = make().eval()
    expected = exact(series)
    scores = found[WINDOWS - 1]["probabilities"]
    torch.testing.assert_close(module.noted[WINDOWS - 1].float(), expected, atol=0.02, rtol=0.02)
    assert scores.isfinite().all()


def test_recurrent_networks_have_a_name() -> None:
    arguments: Any = {"input_shape": (8, 2), "num_classes": 4}
    assert isinstance(ClassifierModule("lstm", **arguments).network, LSTM)
    with pytest.raises(ConfigError, match=r"Expected samples of shape \(time, channels\)"):
        ClassifierModule("lstm", input_shape=(1, 8, 8), num_classes=4)
