"""The whole benchmark: every contestant on every kind of data, then the further figures."""

import argparse
import json
import logging
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from benchmarks import figures, steps, tables
from benchmarks.measuring import (
    choose_stretch,
    median_ratio,
    medians,
    rows_per_second,
    stop_workers,
    take_turns,
)
from benchmarks.peers import Setting, contestants, installed, left_out
from benchmarks.shapes import Stored, shapes, store
from benchmarks.targets import RATIOS, add_bound
from rich.console import Console
from rich.progress import Progress

from leyden.runs import hardware_info, versions

_RESULTS = Path(__file__).parent / "results" / "data.json"
_PARTS = ("images", "series", "tiny", "extras")


def main(description: str) -> None:
    arguments = _parse(description)
    torch.set_num_threads(1)
    # Peers and the trainer have more to say than the figures are worth.
    warnings.filterwarnings("ignore", module=r"torchdata|lightning|litdata")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    report: dict[str, Any] = {
        "machine": hardware_info(),
        "versions": versions() | installed(),
        "left_out": left_out(),
        "rounds": arguments.rounds,
    }
    console, began = Console(width=130), time.perf_counter()
    with TemporaryDirectory() as folder, Progress(console=console) as progress:
        report |= _measure(arguments, Path(folder), progress)
    report["seconds"] = round(time.perf_counter() - began)
    arguments.output.parent.mkdir(exist_ok=True)
    arguments.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    for table in tables.tables_of(report):
        console.print(table)
    if report["left_out"]:
        console.print("Left out, since they are not installed:", *report["left_out"])
    console.print(f"Written to {arguments.output} after {report['seconds']} s.")


def _parse(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=_PARTS, help="one part instead of all")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds (default 5)")
    parser.add_argument("--images", type=int, default=20_480, help="rows of images (default 20480)")
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[0, 2], help="numbers of workers (default 0 2)"
    )
    parser.add_argument("--output", type=Path, default=_RESULTS, help=f"default {_RESULTS.name}")
    return parser.parse_args()


def _measure(arguments: argparse.Namespace, folder: Path, progress: Progress) -> dict[str, Any]:
    chosen = _PARTS if arguments.only is None else (arguments.only,)
    task = progress.add_task("")
    stored: dict[str, Stored] = {}
    for shape in shapes(arguments.images):
        if shape.name in chosen or "extras" in chosen:
            progress.update(task, description=f"writing {shape.name}", total=None)
            stored[shape.name] = store(shape, folder / shape.name)
    settings = [
        (one, Setting(batch_size, is_shuffled, num_workers))
        for name, one in stored.items()
        for num_workers in arguments.workers
        for is_shuffled in (True, False)
        for batch_size in (32, 100)
        if name in chosen
    ]
    extras = list(_extras(stored, folder, arguments.rounds)) if "extras" in chosen else []
    progress.update(task, total=len(settings) + len(extras), completed=0)
    speeds: list[dict[str, Any]] = []
    for one, setting in settings:
        facts = _name(one, setting)
        progress.update(task, description=" ".join(str(value) for value in facts.values()))
        speeds.append(facts | _race(one, setting, arguments.rounds))
        stop_workers()
        progress.advance(task)
    further: dict[str, dict[str, Any]] = {}
    for topic, name, measure in extras:
        progress.update(task, description=f"{topic} {name}")
        further.setdefault(topic, {})[name] = measure()
        stop_workers()
        progress.advance(task)
    data = [asdict(one.shape) for one in stored.values()]
    return {"datasets": data, "speeds": speeds, "figures": further}


def _name(stored: Stored, setting: Setting) -> dict[str, Any]:
    return {
        "data": stored.shape.name,
        "batch_size": setting.batch_size,
        "order": "shuffled" if setting.is_shuffled else "in order",
        "num_workers": setting.num_workers,
    }


def _race(stored: Stored, setting: Setting, rounds: int) -> dict[str, Any]:
    """Measure all contestants at one setting."""
    entered = contestants(stored, setting)
    stretches = {one.name: choose_stretch(one) for one in entered}
    measures = {one.name: partial(rows_per_second, one, stretches[one.name]) for one in entered}
    speeds = take_turns(measures, rounds)
    peers = [name for name in speeds if not name.startswith("leyden")]
    ratios = {
        mine: {peer: median_ratio(speeds[mine], speeds[peer]) for peer in peers}
        for mine in speeds
        if mine not in peers
    }
    speed = medians(speeds, 0)
    targets = {
        peer: RATIOS[stored.shape.name, peer].judge(ratio)
        for peer, ratio in ratios["leyden"].items()
        if (stored.shape.name, peer) in RATIOS
    }
    seconds = setting.batch_size / speed["leyden"]
    batch_bytes = setting.batch_size * stored.shape.row_bytes
    for peer, judged in targets.items():
        add_bound(judged, peer, ratios["leyden"], seconds, batch_bytes)
    return {
        "rows_per_second": speed,
        "rows_measured": {name: one.num_rows for name, one in stretches.items()},
        "parts_of_an_epoch": [name for name, one in stretches.items() if one.num_epochs == 0],
        "ratios": ratios,
        "targets": targets if setting.is_shuffled and setting.num_workers == 0 else {},
    }


def _extras(
    stored: dict[str, Stored], folder: Path, rounds: int
) -> Iterator[tuple[str, str, partial[dict[str, Any]]]]:
    """List the further figures: topic, data, and what measures it."""
    for name, one in stored.items():
        yield "restoring", name, partial(figures.restoring, one, rounds)
        yield "tracking", name, partial(figures.tracking, one, rounds)
    for name in ("images", "series"):
        yield "cold files", name, partial(figures.cold, stored[name], rounds)
    yield "many shards", "5,000", partial(figures.many_shards, folder / "many", rounds)
    yield "trainer step", "tiny", partial(steps.trainer_step, stored["tiny"], rounds)
    yield "heavy transform", "images", partial(steps.heavy_transform, stored["images"], rounds)
