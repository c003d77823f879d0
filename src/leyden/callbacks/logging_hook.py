"""Log numbers, images and figures that results hold."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from leyden.callbacks.canvas import batch_to_canvas, save_image, to_colours
from leyden.errors import DataError, suggest
from leyden.lifecycle import Hook, Results
from leyden.report import save_figure
from leyden.tracking import log_figure, log_image
from leyden.types import Array

__all__ = ["LoggingHook"]

_log = logging.getLogger(__name__)

_KINDS: Final = ("scalars", "images", "figures")

Handler = Callable[[Mapping[str, Any], int, str], None]


class LoggingHook(Hook):
    """Log what lies at paths of the results, at each step it is called for.

    At a path there is a number, or a dictionary ``{"scalars": {name: number}, "images": {name:
    array}, "figures": {name: figure}}``. Images are ``(batch, height, width, channels)`` in
    [-1, 1]. They go to every logger of the trainer that takes their kind, as ``<path>/<name>``,
    images and figures also to files ``train/<path>/<name>_<step>.png`` in the folder of the run.
    The step is the number of steps before: all is computed with the weights that it begins with.
    The first process writes. Put it into an ``IntervalHook`` to log at some steps only.

    Args:
        paths: Paths of results, such as ``"log_op"`` or ``"validation/log_op"``.
        root_path: Folder of the files; ``train`` in the folder of the run if ``None``.
        image_format: Extension of image files, such as ``"png"``.

    Attributes:
        handlers: Functions ``handler(results, step, path)`` by ``"scalars"``, ``"images"`` and
            ``"figures"``, called with what there is of their kind; add your own.
    """

    def __init__(
        self,
        paths: Sequence[str],
        *,
        root_path: str | Path | None = None,
        image_format: str = "png",
    ) -> None:
        self._paths = list(paths)
        self._root_path = None if root_path is None else Path(root_path)
        self._image_format = image_format
        self.handlers: dict[str, list[Handler]] = {
            "scalars": [self._log_scalars],
            "images": [self._log_images],
            "figures": [self._log_figures],
        }

    @override
    def wants(self, step: int) -> Iterable[str]:
        return self._paths

    @override
    def after_step(self, step: int, results: Results) -> None:
        if self.run.writes:
            _log.info("global_step: %d", step - 1)
            for path in self._paths:
                self._log(results[path], step - 1, path)

    def _log(self, found: Any, step: int, path: str) -> None:
        if not isinstance(found, Mapping):
            folder, _, name = path.rpartition("/")
            found, path = {"scalars": {name: found}}, folder
        for kind, results in found.items():
            if kind not in _KINDS:
                problem = f"Expected `{path}` to hold scalars, images and figures, but got {kind!r}"
                raise DataError(f"{problem}. {suggest(kind, _KINDS)}")
            for handler in self.handlers[kind]:
                handler(results, step, path)

    def _log_scalars(self, results: Mapping[str, Any], step: int, path: str) -> None:
        numbers = {_join(path, name): _to_number(results[name]) for name in sorted(results)}
        for name, number in numbers.items():
            _log.info("%s: %s", name, number)
        self.run.log_metrics(numbers, step)

    def _log_images(self, results: Mapping[str, Any], step: int, path: str) -> None:
        for name, images in results.items():
            canvas = to_colours(batch_to_canvas(_to_array(images)))
            save_image(canvas, self._path(path, name, step, self._image_format))
            log_image(self.run.trainer.loggers, _join(path, name), canvas, step)

    def _log_figures(self, results: Mapping[str, Any], step: int, path: str) -> None:
        for name, figure in results.items():
            save_figure(figure, self._path(path, name, step, "png"))
            log_figure(self.run.trainer.loggers, _join(path, name), figure, step)

    def _path(self, path: str, name: str, step: int, extension: str) -> Path:
        root = self._root_path or self.run.folder / "train"
        return root / path / f"{name}_{step:07d}.{extension}"


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _to_number(value: Any) -> Any:
    return value.item() if isinstance(value, Tensor | np.ndarray | np.generic) else value


def _to_array(images: Any) -> Array:
    if isinstance(images, Tensor):
        return images.detach().to("cpu", torch.float32).numpy()
    return np.asarray(images)
