"""Loaders that know how far they have come, and can be brought back there.

A loader is *followed*: what Lightning gets is a look-alike that shares everything with the user's
own loader, and notes, each time the loader is gone through (a *pass*), where the random generators
stood before its first batch and how many batches were drawn. That is all it takes to go back: put
the generators where they stood, begin again, and get past the batches that were drawn.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, TypeAlias

from lightning.fabric.utilities.data import sized_len

from leyden.generators import (
    Generator,
    find_generators,
    generator_states,
    global_state,
    restore_generators,
    restore_global_state,
)
from leyden.resume.loaders.memory import Memory, holder_of_iterator
from leyden.resume.loaders.passes import Pass, without_last
from leyden.resume.loaders.rest import Rest
from leyden.resume.loaders.ways import ByIndex, ByReplay, ByState, FastForward, choose_way, is_plain
from leyden.resume.loaders.workers import Report

__all__ = ["LoaderFollower"]

_SKIPPED = object()  # stands for a batch that is being passed over

_Place: TypeAlias = tuple[Any, Any]
"""What a loader says of its place, and where the generators stand; ``None`` for what is not so."""


class LoaderFollower:
    """Follows one loader through the passes of an epoch.

    Args:
        loader: What the user made.
        fast_forward: How to get back to a place in it.
        is_ahead: Tells whether batches are drawn before they are asked for, as Lightning has it
            where the length of this loader, or of one beside it, is not known.

    Raises:
        ConfigError: If the loader cannot be fast-forwarded in that way.
    """

    def __init__(
        self,
        loader: Iterable[Any],
        fast_forward: FastForward = "auto",
        is_ahead: Callable[[], bool] | None = None,
    ) -> None:
        self.loader = loader
        self._fast_forward = fast_forward
        self._way = choose_way(loader, fast_forward)
        self._memory = Memory(None if isinstance(self._way, ByState) else loader)
        self._is_ahead = is_ahead or (lambda: sized_len(loader) is None)
        self._workers: dict[int, Any] = {}  # where the generators of each stand
        self._passes: list[Pass] = []
        self._to_repeat: list[Pass] = []
        self._places: list[_Place] = []  # before the last two draws
        self._rest = Rest(self._way) if isinstance(self._way, ByState) else None
        self._has_begun = False  # since a state was loaded
        self._unopened: Pass | None = None  # that is repeated, while nothing new was asked for
        self._batches: Iterator[Any] = iter(())  # of the pass at hand

    @property
    def way(self) -> str:
        """How the loader gets back to its place: ``state``, ``index`` or ``replay``."""
        way = type(self._way).__name__.removeprefix("By").lower()
        return "replay" if way == "index" and self._fast_forward == "replay" else way

    @property
    def problem(self) -> str | None:
        """Why the loader cannot be brought back exactly, if it cannot, and what to do."""
        if isinstance(self.loader, Iterator):
            return (
                "an iterator can be gone through once only; hand in the iterable that makes it, "
                "or a DataLoader"
            )
        if (holder := holder_of_iterator(self.loader)) is not None:
            return (
                f"its `{holder}` is or keeps an iterator, of which nobody can say how far it has "
                "come; make the iterator in `__iter__`, at each call"
            )
        if getattr(self.loader, "num_workers", 0) and not getattr(self.loader, "in_order", True):
            return (
                "its workers hand in batches as they come; pass `in_order=True` to the DataLoader"
            )
        if getattr(self.loader, "persistent_workers", False) and not is_plain(self.loader):
            return (
                "its class goes through the batches in a way of its own, so that workers that "
                "persist cannot be put back; pass `persistent_workers=False`"
            )
        return None

    def begin(self) -> Iterator[Any]:
        """Go through the loader; nothing is drawn before the first batch is asked for."""
        if self._to_repeat:
            return self._repeat(self._to_repeat.pop(0))
        return self._go()

    def forget(self) -> None:
        """The epoch is over: there will be no going back to what was drawn so far."""
        if self._passes:
            self._await_workers(self._passes[-1])
            if self._rest is not None:
                self._note_rest(self._rest, self._passes[-1])
        self._passes, self._to_repeat, self._places = [], [], []
        self._unopened = None

    def state_dict(self, ahead: int = 0) -> dict[str, Any]:
        """Say how far the loader has come.

        Args:
            ahead: Batches that were drawn and that nobody has had yet.
        """
        passes = [copy.copy(one) for one in self._passes]
        if passes and passes[-1].ended:  # what was drawn ahead is of loaders beside this one
            ahead = 0
        for _ in range(ahead):
            passes = without_last(passes)
        for one in passes[:-1]:  # which are over
            one.start = {}
        generators = generator_states(self._generators())
        if passes:
            passes[-1].new_generators = len(generators) > len(passes[-1].start["own"])
            passes[-1].place, passes[-1].next = self._place(ahead)
            is_first = len(passes) == 1 and passes[-1].drawn == 0
            if is_first and self._rest is not None and self._rest.is_at(passes[-1].place):
                passes[-1].place = None
        remembered = self._memory.read()
        return {
            "passes": self._without_constants(passes, remembered),
            "remembered": remembered,
            "rest": self._rest and self._rest.place,
            "is_left": self._rest is not None and self._rest.is_left,
            "generators": generators,
            "workers": self._persistent_workers(),
            "born": self._way.born,
        }

    def _without_constants(
        self, passes: list[Pass], remembered: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Leave out what the loader remembers and what is as it always was."""
        written = [asdict(one) for one in passes]
        standings = [one[name] for one in written for name in ("start", "next") if one[name]]
        moments = [*(one["remembered"] for one in standings), remembered]
        changed = self._memory.changed(moments)
        for moment in moments:
            for place in moment.keys() - changed:
                del moment[place]
        return written

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Have the passes that follow repeat those of a state, and go on with the last.

        Args:
            state: What `state_dict` returned.
        """
        self._passes, self._places = [], []
        passes = [Pass(**one) for one in state["passes"]]
        # One that was begun for nothing, where loaders are made anew, is not begun again.
        self._to_repeat = [one for one in passes if one.ended or one is passes[-1]]
        self._workers = dict(state["workers"])
        self._way.born = state["born"]
        self._has_begun = False
        if self._rest is not None:
            self._rest.place = state["rest"]
            self._rest.is_left = state.get("is_left", False)  # which older checkpoints have not
            last = self._to_repeat[-1] if self._to_repeat else Pass()
            self._go_to_place(self._rest, last)  # now, as its length may depend on it

    def restore_generators(self, state: dict[str, Any]) -> None:
        """Put the loader's own generators where they stood when the state was made.

        Args:
            state: What `state_dict` returned.

        Raises:
            ResumeError: If the loader has more or fewer of them than it had.
        """
        if not state["passes"] and self._has_begun:  # too early, before all was put back
            self.close()
            self.load_state_dict(state)
        restore_generators(self._generators(), state["generators"])
        self._memory.write(state.get("remembered", {}))  # which older checkpoints have not

    def close(self) -> None:
        """End the worker processes that were started."""
        self._keep(iter(()))
        self._way.close()

    def _is_whole(self, one: Pass) -> bool:
        """Whether a pass came to its end; going on from the midst of one would not begin anew."""
        return one.ended or one.drawn == sized_len(self.loader)

    def _note_rest(self, rest: Rest, one: Pass) -> None:
        """Note where the epoch that is over, whose last pass this was, leaves the loader."""
        is_left, is_there = not self._is_whole(one), self._unopened is None
        if is_left and self._places:
            place, _ = self._places[-1]
        elif is_left and one.drawn + 1 == sized_len(self.loader):
            place = one.near_end  # from the other place, the end would be come to
        else:
            place = self._way_state() if self._unopened is None else self._unopened.place
        rest.note(place, is_left=is_left, is_there=is_there)

    def _keep(self, batches: Iterator[Any]) -> None:
        """End the pass before, which may not have come to its end, and its worker processes."""
        before, self._batches = self._batches, batches
        if before is not batches:  # as with workers that persist
            for name in ("_shutdown_workers", "close"):  # an iterator of torch's, or a generator
                getattr(before, name, lambda: None)()

    def _go(self) -> Iterator[Any]:
        self._has_begun, self._unopened = True, None
        one = Pass(
            {
                **self._standing(),
                "workers": self._persistent_workers(),
                "born": self._way.born,
            }
        )
        self._passes.append(one)
        yield from self._draw(one, self._open(one))

    def _open(self, one: Pass, *skipped: int) -> Iterator[Any]:
        self._way.born = one.start["born"]
        return self._way.open(dict(one.start["workers"]), *skipped)

    def _repeat(self, before: Pass) -> Iterator[Any]:
        """The batches drawn before as placeholders, at no cost, then those that follow."""
        self._has_begun = True
        one = Pass(
            before.start,
            ended=before.ended,
            random_workers=before.random_workers,
            near_end=before.near_end,
        )
        self._passes.append(one)
        batches = self._reopen(before) if before.new_generators else None  # which makes them
        self._unopened = None if batches else before
        while one.drawn < before.drawn:
            one.drawn += 1
            yield _SKIPPED
        if self._rest is not None and self._is_whole(before):
            one.ended = True
            self._go_to_place(self._rest, before)
        elif not before.ended:
            yield from self._draw(one, batches or self._reopen(before))

    def _reopen(self, before: Pass) -> Iterator[Any]:
        self._unopened = None
        now, noted = self._standing(), before.next or {}
        remembered = {**now["remembered"], **noted.get("remembered", {})}
        now |= {**noted, "remembered": remembered}
        self._put(before.start)
        if self._rest is not None:
            self._go_to_place(self._rest, before)  # again, as the epoch may have been set meanwhile
            batches = self._open(before)
        elif isinstance(self._way, ByIndex) and not self._must_replay(before):
            batches = self._open(before, before.drawn)
        else:
            batches = self._open(before)
            for _ in range(before.drawn):
                self._unwrap(next(batches), before)
            now["own"] = generator_states(self._generators())  # where they belong
            if before.new_generators and not noted:  # and this is before the state is restored
                now["remembered"] = self._memory.read()
        self._put(now)
        return batches

    def _go_to_place(self, rest: Rest, before: Pass) -> None:
        if before.place is not None:
            rest.leave_for(before.place, is_over=before.drawn == 0 or self._is_whole(before))
        elif before.drawn == 0 and rest.place is not None:
            rest.go_back()

    def _standing(self) -> dict[str, Any]:
        return {
            "global": global_state(),
            "own": generator_states(self._generators()),
            "remembered": self._memory.read(),
        }

    def _generators(self) -> list[Generator]:
        """Its own; one that says its state itself says theirs too."""
        return [] if isinstance(self._way, ByState) else find_generators(self.loader)

    def _put(self, standing: Mapping[str, Any]) -> None:
        restore_global_state(standing["global"])
        restore_generators(self._generators(), standing["own"])
        self._memory.write(standing.get("remembered", {}))

    def _must_replay(self, before: Pass) -> bool:
        random = before.random_workers or before.new_generators
        return self._fast_forward == "replay" or (self._fast_forward == "auto" and random)

    def _draw(self, one: Pass, batches: Iterator[Any]) -> Iterator[Any]:
        self._keep(batches)
        while True:
            self._note_place(one)
            was_over = self._rest is not None and self._rest.end()
            try:
                batch = next(batches)
            except StopIteration:
                if was_over:  # this was what is left of the epoch before
                    self._put(one.start)
                    batches = self._open(one)
                    self._keep(batches)
                    continue
                one.ended = True
                return
            one.drawn += 1
            yield self._unwrap(batch, one)

    def _unwrap(self, batch: Any, one: Pass) -> Any:
        """Take a worker's report off a batch."""
        if not isinstance(batch, Report):
            return batch
        if batch.state is not None:
            one.random_workers = True
            self._workers[batch.worker] = batch.state
        return batch.batch

    def _persistent_workers(self) -> list[Any]:
        persist = getattr(self.loader, "persistent_workers", False)
        return [list(item) for item in self._workers.items()] if persist else []

    def _await_workers(self, one: Pass) -> None:
        """Where an epoch ends early, hear from workers that persist of batches nobody will have."""
        if one.ended or not getattr(self.loader, "persistent_workers", False):
            return
        if self._unopened is not None and one.random_workers:
            self._keep(self._reopen(self._unopened))
        if hasattr(self._batches, "_sampler_iter"):
            vars(self._batches)["_sampler_iter"] = iter(())  # no more are asked for
            for batch in self._batches:
                self._unwrap(batch, one)

    def _note_place(self, one: Pass) -> None:
        """Where a batch is drawn ahead, note where all was before."""
        if self._is_ahead():
            self._places = [*self._places[-1:], (self._way_state(), self._standing_ahead())]
        if isinstance(self._way, ByState) and one.drawn + 2 == sized_len(self.loader):
            one.near_end = self._way_state()

    def _standing_ahead(self) -> dict[str, Any] | None:
        if not isinstance(self._way, ByReplay):
            return self._standing()
        in_workers = getattr(self.loader, "num_workers", 0) > 0  # what is remembered is there
        return None if in_workers else {"remembered": self._memory.read()}

    def _place(self, ahead: int) -> _Place:
        return self._places[-ahead] if ahead else (self._way_state(), None)

    def _way_state(self) -> Any:
        return self._way.loader.state_dict() if isinstance(self._way, ByState) else None
