"""A model run over a split of the data, and everything it gave stored by row."""

import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.utilities.model_helpers import is_overridden
from typing_extensions import override

from leyden._version import __version__
from leyden.data.origin import rows_of
from leyden.errors import ConfigError, DataError, suggest
from leyden.evaluation.functions import Metrics, choose_metrics
from leyden.evaluation.outputs import count_rows, find_targets, name_outputs
from leyden.evaluation.records import RecordWriter
from leyden.evaluation.stored import Evaluation, store_evaluation
from leyden.lifecycle import find_origin, find_window, make_feeds, quietly
from leyden.resume.replaced import Replaced
from leyden.runs import RunDir
from leyden.types import Phase, Rows

__all__ = ["Method", "evaluate"]

Method: TypeAlias = Literal["auto", "eval_op", "predict_step", "test_step", "forward"]
"""What of a module is called for each batch."""

_OWN = ("set_number", "row")
_SETUP = {Phase.TRAIN: "fit", Phase.VAL: "fit", Phase.TEST: "test", Phase.PREDICT: "predict"}
_DEFAULTS: Mapping[str, Any] = {
    "accelerator": "auto",
    "devices": 1,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}
_EXPECTED = (  # warnings about what is meant so
    "Couldn't infer the batch indices",
    "The '.*dataloader' does not have many workers",
    "predict returned None",  # which we tell ourselves
    "Your `.*dataloader`'s sampler has shuffling enabled",
    r"`isinstance\(treespec, LeafSpec\)`",
)


