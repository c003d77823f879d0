"""Weights, gradients and activations of layers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, Self, TypeAlias

import torch
from torch import Tensor, nn

from leyden.errors import ConfigError, suggest
from leyden.introspect.layers import Layers, find_layers, find_parameters
from leyden.introspect.norms import Norm, begin, check_norm, join
from leyden.introspect.step import Loss, call, compute_loss, first_tensor, stepping, to_device
from leyden.introspect.tensors import dense

__all__ = [
    "Of",
    "Sources",
    "activations",
    "channel_norms",
    "gradients",
    "stored_gradients",
    "weights",
]

Of: TypeAlias = Literal["weights", "outputs"]
"""What the loss is differentiated by: weights, or what layers return."""

_OFS = ("weights", "outputs")


def weights(model: nn.Module, layers: Layers = "*") -> dict[str, Tensor]:
    """Give the weights of layers: not copies, but without a graph.

    Args:
        model: The model.
        layers: Which layers or parameters.

    Returns:
        Parameters by name, of their shapes, on their devices.

    Raises:
        ConfigError: If there is no such layer.

    Example:
        >>> list(weights(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), "1"))
        ['1.weight', '1.bias']
    """
    return {name: one.detach() for name, one in find_parameters(model, layers).items()}


def stored_gradients(model: nn.Module, layers: Layers = "*") -> dict[str, Tensor]:
    """Give the gradients that the last backward pass has left in the parameters.

    Args:
        model: The model.
        layers: Which layers or parameters.

    Returns:
        Gradients by name of the parameter, those left out that have none.

    Raises:
        ConfigError: If there is no such layer.
    """
    chosen = find_parameters(model, layers).items()
    return {name: dense(one.grad) for name, one in chosen if one.grad is not None}


def gradients(
    model: nn.Module,
    batch: Any,
    *,
    loss: Loss | None = None,
    layers: Layers = "*",
    of: Of = "weights",
    training: bool = False,
) -> dict[str, Tensor]:
    """Compute gradients of the loss of a batch; the model is left as it was.

    Args:
        model: The model.
        batch: What ``loss`` takes.
        loss: Called as ``loss(model, batch)``; ``training_step`` of the model if ``None``, whose
            logging is dropped.
        layers: Which layers.
        of: By weights, or by what layers return.
        training: In training mode rather than in evaluation mode.

    Returns:
        Gradients by name of the parameter or layer, of its shape; zero where the loss does not
        depend on it. Parameters that are not trained have none. A layer that is called several
        times has that of the last call; one that returns several tensors that of the first.

    Raises:
        ConfigError: If there is no such layer, or no telling how the loss is computed.
        DataError: If the loss is not a single number.

    Example:
        >>> layer = nn.Linear(2, 1)
        >>> total = lambda model, batch: model(batch).sum()
        >>> gradients(layer, torch.tensor([[1.0, 2.0], [3.0, 4.0]]), loss=total)
        {'weight': tensor([[4., 6.]]), 'bias': tensor([2.])}
    """
    sources = Sources(model, layers, of)
    with stepping(model, training=training), sources:
        found = compute_loss(model, to_device(batch, model), loss)
        return sources.differentiate(found)


def activations(
    model: nn.Module, inputs: Any, *, layers: Layers = "*", training: bool = False
) -> dict[str, Tensor]:
    """Run a model and keep what layers return; the model is left as it was.

    Args:
        model: The model.
        inputs: A tensor, or its arguments in a tuple or a dictionary.
        layers: Which layers.
        training: In training mode rather than in evaluation mode.

    Returns:
        Outputs by name of the layer, on the model's device, without a graph; of a layer that is
        called several times the last one, of one that returns several tensors the first.

    Raises:
        ConfigError: If there is no such layer.

    Example:
        >>> model = nn.Sequential(nn.Flatten(), nn.ReLU())
        >>> activations(model, torch.tensor([[-1.0, 2.0]]), layers="1")
        {'1': tensor([[0., 2.]])}
    """
    found: dict[str, Tensor] = {}

    def keep(name: str, _layer: nn.Module, output: Any) -> None:
        first = first_tensor(output)
        if first is not None:
            found[name] = first.clone()  # the next layer may write into it

    chosen = find_layers(model, layers)
    with stepping(model, training=training), watching(chosen, keep), torch.no_grad():
        call(model, inputs)
    return {name: found[name] for name in chosen if name in found}


def channel_norms(
    model: nn.Module, layers: Layers = "*", *, norm: Norm = 2.0, axis: int = 0
) -> dict[str, Tensor]:
    """Compute the norm of each channel's weights.

    Args:
        model: The model.
        layers: Which layers or parameters.
        norm: Which norm.
        axis: Axis of the channels; torch has output channels first.

    Returns:
        Norms by name of the parameter, ``(channels,)``, on its device; a parameter without that
        axis has none.

    Raises:
        ConfigError: If there is no such layer or norm.

    Example:
        >>> layer = nn.Linear(2, 2, bias=False)
        >>> _ = layer.weight.data.copy_(torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
        >>> channel_norms(layer)
        {'weight': tensor([5., 1.])}
    """
    check_norm(norm)
    found: dict[str, Tensor] = {}
    for name, weight in weights(model, layers).items():
        if -weight.ndim <= axis < weight.ndim:
            channels = weight.movedim(axis, 0).reshape(weight.shape[axis], -1)
            found[name] = join(begin(channels, norm), norm)
    return found


@contextmanager
def watching(layers: Mapping[str, nn.Module], note: Any) -> Iterator[None]:
    """Be told what layers return.

    Args:
        layers: The layers by name.
        note: Called as ``note(name, layer, output)``; what it returns takes the output's place
            unless it is ``None``.
    """

    def hook(name: str) -> Any:
        return lambda layer, _inputs, output: note(name, layer, output)

    handles = [layer.register_forward_hook(hook(name)) for name, layer in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class Sources:
    """What the losses of a model are differentiated by, as a context to compute them in.

    Args:
        model: The model.
        layers: Which layers.
        of: By weights, or by what layers return.

    Raises:
        ConfigError: If there is no such layer, or nothing in it is trained.
    """

    def __init__(self, model: nn.Module, layers: Layers, of: Of) -> None:
        if of not in _OFS:
            problem = f'Expected `of` to be "weights" or "outputs", but got {of!r}.'
            raise ConfigError(f"{problem} {suggest(str(of), _OFS)}")
        self._layers = find_layers(model, layers) if of == "outputs" else {}
        chosen = find_parameters(model, layers).items() if of == "weights" else ()
        self._found: dict[str, Tensor] = {name: one for name, one in chosen if one.requires_grad}
        if of == "weights" and not self._found:
            raise ConfigError(f"Expected `layers` to have trained weights, but got {layers!r}.")
        self._watch: Any = None

    def __enter__(self) -> Self:
        self._watch = watching(self._layers, self._keep)
        self._watch.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._watch.__exit__(*error)

    def differentiate(self, loss: Tensor) -> dict[str, Tensor]:
        """Compute the gradients of a loss.

        Args:
            loss: With its graph, ``()``.

        Returns:
            Gradients by name.
        """
        sources = dict(self._found)
        if self._layers:  # in their order; the next batch has outputs of its own
            sources = {name: sources[name] for name in self._layers if name in sources}
            self._found.clear()
        found = torch.autograd.grad(
            loss, list(sources.values()), allow_unused=True, materialize_grads=True
        )
        return {name: dense(one) for name, one in zip(sources, found, strict=True)}

    def _keep(self, name: str, _layer: nn.Module, output: Any) -> Any:
        first = first_tensor(output)
        if first is None or not (first.is_floating_point() or first.is_complex()):
            return None
        if not first.requires_grad:
            first = first.detach().requires_grad_()
        self._found[name] = first
        return _replace_first(output, first.clone())  # the next layer may write into it


def _replace_first(output: Any, tensor: Tensor) -> Any:
    if isinstance(output, Tensor):
        return tensor
    if type(output) in {tuple, list} and isinstance(output[0], Tensor):
        return type(output)([tensor, *output[1:]])
    return None  # of a kind that only the model knows: it stays
