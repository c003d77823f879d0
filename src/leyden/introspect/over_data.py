"""Gradients over a whole dataset, without training."""

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeAlias, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import Unpack, override

from leyden.errors import ConfigError, DataError
from leyden.introspect.layers import Layers
from leyden.introspect.look import Of, Sources
from leyden.introspect.norms import Norm, check_norm, join, measure
from leyden.introspect.step import Loss, compute_loss, stepping, to_device
from leyden.introspect.tensors import to_host
from leyden.introspect.untouched import undisturbed
from leyden.lifecycle import reset_states, stateful_parts

__all__ = [
    "GradientNorms",
    "GradientSums",
    "PassOptions",
    "Progress",
    "gradient_norms",
    "gradient_sums",
]

Progress: TypeAlias = Callable[[Iterable[Any]], Iterable[Any]]
"""Wraps what is gone through, such as ``tqdm.tqdm`` or ``rich.progress.track``."""


class PassOptions(TypedDict, total=False):
    """How a loader is gone through; each may be left out.

    Args:
        of: ``"weights"`` or ``"outputs"`` of layers: what gradients are by; by weights if left out.
        training: Whether the model is in training mode; in evaluation mode if left out.
        num_batches: How many batches; all if left out.
        progress: Wraps what is gone through, such as ``tqdm.tqdm`` or ``rich.progress.track``.
    """

    of: Of
    training: bool
    num_batches: int | None
    progress: Progress | None


Statistic: TypeAlias = Callable[[NDArray[np.float64]], Any]


@dataclass(frozen=True, slots=True)
class GradientNorms:
    """Norms of the gradients of every batch.

    Args:
        names: Of the parameters or layers, ``(tensors,)``.
        local: The norm of each gradient, ``(batches, tensors)``.
        total: The norm of all gradients together, ``(batches,)``, which is what
            ``gradient_clip_val`` bounds.
        values: The statistic of the norms of each batch, ``(batches,)``.
    """

    names: tuple[str, ...]
    local: NDArray[np.float64]
    total: NDArray[np.float64]
    values: NDArray[np.float64]

    @property
    def num_batches(self) -> int:
        """How many batches there were; each time window is one."""
        return len(self.total)

    @override
    def __str__(self) -> str:
        lines = (("one", self.values), ("all", self.total))
        return f"Gradient norms over {self.num_batches:,} batches" + "".join(
            f"\nof {name}: mean {found.mean():.4g}, largest {found.max():.4g}"
            for name, found in lines
        )


@dataclass(frozen=True, slots=True)
class GradientSums:
    """Sums of the gradients of all batches.

    Args:
        tensors: Sums by name of the parameter or layer, in main memory: of the parameter's shape,
            or of the shape of the layer's output without its rows.
        num_batches: How many batches there were; each time window is one.
    """

    tensors: dict[str, Tensor]
    num_batches: int


def gradient_norms(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    loss: Loss | None = None,
    norm: Norm = 2.0,
    statistic: Statistic = np.median,
    layers: Layers = "*",
    **options: Unpack[PassOptions],
) -> GradientNorms:
    """Compute the norms of gradients of every batch of a loader, for example to choose clipping.

    The model, the loader and the random generators are left as they were, also after an error.
    Recurrent parts with ``reset_state()`` begin each batch anew, but not each time window of it.

    Args:
        model: The model.
        loader: Its batches, as it would hand them out next.
        loss: Called as ``loss(model, batch)``; ``training_step`` of the model if ``None``, whose
            logging is dropped.
        norm: Which norm.
        statistic: Makes one number of the norms of a batch, ``(tensors,)``.
        layers: Which layers.
        **options: ``of``, ``training``, ``num_batches`` and ``progress``, see ``PassOptions``.

    Returns:
        The norms, which came to main memory at the end, all at once.

    Raises:
        ConfigError: If there is no such layer or norm, or no telling how the loss is
            computed.
        DataError: If there are fewer batches than asked for, or none, or a loss is not a number.

    Example:
        >>> batches = [torch.tensor([[3.0, 4.0]]), torch.tensor([[6.0, 8.0]])]
        >>> total = lambda model, batch: model(batch).sum()
        >>> found = gradient_norms(nn.Linear(2, 1, bias=False), batches, loss=total)
        >>> found.total.tolist()
        [5.0, 10.0]
    """
    check_norm(norm)
    names: tuple[str, ...] = ()
    measured: list[Tensor] = []
    with closing(_each(model, loader, loss, layers, **options)) as each:
        for gradients in each:
            _check_names(names or tuple(gradients), tuple(gradients))
            names = tuple(gradients)
            measured.append(torch.stack(measure(list(gradients.values()), norm)))
    rows = to_host(measured)
    local = rows if isinstance(norm, int | float) else join(rows.unsqueeze(-1), norm)
    values = np.array([float(statistic(row)) for row in local.numpy()])
    return GradientNorms(names, local.numpy(), join(rows, norm).numpy(), values)


