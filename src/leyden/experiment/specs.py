"""What an experiment is told, in plain words: its data, its model, and where results go."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, fields, replace
from typing import Any, TypeVar

from lightning import LightningDataModule
from lightning.pytorch.loggers import Logger

from leyden.errors import ConfigError, suggest
from leyden.experiment.samples import Samples, check_samples, plain_samples
from leyden.recipes import is_plain

__all__ = [
    "Dataset",
    "Model",
    "Tracking",
    "as_plain",
    "as_recipe",
    "change_data",
    "read",
    "read_data",
    "read_model",
    "read_tracking",
    "write",
]

_Spec = TypeVar("_Spec", bound="Dataset | Model | Tracking")


@dataclass(frozen=True)
class Dataset:
    """Data, how it is split, and what is done to it. Nothing is read before it is needed.

    What is no shards yet is packed into shards, split row by row. Shards are split by whole sets.

    Args:
        dataset: A dictionary with a ``type`` (or ``entry_point``) and its arguments, the type being
            a name of ``DATASETS`` or the import path of what makes any of the following; or the
            path of a folder of shards, of a folder of class folders of images, of a table or of an
            array; or arrays ``(inputs, labels)``, each ``(rows, ...)``; or a ``torch`` dataset.
            ``None`` if it is not known.
        samples: How much of it is for ``train``, ``test`` and, if named, ``val``: fractions in (0,
            1], or numbers of rows. ``None`` for a quarter to test, or for what folders ``train/``
            and ``test/`` say.
        preprocessors: What is done to inputs in every phase; see ``Preprocessing``.
        data_augmentors: What is done to some training inputs; see ``Augmentation``.
        shuffle: Whether rows are drawn where data is split, and are permuted in every epoch; or a
            ``shuffle`` of ``AutoDataModule``.
        one_hot: Whether a module is given labels ``(batch, classes)`` of 0 and 1.
        seed: Decides what is drawn.
        packed_dir: Where shards are packed to, and found again the next time; ``None`` for a
            temporary folder.
        options: Other arguments of ``AutoDataModule``, such as ``num_workers`` or ``windows``.

    Raises:
        ConfigError: If ``samples`` are out of range.
    """

    dataset: Any = None
    samples: Samples | None = None
    preprocessors: Any = ()
    data_augmentors: Any = ()
    shuffle: bool | str = True
    one_hot: bool = False
    seed: int = 0
    packed_dir: str | os.PathLike[str] | None = None
    options: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "samples", plain_samples(self.samples))
        check_samples(self.samples)

    @property
    def is_drawn(self) -> bool:
        """Whether rows are drawn where data is split."""
        return self.order != "none"

    @property
    def order(self) -> str:
        """The ``shuffle`` of the data module."""
        if isinstance(self.shuffle, str):
            return self.shuffle
        return "rows" if self.shuffle else "none"


@dataclass(frozen=True)
class Model:
    """A model, and how it is trained.

    Args:
        model: A dictionary with a ``type`` (or ``entry_point``) and its arguments, or the type
            alone. It is a name of ``MODELS``; that of a network, ``"cnn"``, ``"mlp"`` or
            ``"lstm"``, for a classifier where labels are whole numbers and a regressor else, with
            arguments of both; or the import path of a ``LightningModule``, or of an ``nn.Module``
            for a network. Or one of these two itself. ``None`` if it is not known.
        training: ``epochs``, ``batch_size`` in rows, and any argument of ``lightning.Trainer``.
    """

    model: Any = None
    training: Mapping[str, Any] | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """The arguments of the model, without its type."""
        settings = dict(self.model) if isinstance(self.model, Mapping) else {}
        return {name: settings[name] for name in settings if name not in ("type", "entry_point")}


@dataclass(frozen=True)
class Tracking:
    """Where results go, and which of them.

    Args:
        run_id: Name of the run in every tracker; ``None`` for a new one in every training.
        tags: Words by name that describe the run.
        log_model_params: Whether trackers are given the arguments of the model.
        log_training_params: Whether they are given those of the training.
        log_metrics: Whether they are given metrics.
        trackers: Dictionaries with a ``type`` and arguments, the type being a name of ``TRACKERS``
            or the import path of a Lightning logger; or Lightning loggers. One will do alone.
        tracking_dir: The folder that the named trackers write to.
        code_dir: The folder whose ``.py`` and ``.yaml`` files the tracker ``csv`` keeps beside the
            metrics, see ``keep_code``; ``None`` for none.
        log_params: Another name of ``log_model_params``.
        log_model_metrics: Another name of ``log_metrics``.
    """

    run_id: str | None = None
    tags: Mapping[str, str] | None = None
    log_model_params: bool = True
    log_training_params: bool = True
    log_metrics: bool = True
    trackers: Sequence[Any] = ()
    tracking_dir: str | os.PathLike[str] = "trackings"
    code_dir: str | os.PathLike[str] | None = "."
    log_params: InitVar[bool | None] = None
    log_model_metrics: InitVar[bool | None] = None

    def __post_init__(self, log_params: bool | None, log_model_metrics: bool | None) -> None:
        if isinstance(self.trackers, str | Mapping | Logger):
            object.__setattr__(self, "trackers", [self.trackers])
        if log_params is not None:
            object.__setattr__(self, "log_model_params", log_params)
        if log_model_metrics is not None:
            object.__setattr__(self, "log_metrics", log_model_metrics)


def read(kind: type[_Spec], settings: Mapping[str, Any], *, what: str) -> _Spec:
    """Make a record of a dictionary.

    Args:
        kind: Which record.
        settings: Its arguments by name.
        what: What the user calls it, for errors.

    Raises:
        ConfigError: If an argument is not known, or out of range.
    """
    known = list(kind.__dataclass_fields__)
    if unknown := [str(name) for name in settings if name not in known]:
        problem = f"Expected `{what}` to have keys that are known, but got {unknown[0]!r}."
        raise ConfigError(f"{problem} {suggest(unknown[0], known)}")
    return kind(**settings)


def write(spec: "Dataset | Model | Tracking", *, what: str) -> dict[str, Any]:
    """Write a record down in what JSON can hold.

    Raises:
        ConfigError: If a part of it is an object.
    """
    written = {entry.name: as_plain(getattr(spec, entry.name)) for entry in fields(spec)}
    for name, value in written.items():
        if not is_plain(value):
            problem = f"Expected `{name}` of `{what}` to be told in words and numbers"
            given = getattr(spec, name)
            raise ConfigError(f"{problem}, but got {_show(given)}. Pass a type and its arguments.")
    return written


def as_plain(value: Any) -> Any:
    """Turn paths into texts, and tuples and mappings into lists and dictionaries; leave the rest.

    Example:
        >>> from pathlib import PurePosixPath
        >>> as_plain({"path": PurePosixPath("a/b"), "size": (3, 4)})
        {'path': 'a/b', 'size': [3, 4]}
    """
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {key: as_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(item) for item in value]
    return value


def as_recipe(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Give a recipe its ``type``, which may be called ``entry_point``.

    Example:
        >>> as_recipe({"entry_point": "digits"})
        {'type': 'digits'}
    """
    return {("type" if key == "entry_point" else key): settings[key] for key in settings}


