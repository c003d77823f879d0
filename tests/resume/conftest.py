"""The page of the matrix, written by whoever runs all of it."""

from pathlib import Path
from typing import Any

import lightning
import pytest
import torch

_PAGE = Path(__file__).parents[2] / "docs" / "guides" / "resume_matrix.md"
_TEST = "test_matrix.py::test_interrupted_run_equals_the_uninterrupted_one["
_HEAD = """---
orphan: true
---

# What was interrupted, and came out the same

Written by `make test-all`. In each line, a training in a process of its own was broken off and
gone on with, by processes with another seed, and compared with one that ran through: weights,
states of optimizers and schedules, the content of every batch, logged rows and steps, metrics,
the files of `ModelCheckpoint` and the state of a callback, all bit for bit. The module has
dropout, batch normalisation and metrics; the rows are augmented by four kinds of random numbers.
Unless something else is said, it is broken off by SIGINT in the sixth batch of the second epoch.
"""


class _Results:
    """Outcomes of the matrix, by cell."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}
        self.cells: list[str] = []

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        self._collect([item.nodeid])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        """Hear what is collected where the tests are run by several processes."""
        self._collect(ids)

    def _collect(self, ids: list[str]) -> None:
        cells = filter(None, map(_cell, ids))
        self.cells += [cell for cell in cells if cell not in self.cells]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        cell = _cell(report.nodeid)
        if cell and (report.when == "call" or report.skipped):
            self.outcomes[cell] = report.outcome

    def pytest_sessionfinish(self) -> None:
        if self.cells and set(self.outcomes) == set(self.cells):
            table = _table({cell: self.outcomes[cell] for cell in self.cells})
            _PAGE.write_text("\n".join([_HEAD, *table]) + "\n", encoding="utf-8")


def _cell(nodeid: str) -> str:
    return nodeid.partition(_TEST)[2].rpartition("]")[0]


def _table(outcomes: dict[str, str]) -> list[str]:
    same = sum(outcome == "passed" for outcome in outcomes.values())
    versions = f"lightning {lightning.__version__}, torch {torch.__version__}"
    words = {"passed": "the same", "failed": "**differs**", "skipped": "not run"}
    return [
        f"{same} of {len(outcomes)} the same, with {versions}.",
        "",
        "| what | outcome |",
        "|---|---|",
        *(f"| {cell} | {words[outcome]} |" for cell, outcome in outcomes.items()),
    ]


def pytest_configure(config: Any) -> None:
    config.pluginmanager.register(_Results(), "results of the resume matrix")
