"""Why a run differs, most likely, and what can be done about it."""

from dataclasses import dataclass
from typing import Any

from leyden.cli.verification.comparison import Difference
from leyden.cli.verification.records import Start
from leyden.cli.verification.suspects import Suspect, find_suspects, lines_that_call, show_line

__all__ = ["Cause", "cause_of"]

_ORDER_REMEDY = (
    "Draw the order from torch's, NumPy's or Python's global generator, from a generator that is "
    "an attribute of the loader, sampler or dataset and is made once, or from one that is seeded "
    "by the epoch: `np.random.default_rng((seed, epoch))`; or give the loader `state_dict` and "
    "`load_state_dict`."
)
_CONTENT_REMEDY = (
    "Draw from torch's, NumPy's or Python's global generator, or from one that is seeded by the "
    "row: `np.random.default_rng((seed, epoch, index))`; make data that is random with a seed."
)
_MODEL_REMEDY = (
    "Draw from torch's, NumPy's or Python's global generator (`torch.rand(...)` without "
    "`generator=`), or have `on_save_checkpoint` and `on_load_checkpoint` keep the generator's "
    "state; what else the step depends on belongs in a buffer or in the checkpoint."
)
_KERNEL_REMEDY = (
    "Two runs from the same checkpoint differ without any interruption: if no line of the code "
    "draws on a source of its own, pass `Trainer(deterministic=True)`."
)
_METRIC_REMEDY = (
    "Log what depends on weights and batches only, or leave it out of the comparison: "
    "`--ignore '{name}'`."
)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a run differs, most likely.

    Attributes:
        text: What is the matter.
        lines: Lines of the user's code, the likeliest first.
        remedy: What to do.
    """

    text: str
    lines: list[str]
    remedy: str


def cause_of(difference: Difference, start: Start, *, is_interrupted: bool) -> Cause:
    """Find the most likely cause of a difference.

    Args:
        difference: The first one.
        start: In which it was found.
        is_interrupted: Whether there was an interruption before it.
    """
    if difference.kind == "start":
        return _not_resumed(start)
    record, reference = difference.record, difference.reference
    if difference.kind == "event" or record is None or reference is None:
        return _other_events(start)
    if record.what in ("batch", "validation batch"):
        phase = "train" if record.what == "batch" else "val"
        loaders = [one for one in start.loaders if one["phase"] == phase]
        rows = (reference.more["rows"], record.more["rows"])
        return _loader_cause(loaders, start, rows)
    if record.what == "row" or _name(difference).startswith("metrics["):
        return _metric_cause(difference, start)
    return _model_cause(start, is_interrupted=is_interrupted)


def _not_resumed(start: Start) -> Cause:
    files = start.facts["files"]
    dirpath, asked = start.attached["dirpath"], start.facts["asked"]
    fits = lines_that_call(files, "fit")
    call = f"ckpt_path=leyden.latest_checkpoint({dirpath!r})"
    if not asked:
        text = "`leyden.latest_checkpoint` was never called: every start begins at step 0 again"
        return Cause(text, fits, f"Pass it: `trainer.fit(..., {call})`.")
    if dirpath not in asked.values():
        names = ", ".join(repr(name) for name in asked.values())
        text = f"`ExactResume` writes to {dirpath!r}, but the checkpoint was looked for in {names}"
        lines = lines_that_call(files, "latest_checkpoint")
        return Cause(text, lines, f"Name the same folder twice: `{call}`.")
    text = "`leyden.latest_checkpoint` found a checkpoint, but `fit` was not given it"
    return Cause(text, fits, f"Pass it: `trainer.fit(..., {call})`.")


def _other_events(start: Start) -> Cause:
    suspects = find_suspects(start.facts["files"], [start.facts["step"], *start.facts["classes"]])
    return Cause(
        "The run takes another course: something decides by what is not in a checkpoint",
        _shown(suspects, start.facts["step"]),
        "Keep what callbacks decide by in their `state_dict`.",
    )


def _loader_cause(
    loaders: list[dict[str, Any]], start: Start, rows: tuple[str | None, str | None]
) -> Cause:
    files = start.facts["files"]
    named = ", ".join(_loader_words(one) for one in loaders) or "the loader"
    draws = [one["draws"] for one in loaders]
    reads = [place for one in loaders for place in (one["reads"], one["collates"])]
    written = [one["written"] for one in loaders]
    made = [one["made"] for one in loaders]
    classes = [place for one in loaders for place in one["classes"]]
    if None not in rows and rows[0] == rows[1]:
        dataset = ", ".join(str(one["dataset"]) for one in loaders)
        return Cause(
            f"The rows are the same and in the same order, but their content is not: {dataset}, "
            f"read by {named}",
            _shown(find_suspects(files, [*reads, *classes]), *reads, *made),
            _CONTENT_REMEDY,
        )
    if None not in rows:
        sampler = ", ".join(str(one["sampler"]) for one in loaders)
        return Cause(
            f"The rows come in another order: {sampler}, of {named}",
            _shown(find_suspects(files, [*draws, *classes]), *draws, *made),
            _ORDER_REMEDY,
        )
    near = [*written, *reads, *draws]
    return Cause(
        f"The batches are others: {named}, which leyden brings back by {loaders[0]['way']}"
        if loaders
        else "The batches are others",
        _shown(find_suspects(files, [*near, *classes]), *near, *made),
        _ORDER_REMEDY,
    )


def _model_cause(start: Start, *, is_interrupted: bool) -> Cause:
    step = start.facts["step"]
    remedy = _MODEL_REMEDY if is_interrupted else f"{_MODEL_REMEDY} {_KERNEL_REMEDY}"
    return Cause(
        f"The batch is the same, but what {start.facts['module']} makes of it is not: it draws on "
        "something that is not brought back",
        _shown(find_suspects(start.facts["files"], [step, *start.facts["classes"]]), step),
        remedy,
    )


def _metric_cause(difference: Difference, start: Start) -> Cause:
    name = _name(difference).partition("['")[2].rpartition("']")[0]
    step = start.facts["step"]
    return Cause(
        f"Weights and batches are the same, but {name!r}, which is logged, is not",
        _shown(find_suspects(start.facts["files"], [step, *start.facts["classes"]]), step),
        _METRIC_REMEDY.format(name=name),
    )


def _name(difference: Difference) -> str:
    return difference.where.rpartition(", ")[2]


def _loader_words(loader: dict[str, Any]) -> str:
    made = loader["made"] or loader["written"]
    where = show_line(made)
    verb = "made in" if loader["made"] else "written in"
    return f"{loader['class']} for {loader['phase']}" + (f", {verb} {where}" if where else "")


def _shown(suspects: list[Suspect], *places: Any) -> list[str]:
    """The likeliest lines first; where there are none, the functions in which they would be."""
    lines = [f"{one.place}: {one.text}  ({one.reason})" for one in suspects[:3]]
    named = [line for place in places if (line := show_line(place))]
    return lines + list(dict.fromkeys(named))[: 3 - len(lines)]
