"""The private parts of Lightning's trainer are where they are expected, and nobody else knows them.

A test here that fails after an update of Lightning says which name was moved.
"""

import ast
import dataclasses
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.demos.boring_classes import BoringModel, RandomDataset
from lightning.pytorch.strategies import Strategy
from lightning.pytorch.trainer.connectors.logger_connector.result import (
    _Metadata,
    _ResultCollection,
    _ResultMetric,
    _Sync,
)
from typing_extensions import override

import leyden
from leyden.lifecycle import serving
from leyden.resume import trainer_internals
from leyden.resume.loggers import internals as logger_internals
from leyden.resume.trainer_internals import (
    accumulates,
    drawn_ahead,
    draws_ahead,
    dump,
    first_of_loop,
    leave_quietly,
    loaders_of,
    logged_state,
    mend_progress,
    progress,
    restore_logged,
    results,
    saved,
)

FIT, EPOCH, VAL = "fit_loop", "fit_loop.epoch_loop", "fit_loop.epoch_loop.val_loop"
METHODS = {
    FIT: "advance setup_data on_advance_start on_save_checkpoint load_state_dict "
    "reset_restart_stage _should_accumulate",
    EPOCH: "advance reset on_run_start on_advance_end on_iteration_done reset_restart_stage "
    "update_lr_schedulers _should_check_val_fx _num_ready_batches_reached",
    VAL: "reset on_run_start reset_restart_stage _evaluation_step _store_dataloader_outputs "
    "_on_evaluation_model_train",
    f"{FIT}._data_source": "dataloader is_module",
    f"{VAL}._data_source": "dataloader is_module",
    "validate_loop": "_evaluation_step",
    "test_loop": "_evaluation_step",
    "predict_loop": "_predict_step",
    "strategy": "process_dataloader load_checkpoint reduce broadcast",
    "_checkpoint_connector": "dump_checkpoint",
    "_signal_connector": "register_signal_handlers",
    "_logger_connector": "on_batch_end on_epoch_end reset_results update_train_step_metrics "
    "update_train_epoch_metrics",
}
LOOPS = [FIT, EPOCH, VAL, f"{EPOCH}.automatic_optimization", f"{EPOCH}.manual_optimization"]
VALUES = {
    FIT: "epoch_progress skip _data_source _should_reload_train_dl "
    "_combined_loader _data_fetcher _last_train_dl_reload_epoch",
    EPOCH: "batch_progress max_steps _results _batches_that_stepped _skip_next_val",
    VAL: "batch_progress _combined_loader _data_fetcher _results _logged_outputs _has_run "
    "_seen_batches_per_dataloader _module_mode _last_val_dl_reload_epoch _data_source "
    "_should_reload_val_dl",
    f"{VAL}._module_mode": "mode",
    "_accelerator_connector": "cluster_environment",
    "_logger_connector": "_first_loop_iter _current_fx _callback_metrics _logged_metrics "
    "_progress_bar_metrics",
}
FILES = sorted(Path(trainer_internals.__file__).parent.glob("*.py"))
FLAGS = {loop: " ".join(progress._FLAGS) for loop in LOOPS}


def pairs(*tables: dict[str, str]) -> list[tuple[str, str]]:
    return [(owner, name) for table in tables for owner in table for name in table[owner].split()]


class Look(Callback):
    """Looks at the trainer where the module uses it: after a batch, and after one of validation."""

    def __init__(self) -> None:
        self.attributes: dict[str, set[str]] = {}
        self.state: dict[str, Any] = {}

    @override
    def on_validation_batch_end(self, trainer: Trainer, *_: Any) -> None:
        owners = {owner for owner, _ in pairs(METHODS, VALUES, FLAGS)}
        for owner in owners if not trainer.sanity_checking else ():
            self.attributes[owner] = set(dir(attrgetter(owner)(trainer)))
            self.state = logged_state(trainer)
        self.loops = dump(trainer)["loops"]["fit_loop"]


class Logging(BoringModel):
    @override
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        step: Any = super().training_step(batch, batch_idx)
        self.log("loss", step["loss"], on_step=True, on_epoch=True)
        return step

    @override
    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        step: Any = super().validation_step(batch, batch_idx)
        self.log("val", step["x"])
        return step


def make_trainer(folder: Path, *callbacks: Callback, **options: Any) -> Trainer:
    defaults: dict[str, Any] = {"limit_train_batches": 3, "limit_val_batches": 2, "max_epochs": 1}
    return Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=list(callbacks),
        **(defaults | options),
    )


@pytest.fixture(scope="module")
def look(tmp_path_factory: pytest.TempPathFactory) -> Look:
    look = Look()
    make_trainer(tmp_path_factory.mktemp("run"), look).fit(Logging())
    return look


