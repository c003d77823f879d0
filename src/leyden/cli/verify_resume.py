"""``leyden verify-resume``: proves to a user that their own training can be interrupted."""

import argparse
import json
import random
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from leyden.cli.command import explain_files
from leyden.cli.verification import (
    Cause,
    Difference,
    Ended,
    Leg,
    Outcome,
    Start,
    as_json,
    cause_of,
    first_difference,
    plan_interruptions,
    print_certificate,
    read_start,
    requests_between,
    run_command,
)
from leyden.errors import ConfigError, LeydenError
from leyden.files import check_place, make_folder, refuse_other_kind, replacing
from leyden.resume.rehearsal import Interruption, Rehearsal

__all__ = ["run_verify_resume"]


def run_verify_resume(arguments: argparse.Namespace) -> int:
    """Verify as the command line says.

    Args:
        arguments: What ``add_verify_resume`` made of it.

    Returns:
        The exit code: 0 for a certificate, 1 if something differs, 2 if the command cannot be
        verified, 130 after Ctrl-C.
    """
    console = Console()
    try:
        if arguments.output is not None:
            refuse_other_kind(arguments.output, ".json")
            check_place(arguments.output)  # before minutes of work
        with _work_folder(arguments.folder) as folder:
            outcome = _Verification(arguments, folder).run()
    except KeyboardInterrupt:
        print("Interrupted; nothing was proved.", file=sys.stderr)
        return 128 + signal.SIGINT
    except (LeydenError, OSError) as error:
        print(explain_files(error), file=sys.stderr)
        return 2
    print_certificate(outcome, console)
    if arguments.output is not None:
        with replacing(arguments.output) as temporary:
            temporary.write_text(json.dumps(as_json(outcome), indent=2) + "\n", encoding="utf-8")
    return 0 if outcome.difference is None else 1


class _Verification:
    """The runs of one verification.

    Args:
        arguments: Of the command line.
        folder: Where to work.
    """

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self._arguments, self._folder = arguments, folder
        self._seed: int = (
            random.SystemRandom().randrange(1 << 31) if arguments.seed is None else arguments.seed
        )
        self._draw = random.Random(self._seed)  # noqa: S311 - nothing secret is drawn

    def run(self) -> Outcome:
        """Run the command without and with interruptions.

        Raises:
            ConfigError: If the command cannot be verified.
        """
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(
            *columns,
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ) as self._progress:
            reference, ended = self._start(Rehearsal(self._folder, 0, self._arguments.steps))
            _check_reference(reference, ended)
            interruptions = plan_interruptions(reference, self._arguments.interruptions, self._draw)
            outcome = Outcome(self._arguments.training, self._seed, reference, ended, [], [])
            return self._interrupt(outcome, interruptions)

    def _interrupt(self, outcome: Outcome, interruptions: list[Interruption]) -> Outcome:
        """Go through the run once more, from its first checkpoint on, with interruptions."""
        steps = outcome.reference.num_batches
        self._begin_again()
        first, before = 0, None
        for number, one in enumerate([*interruptions, None], 1):
            requests = () if one is None else requests_between(first, one, self._draw)
            rehearsal = Rehearsal(self._folder, number, self._arguments.steps, one, requests)
            start, ended = self._start(rehearsal)
            difference = first_difference(outcome.reference, start, self._arguments.ignore)
            if number == 1:
                outcome.notes.extend(_notes(outcome.reference, start))
            difference = difference or _unlike_plan(start, ended, one)
            outcome.legs.append(Leg(start, ended, before, one, difference is None))
            if difference is not None:
                return _with_cause(outcome, difference, start, ended)
            first, before = min(start.last.batch if start.last else first, steps), one
        return outcome

    def _start(self, rehearsal: Rehearsal) -> tuple[Start, Ended]:
        label = rehearsal.interruption or "to its end"
        task = self._progress.add_task(f"{rehearsal.start}: {label}", total=rehearsal.steps)
        ended = run_command(
            self._arguments.training,
            rehearsal,
            patience=self._arguments.patience,
            on_batch=lambda batch: self._progress.update(task, completed=batch + 1),
        )
        return read_start(rehearsal), ended

    def _begin_again(self) -> None:
        """Leave of the run that was not interrupted only what was there before its first batch."""
        rehearsal = Rehearsal(self._folder, 1, self._arguments.steps)
        shutil.rmtree(rehearsal.run_dir)
        rehearsal.first_dir.rename(rehearsal.run_dir)


@contextmanager
def _work_folder(folder: Path | None) -> Iterator[Path]:
    """A folder to work in; one that was not asked for is removed."""
    if folder is not None:
        make_folder(folder)
        if any(folder.iterdir()):
            raise ConfigError(
                f"Expected --folder to be an empty folder, but got {str(folder)!r}. Pass another."
            )
        yield folder.absolute()
        return
    made = Path(mkdtemp(prefix="leyden-verify-"))
    try:
        yield made
    finally:
        shutil.rmtree(made)


def _check_reference(reference: Start, ended: Ended) -> None:
    """Refuse a command of which nothing can be said."""
    if ended.is_hung:
        problem = "but for too long nothing happened"
        remedy = "Is `ExactResume` among its callbacks? If it only takes long, raise --patience."
    elif ended.code != 0:
        problem = f"but it ended with exit code {ended.code}: {ended.last_line()}"
        remedy = "Make it run without `leyden verify-resume` first."
    elif not reference.attached:
        problem = "but `ExactResume` was not among the callbacks of any `fit`"
        remedy = "Add it: `Trainer(callbacks=[ExactResume(DIR)])`, without `fast_dev_run`."
    elif not reference.is_finished:
        problem = f"but its training did not end as it should: {ended.last_line()}"
        remedy = "Make it run without `leyden verify-resume` first."
    else:
        return
    raise ConfigError(f"Expected COMMAND to train, {problem}. {remedy}")


def _unlike_plan(start: Start, ended: Ended, planned: Interruption | None) -> Difference | None:
    """What went wrong with a start that has done nothing wrong so far."""
    if planned is None and start.is_finished and ended.code == 0:
        return None
    if planned is not None and start.is_interrupted:
        return None
    batch = start.last.batch if start.last is not None else 0
    expected = "the run goes on to its end" if planned is None else f"{planned}"
    got = "nothing happened for too long" if ended.is_hung else f"exit code {ended.code}"
    return Difference("end", batch, "how it ended", expected, f"{got}: {ended.last_line()}")


def _with_cause(outcome: Outcome, difference: Difference, start: Start, ended: Ended) -> Outcome:
    if difference.kind == "end" or not start.facts:
        text = "The command does not run when it is started again"
        cause = Cause(text, [ended.last_line()], "Make it start where a checkpoint lies.")
    else:
        cause = cause_of(difference, start, is_interrupted=len(outcome.legs) > 1)
    return replace(outcome, difference=difference, cause=cause)


def _notes(reference: Start, start: Start) -> list[str]:
    if not start.attached or start.attached["initial"] == reference.attached["initial"]:
        return []
    note = (
        "The start is not seeded: each one makes other weights. Both runs were begun with the "
        "checkpoint of step 0 of the first. Call `seed_everything` to have starts alike too."
    )
    return [note]
