import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Callback, Trainer, seed_everything
from lightning.pytorch.demos.boring_classes import BoringDataModule, BoringModel
from lightning.pytorch.loggers import CSVLogger
from sklearn.datasets import load_digits
from typing_extensions import override

from leyden import AutoDataModule, ClassifierModule, latest_checkpoint
from leyden.callbacks import ExactResume
from leyden.errors import ConfigError, DataError, ResumeError
from leyden.experiment import Dataset, Experiment, Model, Tracking
from leyden.lifecycle import STEPS
from leyden.shards import write_shards
from leyden.tracking import read_metrics
from leyden.types import Array

Make = Callable[..., Experiment]

ORDER = [
    "on_train_begin",
    *(f"on_{step}_{end}" for step in STEPS for end in ("begin", "end")),
    "on_train_end",
]


class Noting:
    """Notes the moments that it is called at."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("on_"):
            raise AttributeError(name)
        return lambda: self.notes.append(name)


def test_the_documented_example_learns_from_photos(
    photos: Path, quiet: dict[str, Any], tmp_path: Path
) -> None:
    dataset = Dataset(
        dataset={"type": "directory_image_classification", "path": str(photos), "size": [24, 20]},
        samples={"train": 0.8, "test": 0.2},
        preprocessors=[
            {"type": "image_resize", "width": 10, "height": 10},
            {"type": "divide", "factor": 255},
        ],
        data_augmentors=[
            {"type": "random_color", "probability": 0.4, "min_factor": 0.2, "max_factor": 0.7}
        ],
        shuffle=True,
        one_hot=True,
    )
    model = Model(
        model={"type": "cnn", "input_shape": [10, 10, 3], "filters": [4]},
        training={"epochs": 4, "batch_size": 8},
    )
    tracking = Tracking(
        log_model_params=True,
        log_training_params=False,
        trackers=[{"type": "csv"}],
        tracking_dir=tmp_path / "trackings",
    )
    trainer = Experiment(data=dataset, model=model, tracking=tracking, trainer=quiet)
    outcome = trainer.train()
    assert outcome["metrics"]["test_accuracy"] == [1.0]
    pixels = np.zeros((2, 3, 24, 20), np.uint8)
    pixels[0, 2], pixels[1, 0] = 200, 200
    assert trainer.predict(pixels).tolist() == [0, 1]  # blue, red
    assert trainer.predict_proba(pixels).sum(axis=1) == pytest.approx(1.0)
    trainer.save(tmp_path / "saved_trainer.zip")
    again = Experiment.load(tmp_path / "saved_trainer.zip")
    assert again.class_names == ("blue", "red")
    assert again.predict_proba(pixels).tobytes() == trainer.predict_proba(pixels).tobytes()
    params = json.loads(next((tmp_path / "trackings").rglob("params.json")).read_text())
    assert params == {"input_shape": [10, 10, 3], "filters": [4]}


def test_an_outcome_has_times_metrics_and_hardware(make: Make) -> None:
    samples = {"train": 0.5, "val": 0.25, "test": 0.25}
    outcome = make(
        data={"dataset": {"type": "digits"}, "samples": samples},
        model={"model": {"type": "mlp", "hidden": [8]}, "training": {"epochs": 2}},
    ).train()
    elapsed = outcome["elapsed"]
    assert list(elapsed) == [*STEPS, "total"]
    for step in elapsed.values():
        assert step["end"] - step["start"] == pytest.approx(step["duration"], abs=1e-5)
    assert sum(elapsed[step]["duration"] for step in STEPS) < elapsed["total"]["duration"]
    assert {name: len(values) for name, values in outcome["metrics"].items()} == {
        "loss": 2,
        "accuracy": 2,
        "val_loss": 2,
        "val_accuracy": 2,
        "test_loss": 1,
        "test_accuracy": 1,
    }
    assert {"platform", "cpu", "gpu"} == set(outcome["hardware_info"])
    assert json.loads(json.dumps(dict(outcome))) == dict(outcome)


def test_the_test_is_of_the_last_weights(make: Make) -> None:
    experiment = make()
    outcome = experiment.train()
    assert experiment.evaluate() == {
        name: values[0] for name, values in outcome["metrics"].items() if name.startswith("test_")
    }


def test_callbacks_of_both_kinds_are_called_in_the_documented_order(make: Make) -> None:
    noting = Noting()

    class Ordinary(Callback):
        @override
        def on_train_epoch_end(self, *_: Any) -> None:
            noting.notes.append("an epoch ends")

    make().train([noting, Ordinary()])
    fits = noting.notes.index("on_fit_model_begin")
    assert noting.notes[fits + 1 : fits + 4] == ["an epoch ends"] * 3
    assert [note for note in noting.notes if note != "an epoch ends"] == ORDER


def test_without_a_test_part_nothing_is_evaluated(make: Make, points: tuple[Array, Array]) -> None:
    noting = Noting()
    experiment = make(data={"dataset": points, "samples": {"train": 1.0}})
    outcome = experiment.train([noting])
    assert noting.notes == [name for name in ORDER if "evaluate" not in name]
    assert list(outcome["metrics"]) == ["loss", "accuracy"]
    with pytest.raises(ConfigError, match="Expected data with a test part, and a model with"):
        experiment.evaluate()


def test_a_training_that_fails_ends_all_the_same(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(Callback):
        @override
        def on_train_epoch_end(self, *_: Any) -> None:
            raise RuntimeError("no luck")

    noting = Noting()
    logger = CSVLogger(tmp_path)
    finals: list[str] = []
    monkeypatch.setattr(logger, "finalize", finals.append)
    with pytest.raises(RuntimeError, match="no luck"):
        make(tracking=logger).train([noting, Failing()])
    assert noting.notes[-2:] == ["on_fit_model_begin", "on_train_end"]
    assert set(finals) == {"failed"}


def test_a_second_training_goes_on(make: Make) -> None:
    experiment = make()
    first = experiment.train()["metrics"]["loss"]
    scaler = experiment.data.state_dict()["preparation"]
    second = experiment.train()["metrics"]["loss"]
    assert second[0] < first[0] / 2
    assert str(experiment.data.state_dict()["preparation"]) == str(scaler)


def test_what_is_loaded_trains_further_with_data(
    make: Make, points: tuple[Array, Array], tmp_path: Path
) -> None:
    experiment = make()
    experiment.train()
    experiment.save(tmp_path / "x.zip")
    loaded = Experiment.load(tmp_path / "x.zip", data=points)
    before = loaded.predict_proba(points[0])
    assert loaded.evaluate() == experiment.evaluate()
    metrics = loaded.train()["metrics"]
    assert len(metrics["loss"]) == 3
    assert metrics["loss"][0] < 0.5
    assert not np.array_equal(loaded.predict_proba(points[0]), before)
    other = Experiment.load(tmp_path / "x.zip", data={"dataset": points, "preprocessors": []})
    with pytest.raises(ResumeError, match="Pass the `preprocessors` that it was made with"):
        other.train()


def test_a_training_that_was_broken_off_comes_out_as_if_it_had_not(
    make: Make, tmp_path: Path
) -> None:
    class Failing(Callback):
        @override
        def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
            if trainer.global_step == 6:  # of 12
                raise RuntimeError("no luck")

    told = {"type": "mlp", "hidden": [8]}
    parts: dict[str, Any] = {"model": {"model": told, "training": {"epochs": 3, "batch_size": 16}}}
    seed_everything(3, verbose=False)
    whole = make(**parts).train()
    seed_everything(3, verbose=False)
    with pytest.raises(RuntimeError, match="no luck"):
        make(**parts).train([ExactResume(tmp_path / "checkpoints"), Failing()])
    again = make(**parts).train(
        [ExactResume(tmp_path / "checkpoints")],
        ckpt_path=latest_checkpoint(tmp_path / "checkpoints"),
    )
    assert again["metrics"] == whole["metrics"]


def test_a_table_is_a_path(make: Make, points: tuple[Array, Array], tmp_path: Path) -> None:
    lines = [
        f"{a},{b},{c},{'odd' if y else 'even'}\n" for (a, b, c), y in zip(*points, strict=True)
    ]
    (tmp_path / "points.csv").write_text("a,b,c,label\n" + "".join(lines))
    experiment = make(data=str(tmp_path / "points.csv"))
    assert experiment.train()["metrics"]["test_accuracy"][0] > 0.9
    assert experiment.predict(points[0][:4].tolist()).tolist() == [0, 1, 0, 1]
    assert experiment.class_names == ("even", "odd")


def test_a_folder_of_shards_is_a_path(
    make: Make, points: tuple[Array, Array], tmp_path: Path
) -> None:
    rows, labels = (dict(enumerate(np.split(part, 8), start=1)) for part in points)
    write_shards(tmp_path / "shards", rows, labels=labels)
    experiment = make(data=tmp_path / "shards")
    assert experiment.train()["metrics"]["test_accuracy"][0] > 0.9
    assert len(experiment.data.catalogs["test"].shards) == 2  # type: ignore[attr-defined] # of AutoDataModule


def test_numbers_are_predicted_where_labels_are_numbers(
    make: Make, points: tuple[Array, Array]
) -> None:
    experiment = make(data=(points[0], points[0].sum(axis=1)))
    experiment.train()
    assert experiment.predict(points[0]).dtype == np.float32
    with pytest.raises(ConfigError, match="Expected a model that gives probabilities, but got reg"):
        experiment.predict_proba(points[0])


def test_an_autoencoder_makes_its_rows_again(make: Make, tmp_path: Path) -> None:
    images = (load_digits().images[:200] / 16).astype(np.float32)[:, None]
    model = {"type": "autoencoder", "latent": 4, "filters": [4, 4]}
    told = {"model": model, "training": {"epochs": 1}}
    experiment = make(data=images, model=told)
    assert list(experiment.train()["metrics"]) == ["loss", "test_loss"]
    experiment.save(tmp_path / "x.zip")
    again = Experiment.load(tmp_path / "x.zip")
    assert again.predict(images).shape == images.shape
    assert again.predict(images).tobytes() == experiment.predict(images).tobytes()


def test_series_are_predicted_from_windows(make: Make, tmp_path: Path) -> None:
    series = np.random.default_rng(0).standard_normal((40, 12, 2)).astype(np.float32)
    labels = np.arange(40) % 2
    series[labels == 1] += 2
    data = {"dataset": (series, labels), "options": {"windows": {"size": 6}}}
    model = {"type": "lstm", "hidden": 8, "prediction_weights": [0.5, 1.5]}
    experiment = make(data=data, model={"model": model, "training": {"epochs": 2}})
    experiment.train()
    held_out = experiment.data.catalogs["test"].open_data(1).read(np.arange(10))  # type: ignore[attr-defined] # of AutoDataModule
    found = experiment.predict_proba(held_out)
    trainer = Trainer(logger=False, enable_progress_bar=False, accelerator="cpu")
    windows: Any = trainer.predict(experiment.module, experiment.data)
    np.testing.assert_allclose(found, windows[-1]["probabilities"], rtol=1e-5)
    experiment.save(tmp_path / "x.zip")
    assert Experiment.load(tmp_path / "x.zip").predict_proba(held_out).tobytes() == found.tobytes()


def test_windows_of_an_object_are_not_guessed(make: Make, tmp_path: Path) -> None:
    series = np.zeros((40, 12, 2), np.float32)
    write_shards(tmp_path / "s", {1: series}, labels={1: np.arange(40) % 2})
    data = AutoDataModule(tmp_path / "s", windows={"size": 6})
    experiment = make(data=data, model={"model": "lstm", "training": {"epochs": 1}})
    experiment.train()
    experiment.save(tmp_path / "x.zip")
    for each in (experiment, Experiment.load(tmp_path / "x.zip")):
        with pytest.raises(ConfigError, match="Expected windows to be told in a dictionary"):
            each.predict(series)


def test_objects_will_do_for_every_part(
    points: tuple[Array, Array], quiet: dict[str, Any], tmp_path: Path
) -> None:
    write_shards(
        tmp_path / "s",
        {1: points[0][:60], 2: points[0][60:]},
        labels={1: points[1][:60], 2: points[1][60:]},
    )
    experiment = Experiment(
        data=AutoDataModule(tmp_path / "s", test=[2], preprocessors=["standard_scaler"]),
        model=ClassifierModule("mlp", optimizer={"type": "adam", "lr": 0.01}),
        tracking=CSVLogger(tmp_path, name="csv", version="1"),
        trainer=Trainer(
            **quiet,
            max_epochs=4,
            logger=False,
            enable_checkpointing=False,
            log_every_n_steps=1,
            enable_model_summary=False,
        ),
    )
    outcome = experiment.train()
    assert len(outcome["metrics"]["loss"]) == 4
    assert (tmp_path / "csv" / "1" / "metrics.csv").exists()
    before = experiment.predict_proba(points[0])
    assert (before.argmax(axis=1) == points[1]).mean() > 0.9
    experiment.save(tmp_path / "x.zip")
    assert (
        Experiment.load(tmp_path / "x.zip").predict_proba(points[0]).tobytes() == before.tobytes()
    )
    with pytest.raises(ConfigError, match="`trainer` to be told in words and numbers, but got an"):
        experiment.to_dict()


@pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers")
def test_modules_that_know_nothing_of_leyden_are_trained(quiet: dict[str, Any]) -> None:
    noting = Noting()
    few = {"max_epochs": 1, "limit_train_batches": 2, "limit_val_batches": 2}
    experiment = Experiment(data=BoringDataModule(), model=BoringModel(), trainer=quiet | few)
    metrics = experiment.train([noting])["metrics"]
    assert noting.notes == ORDER
    assert metrics == {}  # it logs none
    assert experiment.predict(np.zeros((3, 32))).shape == (3, 2)


def test_several_inputs_have_names(make: Make, points: tuple[Array, Array], tmp_path: Path) -> None:
    rows = {"a": points[0], "b": points[0][:, :1]}
    for name, part in rows.items():
        write_shards(tmp_path / "s" / name, dict(enumerate(np.split(part, 4))))
    labels: dict[str, Any] = {str(n): part for n, part in enumerate(np.split(points[1], 4))}
    np.savez(tmp_path / "s" / "labels.npz", **labels)
    told = {"type": "shards", "path": tmp_path / "s", "inputs": {"a": "a/", "b": "b/"}}
    data = {"dataset": told, "preprocessors": {"a": ["standard_scaler"]}}
    model = {"type": f"{__name__}.Joined"}
    experiment = make(data=data, model={"model": model, "training": {"epochs": 1}})
    experiment.train()
    experiment.save(tmp_path / "x.zip")
    loaded = Experiment.load(tmp_path / "x.zip", trust=[__name__])
    assert loaded.predict_proba(rows).tobytes() == experiment.predict_proba(rows).tobytes()
    with pytest.raises(DataError, match="inputs called a, b, but got one array without a name"):
        loaded.predict(points[0])


@pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers")
@pytest.mark.parametrize("kind", ["classifier", "own"])
def test_several_inputs_are_told_in_any_order(
    make: Make, points: tuple[Array, Array], tmp_path: Path, kind: str
) -> None:
    rows = {"b": points[0], "a": points[0][:, :1]}
    for number in range(4):
        np.savez(tmp_path / f"part_{number}.npz", b=rows["b"], a=rows["a"], y=points[1])
    own = InTheirOrder()
    network = own.layer if kind == "own" else torch.nn.Linear(4, 2)
    model = own if kind == "own" else ClassifierModule(Concatenated(network), num_classes=2)
    told = {"type": "shards", "path": str(tmp_path), "inputs": ["b", "a"]}
    experiment = make(data=told, model={"model": model, "training": {"epochs": 1}})
    experiment.train()
    expected = network(torch.from_numpy(np.concatenate([*rows.values()], axis=1))).argmax(1)
    experiment.save(tmp_path / "x.zip")
    loaded = Experiment.load(tmp_path / "x.zip", model=model, trust=[__name__])
    for one in (experiment, loaded):
        assert one.predict({name: rows[name] for name in "ab"}).tolist() == expected.tolist()
    with pytest.raises(DataError, match=r"called b, a, but got 'aa'[.] Did you mean 'a'"):
        experiment.predict({"aa": rows["a"], "b": rows["b"]})


class Concatenated(torch.nn.Module):
    """Gives a layer all inputs as they come."""

    def __init__(self, layer: torch.nn.Module) -> None:
        super().__init__()
        self.layer = layer

    @override
    def forward(self, inputs: dict[str, torch.Tensor]) -> Any:
        return self.layer(torch.cat(list(inputs.values()), dim=1))


class InTheirOrder(BoringModel):
    """Does so, and knows nothing of names."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)

    @override
    def forward(self, batch: Any) -> Any:
        inputs = batch[0] if isinstance(batch, list | tuple) else batch
        return Concatenated(self.layer)(inputs)

    @override
    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        return self(batch).argmax(dim=1)