def _are_arguments(given: Any) -> bool:
    """Say whether a dictionary has the arguments of a record, and is no recipe of a part of it."""
    return isinstance(given, Mapping) and "type" not in as_recipe(given)


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 80 and "\n" not in text else f"a {type(value).__qualname__}"


def read_data(data: Any) -> Dataset:
    """Take whatever a user gives for data: a record, its arguments, or a dataset.

    Raises:
        ConfigError: If an argument is not known.
    """
    if isinstance(data, Dataset):
        return data
    if _are_arguments(data):
        return read(Dataset, data, what="data")
    return Dataset(data)


def change_data(saved: Dataset, data: Any) -> Dataset:
    """Take over what a user says is new, and keep the rest.

    Args:
        saved: What was told before.
        data: What is new, as ``read_data`` takes it; arguments and datasets change a part only.

    Raises:
        ConfigError: If an argument is not known.
    """
    if data is None:
        return saved
    if isinstance(data, Dataset | LightningDataModule):
        return read_data(data)
    if _are_arguments(data):
        read(Dataset, data, what="data")
        elsewhere = {"packed_dir": None} if "dataset" in data else {}  # it held other data
        return replace(saved, **{**elsewhere, **data})
    return replace(saved, dataset=data, packed_dir=None)


def read_model(model: Any) -> Model:
    """Take whatever a user gives for a model: a record, its arguments, or a model.

    Raises:
        ConfigError: If an argument is not known.
    """
    if isinstance(model, Model):
        return model
    if _are_arguments(model):
        return read(Model, model, what="model")
    return Model(model)


def read_tracking(tracking: Any) -> Tracking:
    """Take whatever a user gives for tracking: a record, its arguments, or loggers.

    Raises:
        ConfigError: If an argument is not known.
    """
    if isinstance(tracking, Tracking):
        return tracking
    if isinstance(tracking, Mapping):
        return read(Tracking, tracking, what="tracking")
    return Tracking(trackers=() if tracking is None else tracking)