@pytest.mark.parametrize(("owner", "name"), pairs(METHODS, VALUES, FLAGS))
def test_lightning_has_the_name_where_it_is_used(look: Look, owner: str, name: str) -> None:
    assert name in look.attributes[owner], f"Lightning moved trainer.{owner}.{name}"


@pytest.mark.parametrize(("owner", "name"), pairs(METHODS))
def test_what_is_called_or_replaced_is_a_method(tmp_path: Path, owner: str, name: str) -> None:
    trainer = make_trainer(tmp_path)
    if owner == "strategy":
        assert callable(getattr(Strategy, name)), f"Lightning moved Strategy.{name}"
    else:
        method = getattr(attrgetter(owner)(trainer), name)
        assert callable(method), f"Lightning made a value of trainer.{owner}.{name}"


@pytest.mark.parametrize(
    ("cls", "names"),
    [
        (_Metadata, {*results._META, "reduce_fx", "_sync"}),
        (_Sync, {"fn", "_should", "rank_zero_only", "_op"}),
    ],
)
def test_fields_of_results_are_known(cls: Any, names: set[str]) -> None:
    known = {field.name for field in dataclasses.fields(cls)}
    assert names <= known, f"Lightning moved fields of {cls.__name__}: {names - known}"


def test_every_field_of_a_result_that_is_saved_by_lightning_is_kept() -> None:
    fields = {field.name for field in dataclasses.fields(_Metadata) if field.init}
    kept = {*results._META, "reduce_fx", "_sync"}
    assert fields == kept, f"Lightning has other fields of _Metadata: {fields ^ kept}"


def test_result_has_what_is_restored() -> None:
    metric = _ResultMetric(_Metadata("training_step", "loss"), is_tensor=True)
    for name in ("is_tensor", "has_reset", "meta", "value", "_forward_cache", "_defaults"):
        assert hasattr(metric, name), f"Lightning moved _ResultMetric.{name}"
    assert issubclass(_ResultCollection, dict)


@pytest.mark.parametrize(
    "key",
    [
        "state_dict",
        "epoch_progress",
        "epoch_loop.state_dict",
        "epoch_loop.batch_progress",
        "epoch_loop.val_loop.batch_progress",
    ],
)
def test_checkpoint_has_the_key(look: Look, key: str) -> None:
    assert key in look.loops, f"Lightning moved checkpoint['loops']['fit_loop'][{key!r}]"


def test_progress_is_counted_as_expected(look: Look) -> None:
    counts = look.loops["epoch_loop.batch_progress"]
    for part in ("total", "current"):
        assert {"ready", "started", "processed", "completed"} <= counts[part].keys()


# Names of leyden's own objects that look like Lightning's, and of torch's and Python's modules.
USED_ELSEWHERE_TOO = {"_pytree", "_op", "_should"}


def private_names(path: Path) -> dict[str, int]:
    """Private attributes of other objects than ``self`` and ``cls``, with their lines."""
    return {
        node.attr: node.lineno
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    }


def test_every_private_name_that_is_used_is_looked_for() -> None:
    used = {name for path in FILES for name in private_names(path)}
    assert used
    used |= {name for name in replaced_names() if name.startswith("_")}
    looked_for = {name for _, name in pairs(METHODS, VALUES)}
    connectors = {part for owner, _ in pairs(METHODS, VALUES) for part in owner.split(".")}
    assert used <= looked_for | connectors | set(saved.NAMES)


@pytest.mark.parametrize("name", saved.NAMES)
def test_what_a_model_checkpoint_remembers_is_where_it_is_expected(name: str) -> None:
    assert hasattr(ModelCheckpoint(), name)


def replaced_names() -> list[str]:
    """Names that are given as strings to the methods that replace attributes."""
    return [
        argument.value
        for path in FILES
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
        if call.func.attr in ("replace", "put_back", "_after")
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]


def test_every_name_that_is_replaced_is_looked_for() -> None:
    looked_for = {name for _, name in pairs(METHODS, VALUES)}
    assert replaced_names()
    assert set(replaced_names()) <= looked_for


ALLOWED = {*FILES, Path(logger_internals.__file__), Path(serving.__file__)}


def lightning_privates() -> set[str]:
    """All private names of the trainer and of what it is made of."""
    trainer = make_trainer(Path())
    parts = [trainer, *(attrgetter(owner)(trainer) for owner, _ in pairs(METHODS, VALUES, FLAGS))]
    return {
        name
        for part in parts
        for name in dir(part)
        if name.startswith("_") and not name.startswith("__") and name != "_abc_impl"
    }