class Joined(torch.nn.Module):
    """A network of two inputs."""

    def __init__(self, shapes: dict[str, tuple[int, ...]], num_scores: int) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(sum(size for (size,) in shapes.values()), num_scores)

    @override
    def forward(self, inputs: dict[str, torch.Tensor]) -> Any:
        return self.layer(torch.cat([inputs["a"], inputs["b"]], dim=1))


def test_trackers_have_what_the_outcome_has(make: Make, tmp_path: Path) -> None:
    told = {"run_id": "one", "trackers": [{"type": "csv"}], "tracking_dir": str(tmp_path)}
    outcome = make(tracking=told).train()
    logged = read_metrics(tmp_path / "csv" / "one" / "metrics.csv")
    assert logged["train/loss"][1].tolist() == outcome["metrics"]["loss"]
    assert logged["test/accuracy"][1].tolist() == outcome["metrics"]["test_accuracy"]


@pytest.mark.parametrize("flag", [True, False])
def test_trackers_hear_of_the_model_only_if_they_shall(
    make: Make, tmp_path: Path, flag: bool
) -> None:
    tracking = {"log_params": flag, "trackers": [{"type": "csv"}], "tracking_dir": tmp_path}
    make(tracking=tracking).train()
    params = json.loads(next(tmp_path.rglob("params.json")).read_text())
    assert ("hidden" in params, params["epochs"]) == (flag, 3)


