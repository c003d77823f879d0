import json
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import LightningModule
from torch import Tensor, nn
from typing_extensions import override

from leyden.errors import ConfigError, DataError, LeydenError, WriteError
from leyden.experiment import Dataset, Experiment, Model, Tracking
from leyden.experiment.learned import Learned
from leyden.experiment.saving import Saved, load_experiment, save_experiment
from leyden.modules import ClassifierModule
from leyden.types import Array

Make = Callable[..., Experiment]

_READ = """
import sys
import numpy as np
from leyden import Experiment
rows = np.load("rows.npy")
experiment = Experiment.load("x.zip")
np.save("again.npy", experiment.predict_proba(rows))
print([name for name in sys.modules if name in ("hydra", "omegaconf")])
"""


def nothing_told() -> Saved:
    return Saved(Dataset(), Model(), Tracking(), {}, Learned())


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edit the description in a file."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    spec = json.loads(members["experiment.json"])
    edit(spec)
    members["experiment.json"] = json.dumps(spec).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)


def first_step(spec: dict[str, Any]) -> dict[str, Any]:
    step: dict[str, Any] = spec["learned"]["states"][""]["steps"][0]
    return step


@pytest.fixture
def saved(make: Make, tmp_path: Path) -> Path:
    experiment = make(model={"model": {"type": "mlp"}, "training": {"epochs": 1}})
    experiment.train()
    experiment.save(tmp_path / "x.zip")
    return tmp_path / "x.zip"


def test_another_process_predicts_the_same_to_the_bit_without_the_data(
    make: Make, points: tuple[Array, Array], tmp_path: Path
) -> None:
    experiment = make()
    experiment.train()
    before = experiment.predict_proba(points[0])
    experiment.save(tmp_path / "x.zip")
    np.save(tmp_path / "rows.npy", points[0])
    command = [sys.executable, "-c", _READ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert np.load(tmp_path / "again.npy").tobytes() == before.tobytes()


def test_augmentations_of_kornia_are_loaded_by_their_short_names(
    make: Make, tmp_path: Path
) -> None:
    pytest.importorskip("kornia")  # an extra
    images = np.random.default_rng(0).random((40, 1, 8, 8), np.float32)
    augmentors = [{"type": "kornia.RandomHorizontalFlip", "probability": 0.5}]
    experiment = make(data={"dataset": (images, np.arange(40) % 2), "data_augmentors": augmentors})
    experiment.train()
    experiment.save(tmp_path / "x.zip")
    again = Experiment.load(tmp_path / "x.zip")
    assert np.array_equal(again.predict_proba(images), experiment.predict_proba(images))


def test_arguments_that_are_tuples_are_still_so_when_it_is_trained_further(
    make: Make, points: tuple[Array, Array], tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", points[0])
    arrays = {"type": "arrays", "inputs": str(tmp_path / "x.npy"), "labels": points[1].tolist()}
    scaled = {"type": "min_max_scaler", "feature_range": (0, 2)}
    experiment = make(data={"dataset": arrays, "preprocessors": [scaled]})
    experiment.train()
    experiment.save(tmp_path / "x.zip")
    for again in (
        Experiment.load(tmp_path / "x.zip"),
        Experiment.from_dict(json.loads(json.dumps(experiment.to_dict()))),
    ):
        again.train()
        assert again.predict(points[0]).shape == (80,)


def test_a_file_has_numbers_and_words_only(saved: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    assert list(contents) == [
        "experiment.json",
        "weights.safetensors",
        "preprocessors.safetensors",
    ]
    spec = json.loads(contents["experiment.json"])
    assert spec["module"]["arguments"]["input_shape"] == [3]
    assert spec["data"]["preprocessors"] == ["standard_scaler"]
    assert "dataset" not in spec["data"]  # arrays are not told in words


def test_states_of_recurrent_parts_are_left_out(tmp_path: Path) -> None:
    module = ClassifierModule("lstm", input_shape=(6, 2), num_classes=3)
    module(torch.zeros(4, 6, 2))  # which is remembered
    save_experiment(tmp_path / "x.zip", nothing_told(), module)
    _, again = load_experiment(tmp_path / "x.zip", trust=(), model=None)
    assert type(again) is ClassifierModule


class Counted(nn.Module):
    """Has a state that is no tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Any = 0

    @override
    def get_extra_state(self) -> Any:
        return {"count": self.count}

    @override
    def set_extra_state(self, state: Any) -> None:
        self.count = state["count"]


class Own(LightningModule):
    """A module of the user's, who tells its size."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.layer, self.counted = nn.Linear(size, 1), Counted()

    @override
    def forward(self, rows: Tensor) -> Tensor:
        return self.layer(rows)  # type: ignore[no-any-return] # torch's


def test_other_states_are_written_down_or_refused(tmp_path: Path) -> None:
    module = Own(2)
    module.counted.count = 7
    save_experiment(tmp_path / "x.zip", nothing_told(), module)
    other = Own(2)
    _, again = load_experiment(tmp_path / "x.zip", trust=(), model=other)
    assert again is other
    assert other.counted.count == 7
    module.counted.count = torch.ones(2)
    with pytest.raises(ConfigError, match=r"counted\._extra_state to be numbers and texts to be"):
        save_experiment(tmp_path / "x.zip", nothing_told(), module)


def test_a_class_of_the_users_has_to_be_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project_of_mine.py").write_text(
        "from lightning import LightningModule\n"
        "from torch import nn\n"
        "print('imported')\n"
        "class Net(LightningModule):\n"
        "    def __init__(self, size):\n"
        "        super().__init__()\n"
        "        self.layer = nn.Linear(size, 1)\n"
        "    def forward(self, rows):\n"
        "        return self.layer(rows)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    told = {"type": "project_of_mine.Net", "size": 3}
    experiment = Experiment(data=None, model=told)
    module = __import__("project_of_mine").Net(3)
    told_and_made = Saved(Dataset(), experiment._model_spec, Tracking(), {}, Learned())
    save_experiment(tmp_path / "x.zip", told_and_made, module)
    monkeypatch.delitem(sys.modules, "project_of_mine")
    problem = r"the file names 'project_of_mine.Net', which would be run. If you know who made the"
    with pytest.raises(DataError, match=problem):
        Experiment.load(tmp_path / "x.zip")
    assert "project_of_mine" not in sys.modules
    again = Experiment.load(tmp_path / "x.zip", trust=["project_of_mine"])
    assert again.predict(np.ones((4, 3))).shape == (4, 1)


def test_a_module_of_objects_is_given_again(tmp_path: Path) -> None:
    module = ClassifierModule(nn.Linear(3, 2), input_shape=(3,), num_classes=2)
    save_experiment(tmp_path / "x.zip", nothing_told(), module)
    with pytest.raises(ConfigError, match="Expected `model`, as classifier was made of objects"):
        Experiment.load(tmp_path / "x.zip")
    with pytest.raises(ConfigError, match="Expected a module that knows its sizes, but it has no"):
        Experiment.load(tmp_path / "x.zip", model=ClassifierModule(nn.Linear(3, 2)))
    other = ClassifierModule(nn.Linear(3, 2), input_shape=(3,), num_classes=2)
    Experiment.load(tmp_path / "x.zip", model=other)
    assert torch.equal(other.state_dict()["network.weight"], module.state_dict()["network.weight"])


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda spec: spec["module"].update(type="os.system"), "names 'os.system', which would be"),
        (lambda spec: spec["module"]["arguments"].update(loss="os.abort"), "names 'os.abort'"),
        (lambda spec: spec["data"].update(preprocessors=["os.abort"]), "names 'os.abort'"),
        (lambda spec: spec["data"].update(options={"reader": "os.abort"}), "names 'os.abort'"),
        (lambda spec: spec["tracking"].update(trackers=[{"type": "os.abort"}]), "names 'os.abort'"),
        (lambda spec: first_step(spec).update(type="os.abort"), "names 'os.abort'"),
        (lambda spec: spec.pop("module"), "what .* tells cannot be read: KeyError"),
        (lambda spec: spec.update(data=3), "what .* tells cannot be read: TypeError"),
        (lambda spec: spec["learned"].update(states={"": []}), "tells cannot be read: TypeError"),
        (lambda spec: spec["module"]["arguments"].update(num_classes=3), "but got others"),
        (lambda spec: spec["module"]["arguments"].update(network="lstm"), "time, channels|differ"),
        (lambda spec: spec["extra"].update(more=1), "they differ in more"),
    ],
)
def test_a_description_that_does_harm_or_makes_no_sense_is_refused(
    saved: Path, edit: Callable[[dict[str, Any]], object], problem: str
) -> None:
    change(saved, edit)
    with pytest.raises(LeydenError, match=problem):
        Experiment.load(saved)


