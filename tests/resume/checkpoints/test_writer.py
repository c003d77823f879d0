"""One thread that writes while another goes on."""

import threading
from functools import partial

import pytest

from leyden.resume.checkpoints.writer import BackgroundWriter


def test_the_newest_of_those_that_wait_is_done_and_waited_for() -> None:
    writer, began, gate, done = BackgroundWriter(), threading.Event(), threading.Event(), []

    def work(number: int) -> bool:
        began.set()
        gate.wait()
        done.append(number)
        return number == 4

    writer.submit(partial(work, 1))
    began.wait()
    for number in (2, 3, 4):
        writer.submit(partial(work, number))
    gate.set()
    assert writer.wait() is True
    assert done == [1, 4]
    writer.drain()


def test_jobs_are_not_done_by_the_thread_that_submits() -> None:
    writer, threads = BackgroundWriter(), []

    def work() -> bool:
        threads.append(threading.current_thread())
        return False

    writer.submit(work)
    assert writer.wait() is False
    writer.submit(work)
    writer.drain()
    assert threads[0] is threads[1]
    assert threads[0] is not threading.current_thread()


def test_what_a_job_raises_is_raised_once() -> None:
    writer = BackgroundWriter()

    def fail() -> bool:
        raise KeyError("mine")

    writer.submit(fail)
    with pytest.raises(KeyError, match="mine"):
        writer.wait()
    writer.surface()
    writer.submit(lambda: True)
    assert writer.wait() is True
    writer.drain()


def test_there_is_nothing_to_wait_for_before_the_first_job() -> None:
    writer = BackgroundWriter()
    assert writer.wait() is False
    writer.drain()
