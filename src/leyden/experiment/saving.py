"""What of an experiment is written to a file, and what comes back."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from lightning import LightningModule
from torch import Tensor

from leyden._version import __version__
from leyden.errors import ConfigError, DataError, LeydenError
from leyden.experiment.allowance import Allowance
from leyden.experiment.archive import read_archive, write_archive
from leyden.experiment.learned import Learned
from leyden.experiment.models import describe_module, remake_module
from leyden.experiment.prediction import load_chains
from leyden.experiment.specs import Dataset, Model, Tracking, as_plain, as_recipe
from leyden.experiment.trust import check_trusted, is_trusted
from leyden.modules import HiddenState, SupervisedModule
from leyden.recipes import is_plain

__all__ = ["Saved", "load_experiment", "restore_weights", "save_experiment"]

_EXTRA = "_extra_state"  # how torch calls what a part keeps that is no tensor


@dataclass(frozen=True)
class Saved:
    """What is saved of an experiment.

    Args:
        data: What was told about data, as far as it was told in words and numbers.
        model: What was told about the model, likewise.
        tracking: What was told about tracking, likewise.
        trainer: Arguments of the trainer, likewise.
        learned: What is known of the data.
    """

    data: Dataset
    model: Model
    tracking: Tracking
    trainer: Mapping[str, Any]
    learned: Learned


def save_experiment(path: Path, saved: Saved, module: LightningModule) -> None:
    """Write an experiment to a file, whole or not at all.

    Raises:
        ConfigError: If the module keeps something that is no tensor and cannot be written down.
    """
    state = module.state_dict()
    weights = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    described = as_plain(describe_module(module, saved.model.model))
    if not is_plain(described["arguments"]):
        described["arguments"] = None
    spec = {
        "leyden": __version__,
        "data": _plain_fields(saved.data),
        "model": _plain_fields(saved.model),
        "tracking": _plain_fields(saved.tracking),
        "trainer": _plain_items(saved.trainer),
        "learned": asdict(saved.learned),
        "module": described,
        "extra": _extra_states(module, state),
    }
    write_archive(path, spec, weights)


def _plain_fields(spec: Dataset | Model | Tracking) -> dict[str, Any]:
    """Write down what can be; the rest will have its default."""
    return _plain_items({entry.name: getattr(spec, entry.name) for entry in fields(spec)})


def _plain_items(items: Mapping[str, Any]) -> dict[str, Any]:
    written = {name: as_plain(value) for name, value in items.items()}
    return {name: value for name, value in written.items() if is_plain(value)}


def _extra_states(module: LightningModule, state: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in state.items() if not isinstance(value, Tensor)}
    found = {name: found[name] for name in found.keys() - _passing_states(module)}
    for name, value in found.items():
        if not is_plain(value):
            problem = f"Expected {name} to be numbers and texts to be saved"
            raise ConfigError(f"{problem}, but got {type(value).__qualname__}. Make it a buffer.")
    return found


def _passing_states(module: LightningModule) -> set[str]:
    """Name what recurrent parts keep from one window to the next, which is not to be saved."""
    parts = module.named_modules()
    return {f"{name}.{_EXTRA}" for name, part in parts if isinstance(part, HiddenState)}


def load_experiment(
    path: Path, *, trust: Collection[str], model: LightningModule | None
) -> tuple[Saved, LightningModule]:
    """Read what ``save_experiment`` wrote.

    Args:
        path: The file.
        trust: Packages or modules of which parts may be imported, in addition to the known.
        model: A module to load the weights into, where the file does not say how to make it.

    Raises:
        MissingPathError: If there is no such file.
        DataError: If the file is damaged, names what would be run, or describes a network that is
            far larger than its weights.
        ConfigError: If a module is needed and was not given.
    """
    spec, weights = read_archive(path)
    try:
        saved, described = _parse(spec)
        _check_trust(saved, described, trust)
        module = model or _remake(described, weights)
        restore_weights(module, {**weights, **spec["extra"]})
        # What cannot be loaded is to be told now, not with the first prediction.
        load_chains(saved.learned.states, saved.data.preprocessors or None)
    except LeydenError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        problem = f"Expected an experiment, but what {path} tells cannot be read"
        raise DataError(f"{problem}: {error!r}.") from error
    if not is_trusted(_type_of(saved.data.dataset), trust):
        saved = _without_data(saved)
    return saved, module


def _parse(spec: Mapping[str, Any]) -> tuple[Saved, dict[str, Any]]:
    learned = dict(spec["learned"])
    for name in ("class_names", "column_names", "input_names"):
        learned[name] = tuple(learned[name]) if learned.get(name) else None
    saved = Saved(
        data=Dataset(**spec["data"]),
        model=Model(**spec["model"]),
        tracking=Tracking(**spec["tracking"]),
        trainer=dict(spec["trainer"]),
        learned=Learned(**learned),
    )
    return saved, dict(spec["module"])


def _check_trust(saved: Saved, described: Mapping[str, Any], trust: Collection[str]) -> None:
    """Go through everything of the file that would be imported."""
    steps = [step for state in saved.learned.states.values() for step in state["steps"]]
    read: dict[str, Any] = {
        "model": [saved.model.model, {**(described["arguments"] or {}), "type": described["type"]}],
        "preprocessors": [saved.data.preprocessors, [step["type"] for step in steps]],
        "data_augmentors": saved.data.data_augmentors,
        "reader": [(saved.data.options or {}).get("reader")],
        "trackers": saved.tracking.trackers,
    }
    if described["arguments"] is None:
        read["model"] = saved.model.model
    check_trusted(read, trust)


def _remake(described: Mapping[str, Any], weights: Mapping[str, Tensor]) -> LightningModule:
    if described["arguments"] is None:
        problem = f"Expected `model`, as {described['type']} was made of objects"
        raise ConfigError(f"{problem} that a file cannot hold. Pass one made in the same way.")
    with Allowance(weights):
        return remake_module(described)


def restore_weights(module: LightningModule, state: Mapping[str, Any]) -> None:
    """Load weights into a module.

    Raises:
        ConfigError: If the module has no network yet.
        DataError: If they are not those of such a module.
    """
    if isinstance(module, SupervisedModule) and module.network is None:
        problem = "Expected a module that knows its sizes, but it has no network yet"
        raise ConfigError(f"{problem}. Pass it `input_shape`, and `num_classes` or `output_shape`.")
    own = module.state_dict()
    skipped = _passing_states(module)
    if own.keys() - skipped != set(state):
        others = sorted((own.keys() - skipped) ^ set(state))
        problem = f"Expected the weights of {type(module).__qualname__}, but they differ in"
        raise DataError(f"{problem} {', '.join(others[:5])}.")
    try:
        module.load_state_dict({**{name: own[name] for name in skipped}, **state})
    except RuntimeError as error:  # of other shapes
        problem = f"Expected the weights of {type(module).__qualname__}, but got others"
        raise DataError(f"{problem}: {error}") from error


def _type_of(dataset: Any) -> str:
    return str(as_recipe(dataset).get("type", "")) if isinstance(dataset, Mapping) else ""


def _without_data(saved: Saved) -> Saved:
    """Forget data that only a foreign class knows; it is given where it is needed."""
    return replace(saved, data=replace(saved.data, dataset=None))
