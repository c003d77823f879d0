from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
import torch
from lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import SGD
from torch.utils.data import DataLoader
from typing_extensions import override

from leyden.modules import LifecycleModule

MakeTrainer: TypeAlias = Callable[..., Trainer]


class Plain(LifecycleModule):
    """Overrides nothing but what Lightning asks for."""

    @override
    def build_model(self) -> None:
        self.layer = nn.Linear(2, 1)

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss: Tensor = self.layer(batch).sum()
        return loss

    @override
    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.layer(batch)

    @override
    def test_step(self, batch: Tensor, batch_idx: int) -> None:
        self.layer(batch)

    @override
    def configure_optimizers(self) -> SGD:
        return SGD(self.parameters(), lr=1e-6)


class Talking(Plain):
    """Notes every moment that is documented, and the steps between them."""

    def __init__(self) -> None:
        self.said: list[str]
        super().__init__()

    @override
    def define_data_attr(self) -> None:
        self.said = ["data"]

    @override
    def define_model_attr(self) -> None:
        self.said.append("model")

    @override
    def define_train_attr(self) -> None:
        self.said.append("train")

    @override
    def define_test_attr(self) -> None:
        self.said.append("test")

    @override
    def define_log_attr(self) -> None:
        self.said.append("log")

    @override
    def define_compute_attr(self) -> None:
        self.said.append("compute")

    @override
    def define_misc_attr(self) -> None:
        self.said.append("misc")

    @override
    def build_model(self) -> None:
        self.said.append("build")
        super().build_model()

    @override
    def start_logger(self) -> None:
        self.said.append("logger")

    @override
    def on_start_training_batch(self, item: tuple[int, Any]) -> None:
        self.said.append(f"train {item[0]} begins with {item[1].tolist()}")

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.said.append(f"train {batch_idx}")
        return super().training_step(batch, batch_idx)

    @override
    def on_end_training_batch(self) -> None:
        self.said.append("train ends")

    @override
    def on_evaluate_epoch_start(self) -> None:
        self.said.append("val epoch begins")

    @override
    def on_evaluate_batch_start(self, item: tuple[int, Any]) -> None:
        self.said.append(f"val {item[0]} begins with {item[1].tolist()}")

    @override
    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.said.append("sanity check" if self.trainer.sanity_checking else f"val {batch_idx}")

    @override
    def on_evaluate_batch_end(self) -> None:
        self.said.append("val ends")

    @override
    def on_evaluate_epoch_end(self) -> None:
        self.said.append("val epoch ends")

    @override
    def on_epoch_end(self) -> None:
        self.said.append("epoch ends")

    @override
    def on_start_test_batch(self) -> None:
        self.said.append("test begins")

    @override
    def test_step(self, batch: Tensor, batch_idx: int) -> None:
        self.said.append(f"test {batch_idx}")

    @override
    def on_end_test_batch(self) -> None:
        self.said.append("test ends")


CONSTRUCTION = ["data", "model", "train", "test", "log", "compute", "misc"]
EPOCH = [
    "train 0 begins with [[0.0, 1.0]]",
    "train 0",
    "train ends",
    "train 1 begins with [[2.0, 3.0]]",
    "train 1",
    "train ends",
    "val epoch begins",
    "val 0 begins with [[0.0, 1.0]]",
    "val 0",
    "val ends",
    "val epoch ends",
    "epoch ends",
]
TEST = ["test begins", "test 0", "test ends"]


def batches(count: int) -> DataLoader[Tensor]:
    rows: Any = torch.arange(2.0 * count).reshape(count, 2)
    return DataLoader(rows, batch_size=1)


def attached(trainer: Trainer) -> list[str]:
    return [type(callback).__name__ for callback in trainer.callbacks]  # type: ignore[attr-defined] # set outside its class


def test_attributes_are_defined_in_order_at_construction() -> None:
    assert Talking().said == CONSTRUCTION


def test_every_moment_comes_in_its_order(make_trainer: MakeTrainer) -> None:
    module, trainer = Talking(), make_trainer(max_epochs=2, num_sanity_val_steps=1)
    trainer.fit(module, batches(2), batches(1))
    trainer.test(module, batches(1), verbose=False)
    built = [*CONSTRUCTION, "build", "sanity check", "logger"]
    assert module.said == [*built, *EPOCH, *EPOCH, *TEST]


