from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from lightning import Trainer


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Keep torch from waiting for threads over networks this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make_trainer(tmp_path: Path) -> Callable[..., Trainer]:
    """Make a quiet trainer on the CPU."""

    def make(**arguments: object) -> Trainer:
        settings: dict[str, object] = {
            "accelerator": "cpu",
            "devices": 1,
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "enable_checkpointing": "callbacks" in arguments,
            "default_root_dir": tmp_path,
        }
        return Trainer(**(settings | arguments))  # type: ignore[arg-type] # checked when run

    return make