def gradient_sums(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    loss: Loss | None = None,
    layers: Layers = "*",
    **options: Unpack[PassOptions],
) -> GradientSums:
    """Add up the gradients of every batch of a loader.

    The model, the loader and the random generators are left as they were, also after an error.

    Args:
        model: The model.
        loader: Its batches, as it would hand them out next.
        loss: Called as ``loss(model, batch)``; ``training_step`` of the model if ``None``, whose
            logging is dropped.
        layers: Which layers.
        **options: ``of``, ``training``, ``num_batches`` and ``progress``, see ``PassOptions``.

    Returns:
        The sums; those by outputs of layers are over rows, too, which are their first axis.

    Raises:
        ConfigError: If there is no such layer, or no telling how the loss is computed.
        DataError: If there are fewer batches than asked for, or none, or a loss is not a number.

    Example:
        >>> batches = [torch.tensor([[3.0, 4.0]]), torch.tensor([[6.0, 8.0]])]
        >>> total = lambda model, batch: model(batch).sum()
        >>> gradient_sums(nn.Linear(2, 1, bias=False), batches, loss=total).tensors
        {'weight': tensor([[ 9., 12.]])}
    """
    added: dict[str, Tensor] = {}
    num_batches = 0
    over_rows = options.get("of") == "outputs"
    with closing(_each(model, loader, loss, layers, **options)) as each:
        for gradients in each:
            for name, gradient in gradients.items():
                one = gradient.sum(0) if over_rows and gradient.ndim > 0 else gradient
                added[name] = added[name] + one if name in added else one
            num_batches += 1
    return GradientSums({name: one.cpu() for name, one in added.items()}, num_batches)


def _each(
    model: nn.Module,
    loader: Iterable[Any],
    loss: Loss | None,
    layers: Layers,
    *,
    of: Of = "weights",
    training: bool = False,
    num_batches: int | None = None,
    progress: Progress | None = None,
) -> Generator[dict[str, Tensor], None, None]:
    """Compute the gradients of each batch; closing it puts everything back."""
    if num_batches is not None and num_batches < 1:
        raise ConfigError(f"Expected `num_batches` to be at least 1, but got {num_batches!r}.")
    windows = getattr(getattr(loader, "plan", None), "windows", 1)  # of time, to a batch
    sources, parts = Sources(model, layers, of), stateful_parts(model)
    count = 0
    with undisturbed(loader), stepping(model, training=training), sources:
        for index, batch in enumerate(loader if progress is None else progress(loader)):
            if index % windows == 0:
                reset_states(parts)
            yield sources.differentiate(compute_loss(model, to_device(batch, model), loss, index))
            count += 1
            if count == num_batches:
                break
    if count < (num_batches or 1):
        problem = f"Expected the loader to have {num_batches or 1} batches or more"
        raise DataError(f"{problem}, but got {count}.")


def _check_names(before: tuple[str, ...], now: tuple[str, ...]) -> None:
    if before != now:
        raise DataError(
            f"Expected every batch to go through the same layers.\nbefore: {before}\nnow: {now}\n"
            "Pass `layers=` with those that every batch goes through."
        )