def test_the_sanity_check_calls_no_hook(make_trainer: MakeTrainer) -> None:
    module = Talking()
    trainer = make_trainer(max_epochs=1, num_sanity_val_steps=2, limit_train_batches=0)
    trainer.fit(module, batches(2), batches(2))
    assert module.said == [*CONSTRUCTION, "build", *2 * ["sanity check"]]


def test_no_hook_is_doubled_by_using_a_trainer_again(make_trainer: MakeTrainer) -> None:
    module, trainer = Talking(), make_trainer(max_epochs=1, num_sanity_val_steps=0)
    trainer.fit(module, batches(2), batches(1))
    for _ in range(2):
        trainer.test(module, batches(1), verbose=False)
    trainer.validate(module, batches(1), verbose=False)
    built = [*CONSTRUCTION, "build", "logger"]
    assert module.said == [*built, *EPOCH, *TEST, *TEST, *EPOCH[6:11]]
    assert attached(trainer).count("HookCaller") == 1


def test_a_module_that_overrides_nothing_attaches_nothing(make_trainer: MakeTrainer) -> None:
    trainer, untouched = make_trainer(max_epochs=1), make_trainer(max_epochs=1)
    trainer.fit(Plain(), batches(1), batches(1))
    assert attached(trainer) == attached(untouched)


@pytest.mark.parametrize("name", ["on_epoch_end", "start_logger", "on_end_test_batch"])
def test_one_hook_alone_is_called(make_trainer: MakeTrainer, name: str) -> None:
    called: list[str] = []
    module = type("One", (Plain,), {name: lambda self: called.append(name)})()
    trainer = make_trainer(max_epochs=1)
    trainer.fit(module, batches(1), batches(1))
    trainer.test(module, batches(1), verbose=False)
    assert called == [name]


def test_a_trainer_may_go_on_with_a_module_of_another_kind(make_trainer: MakeTrainer) -> None:
    class Foreign(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 1)

        training_step = Plain.training_step
        validation_step = Plain.validation_step
        test_step = Plain.test_step
        configure_optimizers = Plain.configure_optimizers

    module, trainer = Talking(), make_trainer(max_epochs=1, num_sanity_val_steps=0)
    trainer.fit(module, batches(2), batches(1))
    trainer.fit_loop.max_epochs = 2
    trainer.fit(Foreign(), batches(2), batches(1))
    trainer.test(Foreign(), batches(1), verbose=False)
    assert trainer.current_epoch == 2
    assert module.said[-1] == "epoch ends"
    assert module.said.count("epoch ends") == 1


def test_the_model_is_built_once(make_trainer: MakeTrainer) -> None:
    module = Talking()
    for _ in range(2):
        make_trainer(max_epochs=1).fit(module, batches(1), batches(1))
    assert module.said.count("build") == 1


def test_the_model_is_built_when_the_trainer_is_known(make_trainer: MakeTrainer) -> None:
    class Asking(Plain):
        @override
        def build_model(self) -> None:
            super().build_model()
            self.epochs = self.trainer.max_epochs

    module = Asking()
    make_trainer(max_epochs=3).fit(module, batches(1), batches(1))
    assert module.epochs == 3


def test_a_hook_of_lightning_keeps_its_meaning(make_trainer: MakeTrainer) -> None:
    order: list[str] = []

    class Both(Plain):
        @override
        def on_train_epoch_end(self) -> None:
            order.append("lightning")

        @override
        def on_epoch_end(self) -> None:
            order.append("leyden")

    make_trainer(max_epochs=2).fit(Both(), batches(1), batches(1))
    assert order == ["lightning", "leyden"] * 2


def test_hooks_outside_a_trainer_do_nothing() -> None:
    module = LifecycleModule()
    module.start_logger()
    module.on_start_training_batch((0, None))
    module.on_end_training_batch()
    module.on_evaluate_epoch_start()
    module.on_evaluate_batch_start((0, None))
    module.on_evaluate_batch_end()
    module.on_evaluate_epoch_end()
    module.on_epoch_end()
    module.on_start_test_batch()
    module.on_end_test_batch()
    module.build_model()
