"""Two real processes with gloo between them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leyden.shards import write_shards

SCRIPT = Path(__file__).parent / "classifier_ranks_script.py"


@pytest.mark.slow
def test_two_processes_log_the_loss_and_the_metrics_of_all_rows(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows: Any = {n: random.normal(size=(13, 3)).astype(np.float32) for n in range(3)}
    labels = {n: (part[:, 0] > 0.5).astype(np.int64) for n, part in rows.items()}
    write_shards(tmp_path / "d", rows, labels=labels)
    found = []
    for devices in (1, 2):
        command = [sys.executable, str(SCRIPT), str(tmp_path), str(devices)]
        subprocess.run(command, check=True, timeout=120)
        found.append(json.loads((tmp_path / f"{devices}.json").read_text()))
    assert set(found[0]) == {"test/loss", "test/accuracy", "test/auroc"}
    assert found[1] == pytest.approx(found[0], rel=1e-5)
