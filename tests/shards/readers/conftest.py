from pathlib import Path

import numpy as np
import pytest
from typing_extensions import override

from leyden.types import Array


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @override
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self._path,)


@pytest.fixture
def trap(tmp_path: Path) -> Array:
    sprung = tmp_path / "sprung"
    array = np.array([Trap(sprung), Trap(sprung)], dtype=object)
    np.save(tmp_path / "trap.npy", array, allow_pickle=True)
    np.load(tmp_path / "trap.npy", allow_pickle=True)
    assert sprung.exists()  # the trap works
    sprung.unlink()
    return array
