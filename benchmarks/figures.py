"""Further figures of leyden's data path: its state, what knowing costs, cold files, many files."""

import ctypes
import gc
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from itertools import islice
from math import ceil
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import mkdtemp
from typing import Any

import numpy as np
from benchmarks import targets
from benchmarks.measuring import exhaust, median_ratio, medians, rounded, take_turns
from benchmarks.peers import Setting, leyden_module, litdata_loader
from benchmarks.shapes import Stored

from leyden.data import AutoDataModule, BatchLoader
from leyden.shards import discover

_SETTING = Setting(batch_size=32, is_shuffled=True, num_workers=0)
_SHUFFLE = "window:8"
_TRACKED_BYTES, _TRACKED_ROWS = 2_000_000_000, 320_000  # in a measurement of tracking at most
_NUM_SHARDS = 5_000
_WARM = "leyden, from memory"
_BY_TWO, _SCRATCH = "two at a time", 1 << 19  # bytes read at a time


def restoring(stored: Stored, rounds: int) -> dict[str, Any]:
    """Size of a loader's state, and its first batch after a restore beside that of a fresh start.

    The restore is in the middle of an epoch, and its time includes loading the state.
    """
    loader = _new_loader(stored)
    exhaust(islice(loader, len(loader) // 2))
    state = loader.state_dict()
    num_bytes = len(json.dumps(state))
    fresh, restored = partial(_first_batch, stored), partial(_first_batch, stored, state)
    figures = take_turns({"fresh": fresh, "restored": restored}, rounds, warms=True)
    pairs = zip(figures["restored"], figures["fresh"], strict=True)
    later = rounded(median(after - before for after, before in pairs), 3)
    return {
        "state_bytes": targets.STATE_BYTES.judge(num_bytes),
        "first_batch_milliseconds": medians(figures, 3),
        "difference_milliseconds": targets.RESTORE.judge(later),
    }


def _new_loader(stored: Stored) -> BatchLoader:
    return leyden_module(stored, _SETTING, _SHUFFLE).train_dataloader()


def _first_batch(stored: Stored, state: dict[str, Any] | None = None) -> float:
    loader = _new_loader(stored)
    began = time.perf_counter()
    if state is not None:
        loader.load_state_dict(state)
    next(iter(loader))
    return 1e3 * (time.perf_counter() - began)


def tracking(stored: Stored, rounds: int) -> dict[str, Any]:
    """What it costs to ask for the set numbers, or for the status, at every batch."""
    data = leyden_module(stored, _SETTING, _SHUFFLE)
    loader = data.train_dataloader()
    num_rows = min(_TRACKED_BYTES // stored.shape.row_bytes, _TRACKED_ROWS)
    num_epochs = ceil(num_rows / stored.shape.num_rows)
    num_batches = min(num_rows // _SETTING.batch_size, len(loader))
    looks: dict[str, Callable[[AutoDataModule, int, int], object]] = {
        "without": lambda _data, _epoch, _index: None,
        "origin": lambda data, epoch, index: data.origin("train", epoch, index).set_numbers,
        "status": lambda data, _epoch, _index: data.status,
    }

    def seconds(look: Callable[[AutoDataModule, int, int], object]) -> float:
        began = time.perf_counter()
        for _ in range(num_epochs):
            epoch = 0
            for index, _ in enumerate(islice(loader, num_batches)):
                epoch = epoch if index else loader.progress.epoch
                look(data, epoch, index)
        return time.perf_counter() - began

    measures = {name: partial(seconds, look) for name, look in looks.items()}
    figures = take_turns(measures, rounds, warms=True)
    micros = {
        name: [1e6 * value / (num_epochs * num_batches) for value in values]
        for name, values in figures.items()
    }
    ratio, medium = median_ratio(figures["origin"], figures["without"]), medians(micros, 2)
    judged = targets.TRACKING.judge(ratio)
    if judged["target"] == "missed":
        judged["bounded_by"] = (
            f"asking takes {medium['origin'] - medium['without']:.1f} microseconds, beside a batch"
            f" that takes {medium['without']:.1f} and no step; a loader that is not asked works"
            " nothing out"
        )
    return {
        "microseconds_per_batch": medium,
        "origin_to_without": judged,
        "status_to_without": median_ratio(figures["status"], figures["without"]),
    }


def many_shards(folder: Path, rounds: int) -> dict[str, Any]:
    """Find 5,000 shards, with and without what an earlier discovery left, and check them."""
    folder.mkdir()
    rows, labels = np.zeros((20, 32), np.float32), np.zeros(20, np.int64)
    for number in range(1, _NUM_SHARDS + 1):
        np.save(folder / f"sample__{number}.npy", rows)
    named: dict[str, Any] = {str(number): labels for number in range(1, _NUM_SHARDS + 1)}
    np.savez(folder / "labels.npz", **named)
    catalog = discover(folder)
    measures = {
        "first discovery": partial(_discover, folder, forgets=True),
        "second discovery": partial(_discover, folder),
        "check": partial(_seconds, catalog.check),
        "opening them": partial(_seconds, partial(_open_each, folder)),
    }
    figures = take_turns(measures, rounds)
    pairs = zip(figures["first discovery"], figures["check"], strict=True)
    judged = targets.CATALOGUE.judge(rounded(median(found + more for found, more in pairs), 4))
    seconds = medians(figures, 4)
    if judged["target"] == "missed":
        judged["bounded_by"] = (
            f"to open them all and read 128 bytes of each takes {seconds['opening them']:.2f} s"
        )
    return {
        "seconds": seconds,
        "leaves_a_file": bool(_memories(folder)),
        "first_discovery_and_check_seconds": judged,
    }


def _open_each(folder: Path) -> None:
    for path in folder.glob("*.npy"):
        with path.open("rb") as file:
            file.read(128)


def _memories(folder: Path) -> list[Path]:
    return list(folder.glob(".*.json"))


def _discover(folder: Path, *, forgets: bool = False) -> float:
    if forgets:
        for path in _memories(folder):
            path.unlink()
    return _seconds(partial(discover, folder))


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def cold(stored: Stored, rounds: int) -> dict[str, Any]:
    """Go through files that are on the disk only, beside reading them one after another.

    What bounds it is how fast two threads read them and do nothing else, and how fast leyden is
    once they are in memory. Each goes through its files twice in its turn, from the disk both
    times, and both are judged: where a machine is a virtual one, memory that was free for a while
    is slow to be touched again, which the first pass meets with and the second does not.
    """
    paths = stored.shard_paths()
    readers: dict[str, Callable[[], tuple[Sequence[Path], Iterable[Any]]]] = {
        "leyden": lambda: ([*paths, stored.shards / "labels.npz"], _new_loader(stored)),
        _WARM: lambda: ([], _new_loader(stored)),
        "one after another": lambda: (paths, _read_files(paths)),
        _BY_TWO: lambda: (paths, _read_by_two(paths)),
    }
    if find_spec("litdata"):
        copied = _copy_litdata(stored)
        chunks = list(copied.litdata.glob("*.bin"))
        readers["litdata"] = lambda: (chunks, litdata_loader(copied, _SETTING))
    resident: dict[str, list[float]] = {name: [] for name in readers if name != _WARM}
    firsts: dict[str, list[float]] = {name: [] for name in readers}

    def seconds(name: str) -> float:
        gc.collect()  # pages that are mapped cannot be evicted
        files, batches = readers[name]()
        os.sync()  # nor can those that are not yet written
        _evict(files)
        if files:
            resident[name].append(_resident(files))
        measure = partial(_seconds, partial(exhaust, batches))
        # LitData keeps mapped what it has read.
        return _in_a_child(measure) if name == "litdata" else measure()

    def speed(name: str) -> float:
        gigabytes = stored.shape.num_rows * stored.shape.row_bytes / 1e9
        firsts[name].append(gigabytes / seconds(name))
        return gigabytes / seconds(name)

    measures = {name: partial(speed, name) for name in readers}
    figures = take_turns(measures, rounds, warms=True)
    return {
        "gigabytes_per_second": medians(figures, 3),
        "gigabytes_per_second_the_first_time": medians(firsts, 3),
        "fraction_resident_before": {name: max(values) for name, values in resident.items()},
        **_judge_cold(figures),
        **_judge_cold(firsts, "_the_first_time"),
    }


def _judge_cold(speeds: Mapping[str, Sequence[float]], suffix: str = "") -> dict[str, Any]:
    judged = {}
    for name, target in (("one after another", targets.COLD), ("litdata", targets.COLD_LITDATA)):
        if name in speeds:
            one = target.judge(median_ratio(speeds["leyden"], speeds[name]))
            if one["target"] == "missed":
                one["bounded_by"] = (
                    f"two threads read the files at {median(speeds[_BY_TWO]):.2f} GB/s and do"
                    " nothing else, and leyden hands out what is in memory at"
                    f" {median(speeds[_WARM]):.1f} GB/s"
                )
            judged[f"ratio_to_{name}{suffix}"] = one
    return judged


def _copy_litdata(stored: Stored) -> Stored:
    """Give LitData files that it has not mapped in this process."""
    copied = Stored(stored.shape, Path(mkdtemp(dir=stored.path)))
    shutil.copytree(stored.litdata, copied.litdata)
    return copied


def _in_a_child(measure: Callable[[], float]) -> float:
    """Measure in a process of its own, which leaves nothing behind."""
    context = get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=lambda: sender.send(measure()))
    process.start()
    sender.close()  # so that a process that fails ends the wait
    value: float = receiver.recv()
    process.join()
    return value


def _read_files(paths: Sequence[Path], at_once: int | None = None) -> Iterator[int]:
    buffer = bytearray(at_once or max(path.stat().st_size for path in paths))
    for path in paths:
        with path.open("rb", buffering=0) as file:
            yield from iter(partial(file.readinto, buffer), 0)


def _read_by_two(paths: Sequence[Path]) -> Iterator[int]:
    halves = [_read_files(paths[place::2], _SCRATCH) for place in range(2)]
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(sum, halves)


def _evict(paths: Sequence[Path]) -> None:
    for path in paths:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _resident(paths: Sequence[Path]) -> float:
    """Say which fraction of the pages of some files is in memory."""
    states = []
    for path in paths:
        pages = np.memmap(path, np.uint8, "r")
        state = np.zeros(ceil(len(pages) / os.sysconf("SC_PAGE_SIZE")), np.uint8)
        address, into = ctypes.c_void_p(pages.ctypes.data), ctypes.c_void_p(state.ctypes.data)
        ctypes.CDLL(None).mincore(address, ctypes.c_size_t(len(pages)), into)
        states.append(state & 1)
    return float(np.concatenate(states).mean())
