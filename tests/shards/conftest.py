from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Mapping[str, object]], Path]:
    """Write files into a folder ``d``: a number of rows, an array, named arrays, text or bytes."""
    folder = tmp_path / "d"

    def write_all(files: Mapping[str, object]) -> Path:
        folder.mkdir(exist_ok=True)
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            _write_one(path, content)
        return folder

    return write_all


def _write_one(path: Path, content: object) -> None:
    if isinstance(content, Mapping):
        arrays: dict[str, Any] = {str(name): np.asarray(array) for name, array in content.items()}
        np.savez(path, **arrays)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, str):
        path.write_text(content)
    elif isinstance(content, int):
        np.save(path, np.arange(2 * content, dtype=np.float32).reshape(content, 2))
    else:
        np.save(path, np.asarray(content))
