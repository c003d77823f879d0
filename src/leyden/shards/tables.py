"""Default data for fully connected networks: tables of scikit-learn, packed into shards."""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes

from leyden.shards.splits import hold_out
from leyden.shards.write import create_folder, write_shards
from leyden.types import Array

__all__ = ["pack_breast_cancer", "pack_diabetes"]

_ROWS_PER_SET = 34
_TEST_FRACTION = 0.2


def pack_breast_cancer(folder: Path) -> Path:
    """Pack 30 numbers about each of 569 tumours, unless the folder exists.

    The rows come in an order drawn once for all, 34 to a set, and a fifth of the sets is the test
    part.

    Args:
        folder: Where to; it gets ``train/`` and ``test/``, each with ``tumours__<number>.npy``,
            float32 ``(rows, 30)``, and ``labels.npz``: 0 for malignant, 1 for benign.

    Returns:
        ``folder``.
    """

    def fill(folder: Path) -> None:
        rows, classes = load_breast_cancer(return_X_y=True)
        _write(folder, rows.astype(np.float32), classes.astype(np.int64), "tumours__")

    return create_folder(folder, fill)


def pack_diabetes(folder: Path) -> Path:
    """Pack ten facts about each of 442 patients, unless the folder exists.

    The rows come in an order drawn once for all, 34 to a set, and a fifth of the sets is the test
    part.

    Args:
        folder: Where to; it gets ``train/`` and ``test/``, each with ``patients__<number>.npy``,
            float32 ``(rows, 10)``, and ``labels.npz``: the progress of the disease, float32.

    Returns:
        ``folder``.
    """

    def fill(folder: Path) -> None:
        rows, progress = load_diabetes(return_X_y=True)
        _write(folder, rows.astype(np.float32), progress.astype(np.float32), "patients__")

    return create_folder(folder, fill)


def _write(folder: Path, rows: Array, labels: Array, base: str) -> None:
    order = np.random.default_rng(0).permutation(len(rows))
    starts = range(0, len(rows), _ROWS_PER_SET)
    sets = {i: order[start : start + _ROWS_PER_SET] for i, start in enumerate(starts, start=1)}
    parts = hold_out(list(sets), {"test": _TEST_FRACTION}, seed=0)
    for name, numbers in (("train", parts["rest"]), ("test", parts["test"])):
        write_shards(
            folder / name,
            {number: rows[sets[number]] for number in numbers},
            labels={number: labels[sets[number]] for number in numbers},
            base=base,
        )