def evaluate(  # noqa: PLR0913 - settings, each with a default
    module: LightningModule,
    data: Any,
    run: RunDir,
    *,
    split: Phase | str = "test",
    method: Method = "auto",
    metrics: Metrics = "auto",
    global_step: int = 0,
    facts: Mapping[str, Any] | None = None,
    trainer: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Run a model over a split, store what it gave for every row, and run functions over that.

    Rows are written as they come, into ``evaluation/<time>/<step>/`` of the run; the folder is
    there when all of them are. The model runs in evaluation mode, without gradients and in one
    process, and neither it nor a generator is changed by it.

    Stored are the outputs of the model (see ``Method``), ``target`` where a batch has labels, and
    where each row is from: ``set_number`` and ``row``, its place in that set, as a loader of
    ``AutoDataModule`` or ``origin`` of the data module says. Where neither does, ``set_number`` is
    the number of the loader, from zero, and ``row`` the row's place in its data set. A batch in
    time windows is stored with what its last window gave.

    Args:
        module: A model that is trained.
        data: A data module; or a loader, or several, with whatever split.
        run: The run that the evaluation belongs to; any folder will do.
        split: ``"train"``, ``"val"``, ``"test"`` or ``"predict"``. Training rows come as they do in
            training: shuffled and augmented, if they are.
        method: ``"eval_op"`` is called as ``module.eval_op(**feeds)`` with the parts of a batch by
            name, ``"forward"`` with the inputs alone, and ``"predict_step"`` and ``"test_step"`` as
            Lightning does. ``"auto"`` takes ``eval_op`` if the module has it, else ``predict_step``
            if the module overrides it, else ``forward``.
        metrics: See ``Evaluation.add_metrics``; they are looked up before anything is run.
        global_step: How many steps the model was trained.
        facts: What else is to be known of the evaluation, in words and numbers.
        trainer: Arguments of ``lightning.Trainer``.

    Returns:
        The evaluation. If a metric fails, its error is raised, and the rows stay.

    Raises:
        ConfigError: If the split, the method or a metric is not known, or there is more than one
            process.
        DataError: If there is no such split, no rows, or outputs that are not one for each row.
    """
    phase, name = _check_split(split), _choose(module, method)
    choose_metrics(metrics, None)
    _check_data(data, phase)
    began = time.monotonic()

    def fill(writer: RecordWriter) -> Mapping[str, Any]:
        _run(module, data, phase, name, writer, dict(trainer or {}))
        return {
            "split": phase.value,
            "module": f"{type(module).__module__}.{type(module).__qualname__}",
            "method": name,
            "leyden": __version__,
            "command": list(sys.argv),
            "fingerprint": _fingerprint(data, phase),
            "duration": time.monotonic() - began,
            **(facts or {}),
        }

    return store_evaluation(run, global_step, fill).add_metrics(metrics)


def _check_split(split: Phase | str) -> Phase:
    try:
        return Phase(split)
    except ValueError:
        problem = f"Expected `split` to be the name of a split, but got {split!r}."
        hint = suggest(str(split), [phase.value for phase in Phase])
        raise ConfigError(f"{problem} {hint}") from None


def _choose(module: LightningModule, method: str) -> str:
    """Decide what of a module is called."""
    if method not in get_args(Method):
        problem = f"Expected `method` to be known, but got {method!r}."
        raise ConfigError(f"{problem} {suggest(method, get_args(Method))}")
    has_op = callable(getattr(module, "eval_op", None))
    if method == "auto":
        predicts = is_overridden("predict_step", module, LightningModule)
        return "eval_op" if has_op else "predict_step" if predicts else "forward"
    if method == "eval_op" and not has_op:
        kind = type(module).__qualname__
        raise ConfigError(f"Expected {kind} to have a method `eval_op`, but it has none. Add one.")
    return method


def _check_data(data: Any, phase: Phase) -> None:
    if not isinstance(data, LightningDataModule):
        return
    has = getattr(data, "has", None)
    is_there = (
        has(phase)
        if callable(has)
        else is_overridden(f"{phase}_dataloader", data, LightningDataModule)
    )
    if not is_there:
        known = [one.value for one in Phase if callable(has) and has(one)]
        hint = suggest(phase.value, known) if known else "Name another split."
        raise DataError(f"Expected a `{phase}` part of the data, but there is none. {hint}")


def _fingerprint(data: Any, phase: Phase) -> str | None:
    """Look up the digest of the rows, if the data module knows it."""
    catalogs = getattr(data, "catalogs", {})
    return getattr(catalogs.get(phase), "fingerprint", None)


def _run(
    module: LightningModule,
    data: Any,
    phase: Phase,
    method: str,
    writer: RecordWriter,
    settings: dict[str, Any],
) -> None:
    tests = method == "test_step"
    collector = _Collector(writer, Phase.TEST if tests else Phase.PREDICT)
    with warnings.catch_warnings():
        for message in _EXPECTED:
            warnings.filterwarnings("ignore", message)
        trainer = Trainer(
            **{**_DEFAULTS, "logger": False, "enable_checkpointing": False, **settings},
            callbacks=[collector],
        )
        if trainer.world_size != 1:
            problem = "Expected one process to evaluate in"
            raise ConfigError(f"{problem}, but got {trainer.world_size}. Pass `devices` of 1.")
        served: Any
        with _lent(module, data, phase, method) as served, quietly(module):
            if tests:
                trainer.test(module, **served, verbose=False)
            else:
                trainer.predict(module, **served, return_predictions=False)


@contextmanager
def _lent(
    module: LightningModule, data: Any, phase: Phase, method: str
) -> Iterator[Mapping[str, Any]]:
    """Have a module and a data module do for a while what is asked of them."""
    replaced, as_phase = Replaced(), Phase.TEST if method == "test_step" else Phase.PREDICT
    before = [(owner, _trainer_of(owner)) for owner in (module, data)]
    try:
        if method in ("eval_op", "forward"):
            replaced.replace(module, "predict_step", partial(_CALLS[method], module))
        if not isinstance(data, LightningDataModule):
            yield {"dataloaders": data}
            return
        loader, setup = getattr(data, f"{phase}_dataloader"), data.setup
        replaced.replace(data, f"{as_phase}_dataloader", loader)
        replaced.replace(data, "setup", lambda stage: setup(_SETUP[phase]))  # noqa: ARG005 - by name
        for name in ("num_windows", "origin"):
            if callable(tell := getattr(data, name, None)):
                replaced.replace(data, name, partial(_tell_of, tell, phase))
        yield {"datamodule": data}
    finally:
        replaced.put_all_back()
        for owner, trainer in before:
            if isinstance(owner, LightningModule | LightningDataModule):
                owner.trainer = trainer


def _tell_of(tell: Callable[..., Any], phase: Phase, _: Phase, *place: int) -> Any:
    """Ask of the phase that there is, rather than of that which Lightning knows."""
    return tell(phase, *place)


def _trainer_of(owner: Any) -> Any:
    try:
        return getattr(owner, "trainer", None)
    except RuntimeError:  # a module says so outside of one
        return None


def _call_op(module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:  # noqa: ARG001 - Lightning passes them
    return module.eval_op(**make_feeds(batch))


def _call_forward(module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:  # noqa: ARG001 - likewise
    inputs = batch[0] if isinstance(batch, list | tuple) else batch
    return module(inputs)


_CALLS: Mapping[str, Callable[..., Any]] = {"eval_op": _call_op, "forward": _call_forward}


class _Collector(BasePredictionWriter):
    """Hands every batch's outputs on, with the origin of its rows.

    Args:
        writer: Takes the rows.
        phase: What Lightning takes the batches for.
    """

    def __init__(self, writer: RecordWriter, phase: Phase) -> None:
        super().__init__("batch")
        self._writer, self._phase = writer, phase
        self._positions: dict[int, int] = {}  # rows so far, by loader

    @override
    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Any,
        batch_indices: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        self._add(trainer, prediction, batch, (batch_idx, dataloader_idx), batch_indices)

    @override
    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._add(trainer, outputs, batch, (batch_idx, dataloader_idx), None)

    def _add(
        self, trainer: Trainer, outputs: Any, batch: Any, place: tuple[int, int], indices: Any
    ) -> None:
        batch_index, loader_index = place
        if not find_window(trainer, batch_index, loader_index).is_last:
            return
        origin = find_origin(trainer, self._phase, batch_index, loader_index)
        slices = getattr(origin, "slices", None)
        places = self._places(batch, loader_index, indices) if slices is None else rows_of(slices)
        rows = dict(zip(_OWN, places, strict=True))
        num_rows = len(rows["row"])
        found = name_outputs(outputs, num_rows)
        if not found:
            problem = "Expected outputs to store, but the step returned nothing"
            raise DataError(f"{problem}. Return tensors, or name another `method`.")
        if taken := sorted({*_OWN} & found.keys()):
            problem = f"Expected outputs of other names than {taken[0]!r}"
            raise DataError(f"{problem}, which says where a row is from. Rename it.")
        targets = name_outputs(find_targets(batch), num_rows, name="target")
        self._writer.add({**rows, **targets, **found})

    def _places(self, batch: Any, loader_index: int, indices: Any) -> tuple[Rows, Rows]:
        """Number the rows of a batch by their places in the data set, or in the loader."""
        num_rows = len(indices) if indices else count_rows(batch)
        first = self._positions.get(loader_index, 0)
        self._positions[loader_index] = first + num_rows
        rows = np.array(indices) if indices else np.arange(first, first + num_rows)
        return np.full(num_rows, loader_index), rows.astype(np.int64)
