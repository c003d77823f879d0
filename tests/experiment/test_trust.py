from typing import Any

import pytest

from leyden.errors import DataError
from leyden.experiment.trust import check_trusted, is_trusted


@pytest.mark.parametrize(
    "path",
    [
        "accuracy",
        "torch.nn.Linear",
        "torch.optim.SGD",
        "torch.optim.lr_scheduler.StepLR",
        "torchmetrics.classification.BinaryAccuracy",
        "sklearn.preprocessing.StandardScaler",
        "leyden.data.preprocess.transforms.Divide",
        "lightning.pytorch.loggers.CSVLogger",
    ],
)
def test_parts_of_models_are_trusted(path: str) -> None:
    assert is_trusted(path, ())


@pytest.mark.parametrize(
    "path",
    [
        "os.system",
        "os:system.x",
        "my_project.Net",
        "torch.load",
        "torch.nn.Nothing",
        "torch.os.system",
        "leyden.recipes.import_module",
        "leyden.files.os.remove",
        "sklearn.datasets.load_iris",
        "torch .nn.Linear",
        "torch..nn",
    ],
)
def test_anything_else_is_not(path: str) -> None:
    assert not is_trusted(path, ())


def test_short_names_of_kornias_augmentations_are_trusted_as_their_whole_paths_are() -> None:
    pytest.importorskip("kornia")  # an extra
    for path in ("kornia.RandomHorizontalFlip", "kornia.augmentation.RandomHorizontalFlip"):
        assert is_trusted(path, ())
    assert not is_trusted("kornia.Nothing", ())


def test_what_the_user_trusts_is_trusted() -> None:
    assert is_trusted("my_project.nets.Net", ["my_project"])
    assert is_trusted("my_project.nets.Net", ["my_project.nets"])
    assert not is_trusted("my_project_of_others.Net", ["my_project"])


@pytest.mark.parametrize(
    "spec",
    [
        {"model": {"type": "os.system", "command": "echo"}},
        {"model": {"entry_point": "os.system"}},
        {"model": {"type": "mlp", "loss": "os.abort"}},
        {"model": {"type": "mlp", "metrics": ["accuracy", "os.abort"]}},
        {"model": {"type": "mlp", "metrics": {"mine": "os.abort"}}},
        {"model": {"type": "mlp", "optimizer": {"type": "os.abort"}}},
        {"model": {"type": "classifier", "network": "os.abort"}},
        {"model": [None, {"type": "torch.nn.Sequential", "deep": [{"type": "os.abort"}]}]},
        {"preprocessors": ["divide", "os.abort"]},
        {"preprocessors": {"image": [{"type": "os.abort"}]}},
        {"data_augmentors": [{"type": "os.abort"}]},
        {"reader": ["os.abort"]},
        {"trackers": [{"type": "os.abort"}]},
    ],
)
def test_what_would_be_run_is_found_wherever_it_hides(spec: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"the file names 'os\.\w+', which would be run. If you"):
        check_trusted(spec, ())


def test_words_with_dots_are_fine_where_nothing_is_imported() -> None:
    check_trusted({"model": {"type": "cnn", "note": "see results.csv"}}, ())
