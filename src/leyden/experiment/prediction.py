"""What a trained model says of rows that are at hand."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, TypeAlias

import numpy as np
import torch
from lightning import LightningModule
from torch import Tensor

from leyden.data import Preprocessing, TimeWindows
from leyden.data.assembly import Block, Inputs
from leyden.data.cut import WindowCut
from leyden.errors import ConfigError, DataError
from leyden.experiment.rows import RawRows, arrange, check_shapes, input_names, read_rows
from leyden.lifecycle import Window, quietly, reset_states, stateful_parts
from leyden.modules import SupervisedModule
from leyden.types import Array

__all__ = ["Chains", "load_chains", "predict_rows", "states_by_name", "transform"]

Chains: TypeAlias = Mapping[str, Preprocessing]
"""Fitted preprocessors by the name of the input, ``""`` if it has none."""

_ROWS_AT_ONCE = 256  # always as many, so that predictions are the same to the bit


def states_by_name(state: Mapping[str, Any]) -> dict[str, Any]:
    """Give what preprocessors learned by the names of inputs, ``""`` if there are none.

    Args:
        state: What an ``AutoDataModule`` has under ``preparation`` in its state.
    """
    return {"": dict(state)} if "steps" in state else dict(state)


def load_chains(states: Mapping[str, Any], recipes: Any) -> Chains:
    """Make fitted preprocessors.

    Args:
        states: What they have learned, by the name of the input.
        recipes: What they are made of, as ``Dataset`` has it; ``None`` to go by the states.

    Raises:
        ResumeError: If recipes and states do not go together.
        ConfigError: If a preprocessor cannot be made.
    """
    chains = {}
    for name, state in states.items():
        steps: Any = recipes[name] if isinstance(recipes, Mapping) else recipes
        if steps is None:
            steps = [{**step["settings"], "type": step["type"]} for step in state["steps"]]
        chain = deepcopy(steps) if isinstance(steps, Preprocessing) else Preprocessing(steps)
        chain.load_state_dict(state)
        chains[name] = chain
    return chains


def transform(
    rows: RawRows, chains: Chains, names: Sequence[str] | None = None
) -> dict[str, Tensor]:
    """Preprocess rows.

    Args:
        rows: ``(rows, ...)``, as they are on disk.
        chains: The preprocessors.
        names: What the inputs are called, in the order of training, ``("",)`` for one without a
            name; ``None`` if that is not known.

    Returns:
        What a model is given, ``(rows, ...)``, by the name of the input, ``""`` if it has none, in
        the order of training.

    Raises:
        DataError: If there are no rows, they are no numbers, do not go together, or do not suit a
            preprocessor.
    """
    arrays = read_rows(rows, ("",) if names is None and "" in chains else names)
    if missing := chains.keys() - arrays.keys():
        problem = f"Expected inputs called {', '.join(sorted(chains))}, but got no"
        raise DataError(f"{problem} {', '.join(sorted(missing))}. Pass a dictionary of arrays.")
    done = {
        name: chains[name].transform(array) if name in chains else array
        for name, array in arrays.items()
    }
    return {name: torch.from_numpy(np.array(array, order="C")) for name, array in done.items()}


def predict_rows(
    module: LightningModule, inputs: Mapping[str, Tensor], windows: TimeWindows | None
) -> dict[str, Array]:
    """Predict, without leaving a trace in the module.

    Args:
        module: A module that is trained.
        inputs: What ``transform`` returned.
        windows: How rows are cut along time, if they are. Predictions are the weighted mean of
            their windows; where a module has no weights for them, as an autoencoder, those of each.

    Returns:
        Such as ``classes`` and ``probabilities``, ``(rows, ...)``, by name; ``(rows, windows,
        ...)`` where each window is predicted by itself.

    Raises:
        ConfigError: If the module cannot predict from these.
        DataError: If inputs are missing, there are others, or rows have another shape than those
            the module was made for.
    """
    ordered = arrange(inputs, input_names(module))
    check_shapes(ordered, module, windows)
    found: list[dict[str, Array]] = []
    with quietly(module):
        for batch in _batches(ordered, module):
            reset_states(stateful_parts(module))
            found.append(
                {
                    key: value.numpy(force=True)
                    for key, value in _predict(module, batch, windows).items()
                }
            )
        reset_states(stateful_parts(module))
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def _batches(inputs: Mapping[str, Tensor], module: LightningModule) -> Iterator[Inputs]:
    num_rows = len(next(iter(inputs.values())))
    for start in range(0, num_rows, _ROWS_AT_ONCE):
        batch = {name: rows[start : start + _ROWS_AT_ONCE] for name, rows in inputs.items()}
        moved = {name: _as_weights(rows, module) for name, rows in batch.items()}
        yield moved.get("", moved)


def _as_weights(rows: Tensor, module: LightningModule) -> Tensor:
    """Bring rows to the device of the weights, and floats to their precision."""
    moved = rows.to(module.device)
    return moved.to(_precision(module)) if rows.is_floating_point() else moved


def _precision(module: LightningModule) -> torch.dtype:
    floats = (weight.dtype for weight in module.parameters() if weight.is_floating_point())
    return next(floats, torch.float32)


def _predict(module: Any, batch: Inputs, windows: TimeWindows | None) -> dict[str, Tensor]:
    if isinstance(module, SupervisedModule):
        if windows is None:
            return module.describe(module.interpret(module(batch)))
        return _predict_windows(module, batch, windows)
    if windows is not None:
        problem = "Expected a module of leyden's to predict from windows"
        remedy = "Use trainer.predict, or `leyden evaluate RUN --data FOLDER`."
        raise ConfigError(f"{problem}, but got {type(module).__qualname__}. {remedy}")
    result = module.predict_step(batch, 0)
    named = {"predictions": result} if isinstance(result, Tensor) else result
    if not isinstance(named, Mapping) or not all(
        isinstance(part, Tensor) for part in named.values()
    ):
        problem = "Expected `predict_step` to give a tensor, or a dictionary of tensors"
        raise ConfigError(f"{problem}, but got {type(result).__qualname__}.")
    return dict(named)


def _predict_windows(
    module: SupervisedModule, batch: Inputs, windows: TimeWindows
) -> dict[str, Tensor]:
    """Predict from one window after another, as the state of a module may go on."""
    cut = WindowCut(windows)
    count = cut.count(batch, 0)
    parts = (cut(Block(batch, None, None), 0, index).inputs for index in range(count))
    guesses = (module.interpret(module(part)) for part in parts)
    weights = module.hparams.get("prediction_weights")
    if weights is not None:
        return module.describe(_weighted_mean(guesses, count, weights))
    described = [module.describe(guess) for guess in guesses]
    return {name: torch.stack([one[name] for one in described], dim=1) for name in described[0]}


def _weighted_mean(guesses: Iterable[Tensor], count: int, weights: tuple[float, float]) -> Tensor:
    so_far: Tensor | None = None
    for index, guess in enumerate(guesses):
        share = Window(index, count).share(weights)
        so_far = guess if so_far is None else so_far.lerp(guess, share)
    assert so_far is not None  # noqa: S101 - there is one window at least
    return so_far
