"""The default data: scikit-learn's handwritten digits, packed into shards."""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from leyden.shards.splits import hold_out
from leyden.shards.write import create_folder, write_shards

__all__ = ["pack_digits"]

_ROWS_PER_SET = 100
_TEST_FRACTION = 0.2


def pack_digits(folder: Path) -> Path:
    """Pack the 1,797 handwritten digits into numbered shards, unless the folder exists.

    The images come in the order in which scikit-learn has them, 100 to a set. One fifth of the
    sets, drawn once for all, is the test part.

    Args:
        folder: Where to; it gets ``train/`` and ``test/``, each with ``digits__<number>.npy``,
            float32 ``(rows, 1, 8, 8)`` in [0, 1], and ``labels.npz``.

    Returns:
        ``folder``.
    """
    return create_folder(folder, _fill)


def _fill(folder: Path) -> None:
    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)[:, None]
    classes = digits.target.astype(np.int64)
    starts = range(0, len(images), _ROWS_PER_SET)
    rows = {i: slice(start, start + _ROWS_PER_SET) for i, start in enumerate(starts, start=1)}
    parts = hold_out(list(rows), {"test": _TEST_FRACTION}, seed=0)
    for name, numbers in (("train", parts["rest"]), ("test", parts["test"])):
        write_shards(
            folder / name,
            {number: images[rows[number]] for number in numbers},
            labels={number: classes[rows[number]] for number in numbers},
            base="digits__",
        )