def test_an_experiment_is_told_in_json(make: Make) -> None:
    told = {
        "dataset": {"dataset": {"type": "digits"}, "samples": {"train": 100, "test": 50}},
        "model": {"model": {"type": "mlp", "hidden": [4]}, "training": {"epochs": 1}},
        "tracking": {"log_model_params": False},
        "trainer": {"accelerator": "cpu", "enable_progress_bar": False},
    }
    experiment = Experiment.from_dict(json.loads(json.dumps(told)))
    written = json.loads(json.dumps(experiment.to_dict()))
    assert written["data"]["samples"] == {"train": 100, "test": 50}
    assert Experiment.from_dict(written).to_dict() == written
    with pytest.warns(UserWarning, match="make use of 150 of 1,797"):
        assert Experiment.from_dict(written).train()["metrics"]["loss"]


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({"data": {}, "modle": {}}, r"but got 'modle'. Did you mean 'model'\?"),
        (None, "Expected the parts of an experiment in a dictionary, but got None"),
        ({"data": {}}, "Expected `model` of an experiment, but there is none"),
        ({"data": {"sample": {}}, "model": {}}, r"but got 'sample'. Did you mean 'samples'\?"),
        ({"data": {}, "model": {"train": {}}}, "Did you mean 'training'"),
        ({"data": {}, "model": {}, "tracking": {"tracker": []}}, "Did you mean 'trackers'"),
    ],
)
def test_parts_that_there_are_not_are_refused(parts: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        Experiment.from_dict(parts)


def test_nothing_is_predicted_or_saved_before_training(make: Make, tmp_path: Path) -> None:
    experiment = make()
    for act in (lambda: experiment.predict([[0.0] * 3]), lambda: experiment.save(tmp_path / "x")):
        with pytest.raises(ConfigError, match="Expected an experiment that is trained or loaded"):
            act()


def test_nothing_is_read_before_it_is_needed() -> None:
    told = {"dataset": {"type": "nowhere"}, "preprocessors": ["unheard_of"]}
    experiment = Experiment(data=told, model={"model": "unheard_of"})
    assert experiment.to_dict()["model"]["model"] == "unheard_of"
