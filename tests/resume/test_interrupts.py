"""Signals wait for the end of a step; two of them do not."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from leyden.resume.interrupts import Interrupted, Interrupts

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@pytest.fixture(autouse=True)
def put_the_handlers_back() -> Iterator[None]:
    before = {signum: signal.getsignal(signum) for signum in HANDLED}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    interrupts = Interrupts()
    interrupts.install()
    yield interrupts
    interrupts.remove()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_is_noted_and_told(
    interrupts: Interrupts, capfd: pytest.CaptureFixture[str], signum: signal.Signals
) -> None:
    os.kill(os.getpid(), signum)
    assert (interrupts.leave, interrupts.write) == (signum, False)
    expected = f"\n{signum.name}: leaving after this batch; once more to leave at once\n"
    assert capfd.readouterr().err == expected


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        (signal.SIGINT, signal.SIGINT, 130),
        (signal.SIGTERM, signal.SIGTERM, 143),
        (signal.SIGINT, signal.SIGTERM, 143),
    ],
)
def test_second_signal_leaves_with_its_code(
    interrupts: Interrupts, first: int, second: int, code: int
) -> None:
    os.kill(os.getpid(), first)
    with pytest.raises(Interrupted) as caught:
        os.kill(os.getpid(), second)
    assert (caught.value.code, caught.value.signum) == (code, second)
    assert isinstance(caught.value, SystemExit)


def test_signal_to_write_is_noted_as_often_as_it_comes(interrupts: Interrupts) -> None:
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGUSR1)
    assert (interrupts.leave, interrupts.write) == (0, True)


def test_handlers_are_put_back_once_and_for_all() -> None:
    def mine(*_: Any) -> None:
        """Nothing."""

    handlers: list[Any] = [mine, signal.SIG_IGN, signal.SIG_DFL]
    for signum, handler in zip(HANDLED, handlers, strict=True):
        signal.signal(signum, handler)
    interrupts = Interrupts()
    for _ in range(2):
        interrupts.install()
    for _ in range(2):
        interrupts.remove()
    assert [signal.getsignal(one) for one in HANDLED] == handlers


def test_what_was_noted_is_forgotten_when_a_run_begins() -> None:
    interrupts = Interrupts()
    interrupts.install()
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGUSR1)
    interrupts.install()
    assert (interrupts.leave, interrupts.write) == (0, False)
    interrupts.remove()


def test_another_thread_leaves_signals_alone() -> None:
    before, interrupts = [signal.getsignal(one) for one in HANDLED], Interrupts()
    thread = threading.Thread(target=interrupts.install)
    thread.start()
    thread.join()
    assert [signal.getsignal(one) for one in HANDLED] == before
    interrupts.remove()


@pytest.mark.slow
def test_interrupted_process_has_the_shells_code() -> None:
    code = "from leyden.resume.interrupts import Interrupted; raise Interrupted(15)"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (143, b"")
