"""The places of a run at which Lightning has no hook.

Lightning has no hook *between* two batches: each of its hooks runs while something of the step is
still to come. Exactness needs that place, so the methods named here are replaced on the trainer at
hand for the time of one run; Lightning's classes are left alone.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.trainer.states import TrainerFn

from leyden.resume.loaders import follower_of
from leyden.resume.replaced import Replaced
from leyden.resume.trainer_internals.running import loaders_of

__all__ = ["LoopHooks"]


class LoopHooks:
    """Calls back at the places between two batches, and for each loader.

    Args:
        trainer: The trainer, when it sets up.
        between_batches: Called before each batch of training is drawn.
        in_validation: Called after each batch of a validation within training.
        in_evaluation: Called after each batch of ``validate``, ``test`` and ``predict``.
        on_making: Called with the phase when loaders are about to be asked for; gives a context
            for that.
        on_loader: Called with the phase and a loader of the user's; gives the one to use.
        on_checkpoint: Called with a checkpoint as it was read; gives the one to use.
    """

    def __init__(
        self,
        trainer: Trainer,
        *,
        between_batches: Callable[[], None],
        in_validation: Callable[[], None],
        in_evaluation: Callable[[], None],
        on_making: Callable[[str], AbstractContextManager[None]],
        on_loader: Callable[[str, Any], Any],
        on_checkpoint: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> None:
        self._replaced = Replaced()
        self._trainer, self._on_loader = trainer, on_loader
        loop = trainer.fit_loop.epoch_loop

        def advance(fetcher: Any) -> None:
            between_batches()
            original_advance(fetcher)

        original_advance = self._replaced.replace(loop, "advance", advance)
        self._after(loop.val_loop, "_evaluation_step", in_validation)
        self._after(trainer.validate_loop, "_evaluation_step", in_evaluation)
        self._after(trainer.test_loop, "_evaluation_step", in_evaluation)
        self._after(trainer.predict_loop, "_predict_step", in_evaluation)
        self._watch_makings(on_making)
        self._follow_loaders()
        self._leave_loaders_alone()
        self._read_checkpoints(on_checkpoint)
        self._keep_signals()

    def _after(self, owner: Any, name: str, then: Callable[[], None]) -> None:
        def method(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            if not self._trainer.sanity_checking:
                then()
            return result

        original = self._replaced.replace(owner, name, method)

    def _watch_makings(self, on_making: Callable[[str], AbstractContextManager[None]]) -> None:
        def watch(phase: str, source: Any) -> None:
            def dataloader() -> Any:
                if self._trainer.state.fn != TrainerFn.FITTING or not source.is_module():
                    return original()
                with on_making(phase):
                    return original()

            original = self._replaced.replace(source, "dataloader", dataloader)

        fit_loop = self._trainer.fit_loop
        watch("train", fit_loop._data_source)
        watch("val", fit_loop.epoch_loop.val_loop._data_source)

    def _follow_loaders(self) -> None:
        def process_dataloader(loader: Any) -> Any:
            return self._on_loader(_phase_of_loaders(self._trainer), original(loader))

        strategy = self._trainer.strategy
        original = self._replaced.replace(strategy, "process_dataloader", process_dataloader)

    def _leave_loaders_alone(self) -> None:
        """Have Lightning ask loaders for their state only if they are brought back by it.

        One of torchdata's begins to load, and draws random numbers, when it is asked too early.
        """

        def on_save_checkpoint() -> dict[str, Any]:
            loaders = loaders_of(self._trainer, "train")
            by_state = all(follower_of(loader).way == "state" for loader in loaders)
            return dict(original()) if by_state else {}

        fit_loop = self._trainer.fit_loop
        original = self._replaced.replace(fit_loop, "on_save_checkpoint", on_save_checkpoint)

    def _read_checkpoints(self, then: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        def load_checkpoint(*args: Any, **kwargs: Any) -> dict[str, Any]:
            return then(original(*args, **kwargs))

        strategy = self._trainer.strategy
        original = self._replaced.replace(strategy, "load_checkpoint", load_checkpoint)

    def _keep_signals(self) -> None:
        """Have Lightning leave the signals alone; on SLURM it requeues jobs by them."""
        connector = self._trainer._signal_connector
        environment = self._trainer._accelerator_connector.cluster_environment
        if not isinstance(environment, SLURMEnvironment):
            self._replaced.replace(connector, "register_signal_handlers", lambda: None)

    def remove(self) -> None:
        """Leave everything as it was found."""
        self._replaced.put_all_back()


def _phase_of_loaders(trainer: Trainer) -> str:
    """Which loop is setting its loaders up."""
    if trainer.state.fn != TrainerFn.FITTING:
        return "other"
    return "train" if trainer.training else "val"
