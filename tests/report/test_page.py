"""A run on one page, as text."""

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from leyden.errors import DataError, MissingPathError
from leyden.report import write_page
from leyden.runs import RunDir, RunManifest
from leyden.tracking import FileLogger, Ledger, LedgerRow
from leyden.types import Phase


def data_of(page: Path) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text())
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_page_has_what_the_run_has_recorded(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "my run")
    with RunManifest(run, command=["train.py"]) as manifest:
        manifest.add_results({"test/loss": 0.5})
    logger = FileLogger(run.path)
    for step in range(4):
        logger.log_metrics({"train/loss": 1.0, "epoch": step // 2}, step=step)
    ledger = Ledger(run.ledger_path)
    ledger.append(LedgerRow(Phase.TRAIN, 0, 0, step=1, sets=(5,), loss=1.0))
    ledger.flush()
    (run.path / "incidents" / "3").mkdir(parents=True)
    (run.path / "incidents" / "3" / "incident.json").write_text('{"step": 3, "what": "NaN"}')
    run.config_dir.mkdir()
    for stamp, text in (("2026-01-01", "old: 1"), ("2026-01-02", "lr: <0.1>")):
        (run.config_dir / f"{stamp}.yaml").write_text(text)
    page = write_page(run.path)
    text, data = page.read_text(), data_of(page)
    assert page == run.path / "report.html"
    assert "<h1>my run</h1>" in text
    assert "test/loss</th><td>0.5" in text
    assert "<pre>lr: &lt;0.1&gt;</pre>" in text
    assert [curve["name"] for curve in data["curves"]] == ["train/loss"]
    assert (data["epochs"], data["incidents"]) == ([1], [2])
    assert data["timeline"]["numbers"] == {"start": 5, "stride": 1, "count": 1}


def test_page_lists_evaluations_with_their_metrics(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with RunManifest(run, command=["train.py"]):
        pass
    assert "None were made: leyden evaluate RUN." in write_page(run.path).read_text()
    facts = {"split": "test", "num_rows": 7, "checkpoint": "checkpoints/best.ckpt", "created": 9.0}
    for place, more in {
        "b/4": {"metrics": {"accuracy": 0.5, "gap": None}, "global_step": 4},
        "a/8": {"metrics": {"accuracy": 0.75}, "global_step": 8, "created": 10.0},
    }.items():
        (run.evaluation_dir / place).mkdir(parents=True)
        (run.evaluation_dir / place / "metrics.json").write_text(json.dumps({**facts, **more}))
    (run.evaluation_dir / "c/9").mkdir(parents=True)
    (run.evaluation_dir / "c/9/metrics.json").write_text("{")
    text = write_page(run.path).read_text()
    table = text.partition("<h2>Evaluations</h2>")[2].partition("</table>")[0]
    heads = re.findall("<th>(.*?)</th>", table)
    assert heads[:2] == ["evaluation", "made"]
    assert heads[-3:] == ["accuracy", "gap", ""]
    rows = [re.findall("<td>(.*?)</td>", row) for row in table.split("<tr>")[2:]]
    assert [row[0] for row in rows] == ["c/9", "b/4", "a/8"]
    assert rows[0][-1].startswith("cannot be read")
    assert [row[2:4] + row[5:8] for row in rows[1:]] == [
        ["test", "7", "checkpoints/best.ckpt", "4", "0.5"],
        ["test", "7", "checkpoints/best.ckpt", "8", "0.75"],
    ]


def test_page_of_metrics_alone(tmp_path: Path) -> None:
    FileLogger(tmp_path).log_metrics({"loss": 1.0}, step=0)
    page = write_page(tmp_path, tmp_path / "pages" / "a.html")
    assert page == tmp_path / "pages" / "a.html"
    assert not (tmp_path / "report.html").exists()
    assert "There is no run.json" in page.read_text()
    assert data_of(page)["timeline"] is None


def test_page_of_a_run_that_has_just_begun(tmp_path: Path) -> None:
    with RunManifest(RunDir(tmp_path)):
        page = write_page(tmp_path)
    assert '<span class="status running">running</span>' in page.read_text()
    assert data_of(page) | {"incidents": []} == {
        "axes": [],
        "curves": [],
        "timeline": None,
        "epochs": [],
        "incidents": [],
    }


def test_names_cannot_become_a_part_of_the_page(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "<b>&$name")
    FileLogger(run.path).log_metrics({"train/</script><script>alert(1)</script>": 1.0}, step=0)
    page = write_page(run.path)
    text = page.read_text()
    assert "<h1>&lt;b&gt;&amp;$name</h1>" in text
    assert text.count("<script") == text.count("</script>") == 2
    assert data_of(page)["curves"][0]["name"] == "train/</script><script>alert(1)</script>"


def test_page_asks_for_nothing(tmp_path: Path) -> None:
    FileLogger(tmp_path).log_metrics({"loss": 1.0}, step=0)
    text = write_page(tmp_path).read_text()
    assert "default-src 'none'" in text
    assert not re.findall(r"https?://|<script[^>]+src|@import|url\(", text)


def test_same_run_is_the_same_page(tmp_path: Path) -> None:
    FileLogger(tmp_path).log_metrics({"loss": 1.0}, step=0)
    assert write_page(tmp_path).read_bytes() == write_page(tmp_path).read_bytes()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        MissingPathError, match=r"folder of a run, but got .* neither run\.json nor"
    ):
        write_page(tmp_path)


def test_broken_file_of_a_run_is_told(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(DataError, match="`manifest` to be a JSON object"):
        write_page(tmp_path)


def test_parts_of_the_page_are_shipped() -> None:
    for name in ("page.html", "page.css", "page.js"):
        assert files("leyden.report").joinpath(name).is_file()
