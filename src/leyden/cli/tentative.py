"""A start by which a run is to go on, and of which nothing is left if it is refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from typing_extensions import override

from leyden.files import replacing
from leyden.runs import RunDir

__all__ = ["ConfirmStart", "tentative_start"]

_SUFFIX = ".tentative"


@contextmanager
def tentative_start(run: RunDir, config_path: Path) -> Iterator[None]:
    """Have the configuration of a start count only once something is done with it.

    If an error or a signal comes before, the manifest is as it was, and the configuration is gone:
    the next start goes on from that of before.

    Args:
        run: The run that is to go on; nobody else writes to it.
        config_path: Its new configuration.
    """
    before = run.manifest_path.read_bytes() if run.manifest_path.exists() else None
    for left in _tentative(run):  # by a start that was killed
        left.unlink()
    path = config_path.rename(config_path.with_name(config_path.name + _SUFFIX))
    try:
        yield
        _confirm(run)
    finally:
        if path.exists():
            path.unlink()
            _put_back(run.manifest_path, before)


def _put_back(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
        return
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def _tentative(run: RunDir) -> list[Path]:
    return sorted(run.config_dir.glob(f"*{_SUFFIX}"))


def _confirm(run: RunDir) -> None:
    for path in _tentative(run):
        path.rename(path.with_suffix(""))


class ConfirmStart(Callback):
    """Confirm a tentative start with the first batch that is trained or validated on.

    Args:
        run: The run.
    """

    def __init__(self, run: RunDir) -> None:
        super().__init__()
        self._run, self._is_done = run, False

    def _note(self, trainer: Trainer) -> None:
        if not (self._is_done or trainer.sanity_checking):
            self._is_done = True
            if trainer.is_global_zero:
                _confirm(self._run)

    @override
    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        self._note(trainer)

    @override
    def on_validation_batch_start(self, trainer: Trainer, *_: Any) -> None:
        self._note(trainer)
