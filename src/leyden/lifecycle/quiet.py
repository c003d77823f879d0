"""Look at a model without leaving a trace."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

__all__ = ["quietly"]


@contextmanager
def quietly(module: nn.Module) -> Iterator[None]:
    """Run a model in evaluation mode, without gradients, and put everything back afterwards.

    Each part gets back the mode it was in, and the generators of Python, NumPy, torch and the
    module's CUDA device the state they were in.

    Args:
        module: The model.

    Example:
        >>> layer = nn.Dropout(0.5)
        >>> with quietly(layer):
        ...     layer(torch.ones(2))
        tensor([1., 1.])
        >>> layer.training
        True
    """
    modes = [(part, part.training) for part in module.modules()]
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - what users draw from
    devices = {tensor.device for tensor in module.parameters() if tensor.is_cuda}
    module.eval()
    try:
        with torch.random.fork_rng(sorted(device.index for device in devices)), torch.no_grad():
            yield
    finally:
        for part, mode in modes:
            part.training = mode
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002 - what users draw from
