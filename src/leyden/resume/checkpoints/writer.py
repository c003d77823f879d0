"""One thread that writes, for a training thread that does not wait."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import RLock
from typing import TypeAlias

__all__ = ["BackgroundWriter"]

Job: TypeAlias = Callable[[], bool]


class BackgroundWriter:
    """Does one job at a time, in order, in a thread; at most one more waits.

    A job that comes while another one waits takes its place: of two checkpoints that are not yet
    written, the older is of no use. The end of the interpreter waits for jobs that were taken.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="leyden-checkpoints")
        self._mutex = RLock()  # a signal handler may submit while its own thread does
        self._waiting: list[Job] = []
        self._latest: Future[bool] | None = None
        self._raised: list[Exception] = []

    def submit(self, job: Job) -> None:
        """Take a job and return.

        Args:
            job: Called in the thread; says whether it succeeded.

        Raises:
            Exception: What an earlier job raised, which nobody has been told yet.
        """
        self.surface()
        with self._mutex:
            takes_a_place = bool(self._waiting)
            self._waiting[:] = [job]
            if not takes_a_place:
                self._latest = self._thread.submit(self._work)

    def wait(self) -> bool:
        """Wait for the job that was submitted last, or the newer one that took its place.

        Returns:
            What the job said.

        Raises:
            Exception: What a job raised.
        """
        is_done = self._latest is not None and self._latest.result()
        self.surface()
        return is_done

    def drain(self) -> None:
        """Wait until every job is done; none can be submitted any more."""
        self._thread.shutdown()

    def surface(self) -> None:
        """Raise what a job that is over has raised, once."""
        if self._raised:
            raise self._raised.pop(0)

    def _work(self) -> bool:
        with self._mutex:
            job = self._waiting.pop()
        try:
            return job()
        except Exception as error:  # noqa: BLE001 - for the thread that submits
            self._raised.append(error)
            return False
