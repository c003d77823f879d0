"""The page of a run in a real browser: what it shows, and what it does when it is used."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from leyden.report import write_page
from leyden.runs import RunDir, RunManifest
from leyden.tracking import FileLogger, Ledger, LedgerRow
from leyden.types import Phase

pytestmark = pytest.mark.slow
Browse = Callable[..., Any]

NUM_STEPS = 100
LAYERS = [f"layer.{index}" for index in range(12)]


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A run with known numbers: sets 1 to 4 in turn, and the loss of a set is its number."""
    run = RunDir(tmp_path / "run")
    with RunManifest(run, command=["train.py"]):
        pass
    logger, ledger = FileLogger(run.path), Ledger(run.ledger_path)
    for step in range(NUM_STEPS):
        norms = {f"gradient_norm/{name}": 1.0 + index for index, name in enumerate(LAYERS)}
        health = {"health/dead": 0.25, "health/large": 0.5}
        of_val = {"val/loss": 50.0} if step % 10 == 9 else {}
        metrics = {"train/loss": float(step), "epoch": step // 25, **norms, **health, **of_val}
        logger.log_metrics(metrics, step=step)
        number = step % 4 + 1
        ledger.append(LedgerRow(Phase.TRAIN, 0, step, step + 1, sets=(number,), loss=number))
    ledger.append(LedgerRow(Phase.VAL, 0, 0, NUM_STEPS, sets=(9,), loss=0.5))
    ledger.flush()
    (run.path / "incidents" / "51").mkdir(parents=True)
    facts = {"step": 51, "what": "The loss is NaN.", "loss": "nan"}
    (run.path / "incidents" / "51" / "incident.json").write_text(json.dumps(facts))
    return run


async def place(page: Any, selector: str, step: float, first: float, last: float) -> float:
    """Give where a step is on a chart, of which the left end is 0 and the right end 1."""
    width: float = await page.value(f"document.querySelector({selector!r}).clientWidth")
    return (62 + (step - first) / (last - first) * (width - 62 - 10)) / width


def numbers(text: str) -> list[float]:
    return [float(found) for found in re.findall(r"-?\d+(?:\.\d+)?", text)]


def test_dragging_zooms_all_charts_and_double_click_resets(run: RunDir, browse: Browse) -> None:
    async def look(page: Any) -> None:
        chart = "#panes canvas"
        ends = [await place(page, chart, step, 0, 99) for step in (20, 60)]
        await page.drag(chart, *ends)
        first, last = numbers(await page.text("#view"))
        assert abs(first - 20) <= 1
        assert abs(last - 60) <= 1
        # Other charts have zoomed too: their middle is the middle of what was dragged over.
        await page.hover("#timeline canvas", await place(page, chart, 0.5, 0, 1), 0.1)
        _, step, _ = numbers(await page.text("#tip"))
        assert abs(step - 40) <= 4
        await page.drag("#timeline canvas", 0.4, 0.6)
        inner = numbers(await page.text("#view"))
        assert first < inner[0] < inner[1] < last
        await page.click(chart, 0.5, 0.5, times=2)
        assert await page.text("#view") == ""
        await page.drag(chart, 0.7, 0.4)
        assert await page.text("#view") != ""
        await page.key("Escape")
        assert await page.text("#view") == ""
        assert page.problems == []

    browse(write_page(run.path), look)


def test_pointing_shows_values(run: RunDir, browse: Browse) -> None:
    async def look(page: Any) -> None:
        chart = "#panes canvas"
        await page.hover(chart, await place(page, chart, 42, 0, 99), 0.5)
        assert await page.text("#tip") == "step 42\ntrain 42\nval 50 at 39"
        assert not await page.value("document.getElementById('tip').hidden")
        await page.hover("h1", 0.5, 0.5)
        assert await page.value("document.getElementById('tip').hidden")
        await page.hover("#maps canvas", 0.5, 0.1)
        assert (await page.text("#tip")).startswith("layer.0\nstep ")
        assert (await page.text("#tip")).endswith("\nvalue 1")
        assert page.problems == []

    browse(write_page(run.path), look)


def test_clicking_a_set_shows_its_losses_and_clicking_again_hides_them(
    run: RunDir, browse: Browse
) -> None:
    async def look(page: Any) -> None:
        chart = "#timeline canvas"
        before = await page.value("document.querySelector('#timeline canvas').toDataURL()")
        await page.click(chart, 0.5, 0.55)  # the third of four rows
        told = "set 3: used 25 times; loss 3 at first, 3 at last, 3 on average"
        assert await page.text("#chosen") == told
        after = await page.value("document.querySelector('#timeline canvas').toDataURL()")
        assert after != before
        losses = "#losses canvas"
        await page.hover(losses, await place(page, losses, 42, 0, 99), 0.5)
        assert await page.text("#tip") == "step 42\nvalue 3"
        await page.click(chart, 0.5, 0.55)
        assert await page.text("#chosen") == ""
        assert await page.value("document.querySelector('#losses canvas')") is None
        assert page.problems == []

    browse(write_page(run.path), look)


def test_sets_of_another_phase_can_be_chosen(run: RunDir, browse: Browse) -> None:
    async def look(page: Any) -> None:
        assert await page.text("#phase") == "trainval"
        choose = "s.value = 1; s.dispatchEvent(new Event('change'));"
        await page.value(f"(s => {{ {choose} }})(document.querySelector('#phase'))")
        await page.hover("#timeline canvas", 0.9, 0.5)
        assert await page.text("#tip") == "set 9\nstep 99\nloss 0.5"
        assert page.problems == []

    browse(write_page(run.path), look)


def test_page_shows_every_part_and_asks_for_nothing(run: RunDir, browse: Browse) -> None:
    path = write_page(run.path)

    async def look(page: Any) -> None:
        titles = "[...document.querySelectorAll('.title')].map(e => e.firstChild.textContent)"
        assert await page.value(titles) == ["loss", "gradient_norm", "health"]
        assert "The loss is NaN." in await page.text("#incidents")
        assert "leyden" in await page.text("#environment")
        painted = (
            "[...document.querySelectorAll('.pane canvas, #timeline canvas')].map(c => new Set("
            "new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data"
            ".buffer)).size)"
        )
        assert min(await page.value(painted)) > 5  # colours
        await page.click("#log", 0.5, 0.5)
        assert await page.value("document.getElementById('log').checked")
        assert page.problems == []
        assert page.requests == [path.absolute().as_uri()]

    browse(path, look)


def test_page_of_hostile_names_runs_none_of_them(tmp_path: Path, browse: Browse) -> None:
    attack = "<img src=x onerror=window.attacked=1></script><script>window.attacked=1</script>"
    logger = FileLogger(tmp_path / "<img src=x onerror=window.attacked=1>")
    for step in range(3):
        logger.log_metrics({f"train/{attack}": float("nan"), f"{attack}": 1.0}, step=step)
    path = write_page(logger.save_dir)

    async def look(page: Any) -> None:
        await page.hover("#panes canvas", 0.5, 0.5)
        assert "step 1" in await page.text("#tip")
        assert await page.value("window.attacked") is None
        assert (page.problems, page.requests) == ([], [path.absolute().as_uri()])

    browse(path, look)


@pytest.mark.parametrize("part", ["run.json", "metrics.csv"])
def test_page_of_a_run_with_little_has_no_errors(tmp_path: Path, part: str, browse: Browse) -> None:
    if part == "run.json":
        with RunManifest(RunDir(tmp_path)):
            pass
    else:
        FileLogger(tmp_path).log_metrics({"val/loss": float("nan")}, step=0)

    async def look(page: Any) -> None:
        said = await page.text("#panes")
        assert said == ("Nothing was logged." if part == "run.json" else "lossval")
        assert page.problems == []

    browse(write_page(tmp_path), look)


def test_long_run_is_small_and_opens_soon(tmp_path: Path, browse: Browse) -> None:
    count, rng = 100_000, np.random.default_rng(0)
    run = RunDir(tmp_path)
    losses = rng.normal(size=(5, count)) + 5
    names = ["epoch", "step", *(f"train/metric{index}" for index in range(5))]
    columns = np.stack([np.arange(count) // 1000, np.arange(count), *losses], axis=1)
    form = ["%d", "%d", *["%.17g"] * 5]
    np.savetxt(run.metrics_path, columns, form, ",", header=",".join(names), comments="")
    steps = np.arange(count)
    ledger = {
        "phase": ["train"] * count,
        "epoch": steps // 1000,
        "batch": steps % 1000,
        "step": steps + 1,
        "name": [None] * count,
        "sets": [[int(number)] for number in rng.integers(0, 300, count)],
        "loss": losses[0],
    }
    empty = Ledger(run.ledger_path)
    empty.append(LedgerRow(Phase.TRAIN, 0, 0, step=1))
    empty.flush()
    schema = parquet.read_schema(run.ledger_path)
    parquet.write_table(pa.table(ledger, schema=schema), run.ledger_path)
    path = write_page(run.path)
    assert path.stat().st_size < 5_000_000

    async def look(page: Any) -> None:
        timing = "performance.getEntriesByType('navigation')[0].loadEventEnd"
        assert await page.value(timing) < 3000  # milliseconds
        drawn = "performance.now()"
        assert await page.value(drawn) < 5000  # drawn, too, with the time to ask for it
        assert "points of the curves are on this page" in await page.text("#curves")
        await page.drag("#panes canvas", 0.50, 0.51)
        first, last = numbers(await page.text("#view"))
        assert 0 < last - first < 2000
        assert page.problems == []

    browse(path, look)
