"""Where and how a run is interrupted."""

import random

from leyden.cli.verification.records import Start
from leyden.errors import ConfigError
from leyden.resume.rehearsal import How, Interruption, Where

__all__ = ["plan_interruptions", "requests_between"]

_KINDS = (
    (How.SIGINT, Where.STEP),
    (How.SIGKILL, Where.MOMENT),
    (How.SIGTERM, Where.VALIDATION),
    (How.EXCEPTION, Where.STEP),
    (How.SIGKILL, Where.WRITE),
    (How.SIGKILL, Where.VALIDATION),
    (How.SIGTERM, Where.STEP),
    (How.SIGKILL, Where.STEP),
    (How.SIGINT, Where.VALIDATION),
)


def plan_interruptions(reference: Start, count: int, draw: random.Random) -> list[Interruption]:
    """Choose interruptions: all kinds of signals in turn, each at a random place of its own.

    Args:
        reference: The run that was not interrupted.
        count: How many.
        draw: Where chance comes from.

    Returns:
        In the order in which they are to happen. Those of a validation are put into steps where
        there is none.

    Raises:
        ConfigError: If there are fewer places than interruptions.
    """
    num_batches = reference.num_batches
    places = range(1, num_batches - 1)
    if len(places) < count:
        raise ConfigError(
            f"Expected the run to have at least {count + 2} batches of training for {count} "
            f"interruptions, but got {num_batches}. Pass a larger --steps, fewer --interruptions, "
            "or have the command train longer."
        )
    kinds = [_KINDS[index % len(_KINDS)] for index in range(count)]
    chosen: dict[int, Interruption] = {}
    for how, where in sorted(kinds, key=lambda kind: kind[1] is not Where.VALIDATION):
        free = [place for place in places if place not in chosen]
        validated = _validations(reference, free) if where is Where.VALIDATION else {}
        if validated:
            batch = draw.choice(sorted(validated))
            record = draw.choice(validated[batch])
            chosen[batch] = Interruption(how, where, batch, record=record)
        else:
            batch = draw.choice(free)
            where_then = Where.STEP if where is Where.VALIDATION else where
            chosen[batch] = Interruption(how, where_then, batch, fraction=draw.random())
    return [chosen[batch] for batch in sorted(chosen)]


def requests_between(
    first: int, interruption: Interruption, draw: random.Random
) -> tuple[int, ...]:
    """Choose a batch after which a checkpoint is written, for what leaves without writing one.

    Args:
        first: Batch at which the process begins.
        interruption: What ends it.
        draw: Where chance comes from.

    Returns:
        One index, or none.
    """
    leaves_one = interruption.how in (How.SIGINT, How.SIGTERM)
    if leaves_one or first >= interruption.batch:
        return ()
    return (draw.randrange(first, interruption.batch),)


def _validations(reference: Start, free: list[int]) -> dict[int, list[int]]:
    """Numbers of the batches of the validation after each batch of training."""
    found: dict[int, list[int]] = {}
    for record in reference.of_kind("validation batch"):
        if record.batch in free:
            found.setdefault(record.batch, []).append(record.number)
    return found
