"""``leyden replay``: make a step of a run again, and see where it breaks."""

import argparse
from collections.abc import Iterator

from rich.console import Console

from leyden.cli.facts import print_facts
from leyden.cli.guard import guarded
from leyden.incidents import MadeStep, Replay, replay

__all__ = ["run_replay"]


def run_replay(arguments: argparse.Namespace) -> int:
    """Replay as the command line says.

    Args:
        arguments: What ``add_replay`` made of it.

    Returns:
        The exit code: 0, 1 if a loss is not that of the run, 2 for a user's slip.
    """
    found: list[Replay] = []
    code = guarded(lambda: found.append(_replay(arguments)))
    differs = any(
        one.is_equal is False or any(step.is_equal is False for step in one.made) for one in found
    )
    return 1 if differs else code


def _replay(arguments: argparse.Namespace) -> Replay:
    found = replay(arguments.run, arguments.step, until=arguments.until, source=arguments.source)
    first = found.step_number if arguments.step is None else arguments.step
    made = [one for one in found.made if one.step >= first]
    _show(found, made, show_steps=arguments.until is not None)
    return found


def _show(found: Replay, made: list[MadeStep], *, show_steps: bool) -> None:
    if show_steps:
        console = Console(highlight=False)
        for one in made:
            place = f"step {one.step} (epoch {one.epoch}, batch {one.batch})"
            console.print(f"{place}: {_compare(one.loss, one.recorded, one.is_equal)}")
    print_facts(_lines(found))


def _lines(found: Replay) -> Iterator[tuple[str, str]]:
    verb = "made again" if found.loss is not None else "stopped before"
    place = f"{found.step_number} (epoch {found.epoch}, batch {found.batch_index})"
    yield "step", f"{place}, {verb} from {found.start}"
    yield from _origin_lines(found)
    if found.loss is not None:
        yield "loss", _compare(found.loss, found.recorded, found.is_equal)
    before = [one for one in found.made if one.is_equal is False]
    if before:
        one = before[0]
        yield "differs from", f"step {one.step} (epoch {one.epoch}, batch {one.batch}) on"
    for row in found.rows:
        yield "not finite", str(row)
    for index, finding in enumerate(found.findings):
        yield "then" if index else "breaks at", str(finding)
    if found.loss is not None and not found.findings:
        yield "finite", "all values of the forward pass and all gradients"


def _origin_lines(found: Replay) -> Iterator[tuple[str, str]]:
    origin = found.origin
    if origin is None:
        return
    is_plain = isinstance(origin, dict)
    yield "batch", origin["name"] if is_plain else origin.name
    slices = origin["slices"] if is_plain else getattr(origin, "slices", ())
    for piece in slices:
        number, rows = (
            (piece["set_number"], piece["rows"]) if is_plain else (piece.set_number, piece.rows)
        )
        yield f"set {number}", f"rows {', '.join(str(int(row)) for row in rows)}"


def _compare(loss: float, recorded: float | None, is_equal: bool | None) -> str:
    text = f"{loss!r} ({loss.hex()})"
    if recorded is None or is_equal is None:
        return f"{text}, of which the run has kept nothing"
    if is_equal:
        return f"{text}, equal to that of the run in every bit"
    return f"{text}, but that of the run was {recorded!r} ({recorded.hex()})"
