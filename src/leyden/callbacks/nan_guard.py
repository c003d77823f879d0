"""Stop where a loss or a gradient is not finite any more."""

import cmath
import warnings
from functools import cached_property
from typing import Any, Literal, TypeAlias, get_args

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer
from typing_extensions import override

from leyden.errors import ConfigError, NonFiniteError, check_version, suggest
from leyden.incidents import gradient_scaler
from leyden.introspect import NonFinite, find_nonfinite, find_nonfinite_tensor
from leyden.introspect.norms import measure

__all__ = ["NaNGuard"]

Action: TypeAlias = Literal["raise", "stop", "warn"]

_STATE_VERSION = 1


class NaNGuard(Callback):
    """Watch the loss and the gradients of every backward pass, and name the first bad layer.

    A backward pass costs about one norm of the gradients more. When something is NaN or infinite,
    before the optimizer has used it, the step is made once more with every layer watched, to find
    the first tensor that is not finite: a weight, the batch, what goes into a layer or comes out of
    it, the loss, or a gradient. Where the step cannot be made again, as with manual optimization,
    it is the last parameter whose gradient is not finite, which backward passes come to first.

    With 16-bit precision and a gradient scaler, infinite gradients are a matter of course, and the
    scaler leaves out such steps; only losses are watched then.

    Args:
        action: ``"raise"`` ends the training with an error; ``"stop"`` drops the gradients, so that
            weights stay as they are, and ends it after this batch; ``"warn"`` warns, the first time
            only, and goes on.
        locate: Whether to make the step again.

    Attributes:
        found: The first tensor that was not finite; ``None`` if there was none.
        num_found: Backward passes with something that was not finite.

    Raises:
        ConfigError: If there is no such action.
        NonFiniteError: In training, if the loss or a gradient is not finite.

    Example:
        >>> from lightning import Trainer
        >>> trainer = Trainer(accelerator="cpu", logger=False, callbacks=[NaNGuard()])
    """

    def __init__(self, action: Action = "raise", *, locate: bool = True) -> None:
        super().__init__()
        if action not in get_args(Action):
            problem = f"Expected `action` to be known, but got {action!r}."
            raise ConfigError(f"{problem} {suggest(str(action), get_args(Action))}")
        self._action, self._locate = action, locate
        self.found: NonFinite | None = None
        self.num_found = 0
        self._parameters: list[torch.nn.Parameter] = []
        self._batch, self._batch_index = None, 0
        self._loss: Tensor | None = None
        self._is_checked = True  # after the last backward pass that was told of

    @cached_property  # which Lightning asks for in every hook of every step
    @override
    def state_key(self) -> str:
        return self._generate_state_key(action=self._action)

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            self.found, self.num_found = None, 0
        self._forget()

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"version": _STATE_VERSION, "num_found": self.num_found}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting where another run was.

        Raises:
            ResumeError: If the state is of another version of leyden; nothing is changed then.
        """
        check_version(state_dict, _STATE_VERSION)
        self.num_found = state_dict["num_found"]

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._parameters = list(pl_module.parameters())

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._parameters = list(pl_module.parameters())  # of which there may be others now

    @override
    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._batch, self._batch_index, self._is_checked = batch, batch_idx, False

    @override
    def on_before_backward(
        self, trainer: Trainer, pl_module: LightningModule, loss: Tensor
    ) -> None:
        self._loss = loss.detach()

    @override
    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._is_checked = True
        self._check(trainer, pl_module)

    @override
    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        if not self._is_checked:  # manual optimization that calls `loss.backward()` itself
            self._check(trainer, pl_module)

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._batch = self._loss = None

    @override
    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._forget()

    @override
    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._forget()

    def _forget(self) -> None:
        self._batch = self._loss = None
        self._parameters, self._is_checked = [], True

    def _check(self, trainer: Trainer, pl_module: LightningModule) -> None:
        tensors = _gradients(trainer, self._parameters)
        if self._loss is not None:
            tensors.append(self._loss)
        if not _agree(trainer, not cmath.isfinite(_add_up(tensors))):
            return
        loss = {} if self._loss is None else {"": self._loss}
        found = find_nonfinite_tensor("loss", loss) or _find_gradient(trainer, pl_module)
        if _agree(trainer, found is not None):  # else it is large, but no number of it is infinite
            self._act(trainer, pl_module, found)

    def _act(self, trainer: Trainer, pl_module: LightningModule, found: NonFinite | None) -> None:
        self.num_found += 1
        if self.num_found > 1 and self._action == "warn":
            return
        self.found = self._find_first(trainer, pl_module) or found
        where = self.found or "what another rank computed"
        message = (
            f"Expected the loss and the gradients to be finite, but got {where} in batch "
            f"{self._batch_index} of epoch {trainer.current_epoch}."
        )
        if self._action == "raise":
            raise NonFiniteError(message)
        if trainer.is_global_zero:
            warnings.warn(message, stacklevel=2)
        if self._action == "stop":
            trainer.should_stop = True
            if gradient_scaler(trainer) is None:  # which leaves out such steps
                for parameter in self._parameters:
                    parameter.grad = None

    def _find_first(self, trainer: Trainer, pl_module: LightningModule) -> NonFinite | None:
        if not (self._locate and pl_module.automatic_optimization):
            return None
        try:
            with trainer.precision_plugin.forward_context():
                return find_nonfinite(pl_module, self._batch, batch_index=self._batch_index)
        except Exception as error:
            error.add_note(
                "while `NaNGuard` made a step with a value that is not finite once more, to find "
                "the first one; `NaNGuard(locate=False)` does not"
            )
            raise


def _gradients(trainer: Trainer, parameters: list[torch.nn.Parameter]) -> list[Tensor]:
    if gradient_scaler(trainer) is not None:
        return []
    return [found for one in parameters if (found := one.grad) is not None]


def _find_gradient(trainer: Trainer, pl_module: LightningModule) -> NonFinite | None:
    if gradient_scaler(trainer) is not None:
        return None
    found = {name: one.grad for name, one in pl_module.named_parameters() if one.grad is not None}
    return find_nonfinite_tensor("weight gradient", dict(reversed(found.items())))


def _add_up(tensors: list[Tensor]) -> complex:
    """Compute a number that is not finite if any value of any tensor is not."""
    if all(tensor.is_cpu for tensor in tensors):
        return sum(tensor.sum().item() for tensor in tensors)  # nothing is quicker
    norms = measure(tensors, 2.0)  # all in one go, and one transfer to main memory
    return torch.stack([norm.to(norms[0].device) for norm in norms]).sum().item()


def _agree(trainer: Trainer, is_so: bool) -> bool:
    """Have all ranks go the same way: what is so for one is so for all."""
    if trainer.world_size == 1:
        return is_so
    return bool(trainer.strategy.reduce_boolean_decision(is_so, all=False))
