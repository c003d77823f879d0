"""Where in a step the first value is that is not finite."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from leyden.introspect.layers import ROOT, find_layers, find_parameters
from leyden.introspect.look import watching
from leyden.introspect.step import Loss, compute_loss, stepping, to_device
from leyden.introspect.tensors import dense, to_host

__all__ = ["NonFinite", "find_nonfinite", "find_nonfinite_tensor", "is_mask"]

_NEVER_MASKS = ("weight", "loss", "output gradient", "weight gradient")


@dataclass(frozen=True, slots=True)
class NonFinite:
    """A tensor with values that are not finite.

    Args:
        where: ``"weight"``, ``"buffer"``, ``"batch"``, ``"input"`` or ``"output"`` of a layer,
            ``"loss"``, ``"output gradient"`` or ``"weight gradient"``.
        name: Of the parameter, the buffer, the layer or the part of the batch; empty for the loss.
        num_nan: Values that are not a number.
        num_inf: Infinite values.
        num_values: Values it has.
    """

    where: str
    name: str
    num_nan: int
    num_inf: int
    num_values: int

    @override
    def __str__(self) -> str:
        counts = ((self.num_nan, "NaN"), (self.num_inf, "Inf"))
        found = " and ".join(f"{count:,} {kind}" for count, kind in counts if count)
        name = f" {self.name!r}" if self.name else ""
        return f"{found} of {self.num_values:,} in {self.where}{name}"


def find_nonfinite(
    model: nn.Module,
    batch: Any,
    *,
    loss: Loss | None = None,
    training: bool | None = None,
    batch_index: int = 0,
) -> NonFinite | None:
    """Make a step and find the first tensor in it with a value that is not finite.

    Looked at are, in this order, weights and buffers, the batch, what goes into each layer and
    what comes out of each part as the model calls them, the loss, and gradients as they are
    computed. The model and the random generators are left as they were.

    -Inf is what masks are made of: what is to be left out of a softmax. It counts where nothing
    takes it away again: if a value that is NaN or +Inf follows, or a loss or gradient that is not
    finite, with no layer in between whose output is finite; and never in a mask of zeros and -Inf.

    Args:
        model: The model.
        batch: What ``loss`` takes.
        loss: Called as ``loss(model, batch)``; ``training_step`` of the model if ``None``, whose
            logging is dropped.
        training: In training mode or not; as the model is if ``None``.
        batch_index: Place of the batch in its epoch, from zero, for ``training_step``.

    Returns:
        The tensor; ``None`` if all values are finite.

    Raises:
        ConfigError: If there is no telling how the loss is computed.
        DataError: If the loss is not a single number.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
        >>> _ = nn.init.constant_(model[0].bias, 1e38), nn.init.constant_(model[2].weight, 1e38)
        >>> total = lambda model, batch: model(batch).sum()
        >>> print(find_nonfinite(model, torch.ones(3, 2), loss=total))
        3 Inf of 3 in output '2'
    """
    notes = _Notes()
    parameters = find_parameters(model)
    with stepping(model, training=training):
        notes.add("weight", parameters)
        notes.add("buffer", dict(model.named_buffers()))
        batch = to_device(batch, model)
        notes.add("batch", dict(_parts(batch)))
        sources = {name: one for name, one in parameters.items() if one.requires_grad}
        layers = find_layers(model)
        handles = [
            one.register_forward_pre_hook(_see_inputs(notes, name)) for name, one in layers.items()
        ]
        handles += [
            _on_gradient(one, notes, "weight gradient", name) for name, one in sources.items()
        ]
        try:
            with watching(_parts_of(model), notes.see_output):
                found = compute_loss(model, batch, loss, batch_index)
            notes.add("loss", {"": found})
            torch.autograd.grad(found, list(sources.values()), allow_unused=True)
        finally:
            for handle in handles:
                handle.remove()
    return notes.first()


def find_nonfinite_tensor(
    where: str, tensors: Mapping[str, Tensor], *, with_masks: bool = False
) -> NonFinite | None:
    """Find the first of several tensors with a value that is not finite.

    Args:
        where: What the tensors are.
        tensors: Tensors of any shapes by name.
        with_masks: Whether tensors may hold -Inf, as masks and what was masked do.

    Returns:
        The tensor; ``None`` if all values are finite.

    Example:
        >>> print(
        ...     find_nonfinite_tensor("bias", {"0": torch.ones(2), "1": torch.tensor([torch.nan])})
        ... )
        1 NaN of 1 in bias '1'
    """
    notes = _Notes()
    notes.add(where, tensors)
    for note in notes.counted():
        if note.is_broken or (note.num_down and not with_masks):
            return note.finding
    return None


def is_mask(tensor: Tensor) -> bool:
    """Say whether a tensor is a mask to be added to scores: of zeros and -Inf, and nothing else.

    Args:
        tensor: Of any shape.

    Example:
        >>> is_mask(torch.tensor([0.0, -torch.inf])), is_mask(torch.tensor([1.0, -torch.inf]))
        (True, False)
    """
    notes = _Notes()
    notes.add_one("", "", tensor)
    return any(note.is_mask for note in notes.counted())


@dataclass(frozen=True, slots=True)
class _Note:
    """How many values of a tensor are of what kind."""

    where: str
    name: str
    num_values: int
    num_nan: int
    num_up: int  # +Inf
    num_down: int  # -Inf
    num_zero: int

    @property
    def is_broken(self) -> bool:
        is_down = self.num_down and self.where in _NEVER_MASKS
        return bool(self.num_nan or self.num_up or is_down)

    @property
    def is_mask(self) -> bool:
        return bool(
            self.num_down and self.num_zero and self.num_down + self.num_zero == self.num_values
        )

    @property
    def finding(self) -> NonFinite:
        num_inf = self.num_up + self.num_down
        return NonFinite(self.where, self.name, self.num_nan, num_inf, self.num_values)


class _Notes:
    """Counts in the order in which they are made, brought to main memory at the end."""

    def __init__(self) -> None:
        self._tensors: list[tuple[str, str, int]] = []
        self._counts: list[Tensor] = []

    def add(self, where: str, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            self.add_one(where, name, tensor)

    @torch.no_grad()
    def add_one(self, where: str, name: str, tensor: Tensor) -> None:
        if tensor.is_floating_point() or tensor.is_complex():
            values = dense(tensor)
            real = values.abs() if values.is_complex() else values
            kinds = (values.isnan(), real == math.inf, real == -math.inf, real == 0)
            self._tensors.append((where, name, values.numel()))
            self._counts.append(torch.stack([kind.sum() for kind in kinds]))

    def see_output(self, name: str, _layer: nn.Module, output: Any) -> None:
        for _, tensor in _parts(output):
            self.add_one("output", name, tensor)
            if tensor.requires_grad:
                _on_gradient(tensor, self, "output gradient", name)

    def counted(self) -> Iterator[_Note]:
        for facts, counts in zip(self._tensors, to_host(self._counts), strict=True):
            yield _Note(*facts, *map(int, counts))

    def first(self) -> NonFinite | None:
        """Find where it began, which may be with a -Inf that only later breaks something."""
        suspect: _Note | None = None
        for note in self.counted():
            if note.is_broken:
                return (suspect or note).finding
            if note.num_down and not note.is_mask:
                suspect = suspect or note
            elif note.where == "output":
                suspect = None  # what was -Inf before it did no harm
        return None


def _parts_of(model: nn.Module) -> dict[str, nn.Module]:
    """List all parts of a model, for what goes wrong between the layers of one comes out of it."""
    return {name or ROOT: part for name, part in model.named_modules()}


def _on_gradient(tensor: Tensor, notes: _Notes, where: str, name: str) -> Any:
    hook: Any = partial(notes.add_one, where, name)
    return tensor.register_hook(hook)  # type: ignore[no-untyped-call] # torch has no types for it


def _see_inputs(notes: _Notes, name: str) -> Any:
    def note(_layer: nn.Module, inputs: Any) -> None:
        for _, tensor in _parts(inputs):
            notes.add_one("input", name, tensor)

    return note


def _parts(value: Any, path: str = "") -> Iterable[tuple[str, Tensor]]:
    """List the tensors of a nested value, by their places such as ``[0]['mask']``."""
    if isinstance(value, Tensor):
        yield path, value
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from _parts(part, f"{path}[{name!r}]")
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _parts(part, f"{path}[{index}]")