def test_data_that_a_foreign_function_makes_is_forgotten(saved: Path) -> None:
    told = {"type": "os.system", "command": "echo"}
    change(saved, lambda spec: spec["data"].update(dataset=told))
    loaded = Experiment.load(saved)
    assert loaded.to_dict()["data"]["dataset"] is None
    with pytest.raises(ConfigError, match="Expected data to train and evaluate on, but none is"):
        loaded.train()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("folder", "that is a folder"),
        ("x.zip/y.zip", "is a file"),
        ("/proc/leyden/x.zip", "no f"),
        ("nul\0.zip", "no file can be called that"),
    ],
)
def test_a_place_where_no_file_can_be_is_told_in_words(
    saved: Path, tmp_path: Path, name: str, reason: str
) -> None:
    (tmp_path / "folder").mkdir()
    experiment, before = Experiment.load(saved), saved.read_bytes()
    files = sorted(tmp_path.rglob("*"))
    with pytest.raises(WriteError, match=f"Expected a place that can be written to.*{reason}"):
        experiment.save(tmp_path / name)
    assert saved.read_bytes() == before
    assert sorted(tmp_path.rglob("*")) == files


def test_a_folder_that_is_missing_is_made(saved: Path, tmp_path: Path) -> None:
    Experiment.load(saved).save(tmp_path / "new" / "folder" / "x.zip")
    assert Experiment.load(tmp_path / "new" / "folder" / "x.zip").module is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"network": {"type": "mlp", "hidden": [10**9]}},
        {"network": {"type": "mlp", "hidden": [10**14, 10**14]}},
        {"network": {"type": "mlp", "hidden": [4] * 20_000}},
        {"input_shape": [10**10]},
        {"num_classes": 10**9},
        {"network": {"type": "lstm", "hidden": 10**6}, "input_shape": [3, 1]},
    ],
)
def test_a_network_far_larger_than_its_weights_is_refused_before_it_takes_memory(
    saved: Path, changes: dict[str, Any]
) -> None:
    change(saved, lambda spec: spec["module"]["arguments"].update(changes))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    problem = r"network that takes the .* bytes of the weights, but one is described that takes far"
    with pytest.raises(DataError, match=f"{problem} more. Do not use the file"):
        Experiment.load(saved)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600 << 10  # KiB
