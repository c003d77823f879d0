"""Let the hidden state of recurrent parts end with the batch."""

from lightning.pytorch import Callback

from leyden.lifecycle import StateResetting

__all__ = ["StateReset"]


class StateReset(StateResetting, Callback):
    """Reset the recurrent parts of any module where a batch of series begins, and where it ends.

    Part of the module is whatever has a method ``reset_state()``, at any depth. It is called before
    the first time window of every batch and after its last one, in training, validation, test and
    prediction; with loaders that know no windows, before and after every batch. Modules of leyden
    need no such callback.

    A validation may come between two windows of a training batch. A part keeps its state through it
    if it has one for training and another for evaluation, as ``leyden.modules.HiddenState`` does.

    Example:
        >>> from lightning import Trainer
        >>> trainer = Trainer(accelerator="cpu", logger=False, callbacks=[StateReset()])
    """