def test_no_other_module_uses_private_names_of_the_trainer() -> None:
    privates = lightning_privates()
    root = Path(leyden.__file__).parent
    found = [
        f"{path.relative_to(root)}:{line} {name}"
        for path in sorted(root.rglob("*.py"))
        if path not in ALLOWED
        for name, line in private_names(path).items()
        if name in privates
    ]
    assert found == []


def test_no_other_module_imports_private_names_of_lightning() -> None:
    root = Path(leyden.__file__).parent
    found = [
        f"{path.relative_to(root)} {alias.name}"
        for path in sorted(root.rglob("*.py"))
        if path not in ALLOWED
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lightning")
        for alias in node.names
        if alias.name.startswith("_")
    ]
    assert found == []


def counts(ready: int, processed: int, completed: int) -> dict[str, dict[str, int]]:
    one = {"ready": ready, "started": ready, "processed": processed, "completed": completed}
    return {"total": dict(one), "current": dict(one)}


@pytest.mark.parametrize(
    ("before", "completed"),
    [((5, 5, 4), 5), ((5, 5, 5), 5), ((5, 4, 4), 4), ((6, 5, 4), 4)],
)
def test_batch_whose_hooks_were_running_is_over(
    before: tuple[int, int, int], completed: int
) -> None:
    loops: dict[str, Any] = {
        "epoch_loop.batch_progress": counts(*before),
        "epoch_progress": counts(1, 0, 0),
        "state_dict": {"combined_loader": [1], "other": 2},
    }
    mend_progress(loops)
    assert loops["epoch_loop.batch_progress"]["total"]["completed"] == completed
    assert loops["epoch_loop.batch_progress"]["current"]["completed"] == completed
    assert loops["epoch_progress"] == counts(1, 0, 0)
    assert loops["state_dict"] == {"other": 2}


def test_ending_quietly_lets_fit_return(tmp_path: Path) -> None:
    class Leave(Callback):
        @override
        def on_train_batch_end(self, *_: Any) -> None:
            raise leave_quietly()

    trainer = make_trainer(tmp_path, Leave())
    trainer.fit(BoringModel())
    assert trainer.global_step == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, [False] * 4), ({"accumulate_grad_batches": 3}, [True, True, False, False])],
)
def test_accumulation_is_seen(
    tmp_path: Path, options: dict[str, Any], expected: list[bool]
) -> None:
    class Note(Callback):
        def __init__(self) -> None:
            self.seen: list[bool] = []

        @override
        def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
            self.seen.append(accumulates(trainer))

    note = Note()
    make_trainer(tmp_path, note, limit_train_batches=4, **options).fit(BoringModel())
    assert note.seen == expected


def test_loaders_and_what_was_drawn_are_those_of_the_trainer(tmp_path: Path) -> None:
    class Unsized(torch.utils.data.IterableDataset[Any]):
        @override
        def __iter__(self) -> Any:
            return (torch.randn(32) for _ in range(6))

    class Sum(BoringModel):
        @override
        def training_step(self, batch: Any, _: int) -> Any:
            return sum(self(one).sum() for one in (batch if isinstance(batch, list) else [batch]))

    seen: list[tuple[int, int]] = []

    class Note(Callback):
        @override
        def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
            assert draws_ahead(trainer, "train") == expects_ahead.pop(0)
            seen.append((len(loaders_of(trainer, "train")), drawn_ahead(trainer, "train")))

    unsized = torch.utils.data.DataLoader(Unsized(), 2)
    sized = torch.utils.data.DataLoader(RandomDataset(32, 6), 2)
    everything = {"limit_train_batches": 1.0, "limit_val_batches": 0}
    expects_ahead = [True] * 3 + [False] * 3 + [True] * 3
    for loaders in (unsized, sized, [sized, unsized]):
        make_trainer(tmp_path, Note(), **everything).fit(Sum(), loaders)
    assert seen == [(1, 1), (1, 1), (1, 0), *3 * [(1, 0)], (2, 1), (2, 1), (2, 0)]
    assert loaders_of(make_trainer(tmp_path), "val") == []


def test_what_was_logged_is_plain_and_comes_back(look: Look, tmp_path: Path) -> None:
    file = tmp_path / "state.pt"
    torch.save(look.state, file)
    state = torch.load(file, weights_only=True)
    seen: dict[str, Any] = {}

    class Restore(Callback):
        @override
        def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
            restore_logged(trainer, state)
            seen.update(logged_state(trainer))
            seen["is_first"] = first_of_loop(trainer)

    make_trainer(tmp_path, Restore(), limit_train_batches=1, limit_val_batches=0).fit(Logging())
    assert seen.pop("is_first") == state["first"]
    assert repr(seen) == repr(state)
    assert [one["key"] for one in state["train"]] == ["training_step.loss"]
