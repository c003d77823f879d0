"""Names that a module's methods can and cannot have."""

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import SGD
from torch.utils.data import DataLoader
from typing_extensions import override

from leyden.errors import ConfigError
from leyden.modules import ClassifierModule, LifecycleModule

MakeTrainer: TypeAlias = Callable[..., Trainer]


class Net(LifecycleModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.calls: list[str] = []

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss: Tensor = self.layer(batch).sum()
        return loss

    @override
    def configure_optimizers(self) -> SGD:
        return SGD(self.parameters(), lr=0.5)


def ignore(self: Any, *_: Any) -> None:
    pass


def note(name: str) -> Callable[..., None]:
    return lambda self, *_: self.calls.append(name)


def with_method(name: str, method: Callable[..., Any] = ignore, base: type = Net) -> Any:
    return type("Mine", (base,), {name: method})()


def batches(count: int = 1) -> DataLoader[Tensor]:
    rows: Any = torch.ones(count, 2)
    return DataLoader(rows, batch_size=1)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("on_start_train_batch", "'on_start_training_batch'"),
        ("on_end_train_batch", "'on_end_training_batch'"),
        ("on_training_batches_end", "'on_train_batches_end'"),
        ("on_evaluation_epoch_end", "'on_evaluate_epoch_end'"),
        ("on_eval_batch_start", "'on_evaluate_batch_start'"),
        ("on_epochs_end", "'on_epoch_end'"),
        ("on_test_batch_begin", "'on_test_batch_end'"),
        ("define_models_attr", "'define_model_attr'"),
        ("on_trian_start", "'on_train_start'"),
    ],
)
def test_a_misspelt_hook_is_answered_with_the_nearest_name(
    make_trainer: MakeTrainer, name: str, meant: str
) -> None:
    problem = f"Expected `Mine` to override hooks that exist, but got '{name}'. Did you mean "
    with pytest.raises(ConfigError, match=f"{problem}{meant}"):
        make_trainer(max_epochs=1).fit(with_method(name), batches())


def test_names_that_are_about_as_near_are_all_given(make_trainer: MakeTrainer) -> None:
    both = "Did you mean 'on_test_epoch_start' or 'on_train_epoch_start'"
    with pytest.raises(ConfigError, match=both):
        make_trainer(max_epochs=1).fit(with_method("on_epoch_start"), batches())


def test_a_misspelt_hook_is_answered_before_anything_runs(make_trainer: MakeTrainer) -> None:
    class Data(LifecycleModule):
        @override
        def prepare_data(self) -> None:
            raise AssertionError

        @override
        def setup(self, stage: str) -> None:
            raise AssertionError

    module = with_method("on_start_train_batch", base=Data)
    module.training_step = module.configure_optimizers = ignore
    with pytest.raises(ConfigError, match="If it is no hook, begin its name with `_`"):
        make_trainer(max_epochs=1).fit(module, batches())


def test_a_misspelt_hook_is_found_in_a_mixin(make_trainer: MakeTrainer) -> None:
    class Mixin:
        def on_start_train_batch(self, item: Any) -> None:
            pass

    with pytest.raises(ConfigError, match="Expected `Mixed` to override hooks that exist"):
        make_trainer(max_epochs=1).fit(type("Mixed", (Mixin, Net), {})(), batches())


@pytest.mark.parametrize(
    "name",
    [
        *("on_click", "on_new_best", "on_plateau", "on_message", "on_exception", "on_reset"),
        *("define_network", "define_loss", "build_models", "evaluate_batches", "load_models"),
        *("start_loggers", "training_steps", "get_trainloaders", "_on_start_train_batch"),
        *("epoch_end", "test", "test_batch", "train_batches", "evaluate", "encode", "loss"),
    ],
)
def test_methods_of_ones_own_are_left_alone(make_trainer: MakeTrainer, name: str) -> None:
    trainer = make_trainer(max_epochs=1)
    trainer.fit(with_method(name), batches())
    assert trainer.global_step == 1


def test_what_is_no_method_is_left_alone(make_trainer: MakeTrainer) -> None:
    trainer = make_trainer(max_epochs=1)
    trainer.fit(type("Mine", (Net,), {"on_start_train_batch": 3})(), batches())
    assert trainer.global_step == 1


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("train_loop", "Override `on_train_start` or `on_train_end` instead."),
        (
            "train_epoch",
            "Override `on_train_epoch_start`, `on_train_batches_end` or `on_epoch_end`",
        ),
        ("train_batch", "Override `training_step`, `on_start_training_batch` or `on_end_training"),
        (
            "evaluate_epoch",
            "Override `evaluate_batch`, `on_evaluate_epoch_start` or `on_ev",
        ),
        ("test_loop", "Override `test_step`, `on_start_test_batch` or `on_end_test_batch` instead"),
    ],
)
def test_a_loop_of_ones_own_is_refused(make_trainer: MakeTrainer, name: str, instead: str) -> None:
    problem = f"Expected `Mine` to leave the loop to Lightning, but got a method `{name}`"
    with pytest.raises(ConfigError, match=f"{problem}. {instead}"):
        make_trainer(max_epochs=1).fit(with_method(name), batches())


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("train", "self, mode=True"),
        ("training_step", "self, batch, batch_idx"),
        ("test_step", "self, batch, batch_idx"),
        ("optimizer_zero_grad", "self, epoch, batch_idx, optimizer"),
        ("optimizer_step", "self, epoch, batch_idx, optimizer, optimizer_closure=None"),
    ],
)
def test_a_method_of_lightning_has_to_take_its_arguments(
    make_trainer: MakeTrainer, name: str, signature: str
) -> None:
    problem = f"Expected `{name}` of `Mine` to take Lightning's arguments, but got none"
    with pytest.raises(ConfigError, match=rf"{problem}. Write `def {name}\({signature}\)`."):
        make_trainer(max_epochs=1).fit(with_method(name, lambda self: None), batches())


def test_callbacks_of_ones_own_stand_beside_those_of_the_base(make_trainer: MakeTrainer) -> None:
    class Mine(Net):
        @override
        def configure_callbacks(self) -> list[Callback]:
            return [*super().configure_callbacks(), Callback()]

        @override
        def on_epoch_end(self) -> None:
            self.calls.append("epoch ends")

    module = Mine()
    make_trainer(max_epochs=1).fit(module, batches())
    assert module.calls == ["epoch ends"]


def test_callbacks_of_ones_own_in_place_of_those_of_the_base_are_refused(
    make_trainer: MakeTrainer,
) -> None:
    class Mine(Net):
        @override
        def configure_callbacks(self) -> list[Callback]:
            return []

    make_trainer(max_epochs=1).fit(Mine(), batches())  # has no hooks to be called
    problem = "Expected `configure_callbacks` of `Mine` to keep the callback that calls its hooks"
    with pytest.raises(ConfigError, match=problem):
        make_trainer(max_epochs=1).fit(with_method("on_epoch_end", base=Mine), batches())


def test_loaders_and_evaluation_may_have_their_documented_names(make_trainer: MakeTrainer) -> None:
    class Mine(Net):
        @override
        def get_trainloader(self) -> Any:
            return batches(2)

        @override
        def get_testloader(self) -> Any:
            return batches(1)

        @override
        def val_dataloader(self) -> Any:
            return batches(2)

        @override
        def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
            self.calls.append(f"train {batch_idx}")
            return super().training_step(batch, batch_idx)

        @override
        def evaluate_batch(self, item: tuple[int, Any]) -> Any:
            self.calls.append(f"evaluate {item[0]} {item[1].tolist()}")
            self.log("loss", self.layer(item[1]).sum())

        @override
        def test_step(self, batch: Tensor) -> None:
            self.calls.append("test")

    module, trainer = Mine(), make_trainer(max_epochs=1)
    trainer.fit(module)
    logged = set(trainer.callback_metrics)
    trainer.test(module, verbose=False)
    evaluated = ["evaluate 0 [[1.0, 1.0]]", "evaluate 1 [[1.0, 1.0]]"]
    assert module.calls == ["train 0", "train 1", *evaluated, "test"]
    assert "loss" in logged


@pytest.mark.parametrize("name", ["get_trainloader", "get_testloader"])
def test_a_loader_has_to_be_returned(make_trainer: MakeTrainer, name: str) -> None:
    module = with_method(name)
    module.test_step = ignore
    trainer = make_trainer(max_epochs=1)
    run = trainer.fit if name == "get_trainloader" else trainer.test
    problem = f"Expected `{name}` of `Mine` to return a loader, but got None"
    with pytest.raises(ConfigError, match=problem):
        run(module)


def test_the_name_that_is_overridden_last_counts() -> None:
    class Mine(Net):
        @override
        def evaluate_batch(self, item: tuple[int, Any]) -> Any:
            return "documented"

    class Theirs(Mine):
        @override
        def validation_step(self, batch: Any, batch_idx: int) -> Any:
            return "Lightning's"

    class Ours(Theirs):
        @override
        def evaluate_batch(self, item: tuple[int, Any]) -> Any:
            return "ours"

    class Heir(Ours):
        pass

    modules: list[Any] = [Mine(), Theirs(), Ours(), Heir()]
    steps = [module.validation_step(None, 0) for module in modules]
    assert steps == ["documented", "Lightning's", "ours", "ours"]


def test_a_ready_module_can_be_evaluated_otherwise() -> None:
    class Mine(ClassifierModule):
        @override
        def evaluate_batch(self, item: tuple[int, Any]) -> Any:
            return "mine"

    module: Any = Mine("mlp", input_shape=(2,), num_classes=2)
    assert module.validation_step(torch.ones(1, 2), 0) == "mine"


def test_lightnings_step_sees_the_gradients_of_ones_own_backward(
    make_trainer: MakeTrainer,
) -> None:
    class Doubled(Net):
        @override
        def loss_backward(self, loss: Tensor) -> None:
            self.calls.append("backward")
            super().loss_backward(2 * loss)

    module = Doubled()
    bias = module.layer.bias.item()
    make_trainer(max_epochs=1).fit(module, batches())
    assert module.layer.bias.item() == pytest.approx(bias - 0.5 * 2)  # rate times gradient
    assert module.calls == ["backward"]


def test_ones_own_backward_serves_manual_optimization_too(make_trainer: MakeTrainer) -> None:
    class Doubled(Net):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False

        @override
        def training_step(self, batch: Tensor, batch_idx: int) -> None:  # type: ignore[override] # it does the step itself
            optimizer: Any = self.optimizers()
            optimizer.zero_grad()
            self.loss_backward(super().training_step(batch, batch_idx))
            optimizer.step()

        @override
        def loss_backward(self, loss: Tensor) -> None:
            self.calls.append("backward")
            super().loss_backward(2 * loss)

    module = Doubled()
    bias = module.layer.bias.item()
    trainer = make_trainer(max_epochs=1)
    trainer.fit(module, batches())
    assert module.layer.bias.item() == pytest.approx(bias - 0.5 * 2)
    assert (module.calls, trainer.global_step) == (["backward"], 1)


def test_a_hook_is_called_after_the_last_of_several_methods(make_trainer: MakeTrainer) -> None:
    class Parent(Net):
        @override
        def on_train_epoch_end(self) -> None:
            self.calls.append("parent's")

        @override
        def on_epoch_end(self) -> None:
            self.calls.append("epoch ends")

    class Child(Parent):
        @override
        def on_train_epoch_end(self) -> None:
            super().on_train_epoch_end()
            self.calls.append("child's")

    class Heir(Child):
        pass

    module = Heir()
    make_trainer(max_epochs=1).fit(module, batches())
    assert module.calls == ["parent's", "child's", "epoch ends"]
    module.on_train_epoch_end()  # by somebody else
    assert module.calls[-1] == "child's"


def test_what_the_trainer_knows_has_its_documented_name(make_trainer: MakeTrainer) -> None:
    class Mine(Net):
        @override
        def on_start_training_batch(self, item: tuple[int, Any]) -> None:
            facts = self._epoch, self._num_epochs, self._has_eval, self._eval_interval
            self.calls.append(str(facts))

        @override
        def validation_step(self, batch: Tensor, batch_idx: int) -> None:
            pass

    module = Mine()
    options = {"max_epochs": 2, "check_val_every_n_epoch": 2}
    make_trainer(**options).fit(module, batches(), batches())
    assert module.calls == ["(1, 2, True, 2)", "(2, 2, True, 2)"]


def test_what_the_trainer_knows_cannot_be_set() -> None:
    with pytest.raises(AttributeError, match="_eval_interval"):
        Net()._eval_interval = 2  # type: ignore[misc] # that is what is tested


@pytest.mark.parametrize(
    "name", ["on_epoch_end", "on_start_training_batch", "on_train_batches_end", "start_logger"]
)
def test_an_error_in_a_hook_says_where_it_was(make_trainer: MakeTrainer, name: str) -> None:
    def fail(self: Any, *_: Any) -> None:
        raise KeyError("broken")

    with pytest.raises(KeyError, match="broken") as caught:
        make_trainer(max_epochs=1).fit(with_method(name, fail), batches())
    where = f"in the hook `{name}` of `Mine`, in stage 'train' of epoch 0 (from zero)"
    assert caught.value.__notes__ == [where]


@pytest.mark.parametrize(
    ("name", "stage"), [("on_evaluate_batch_end", "validate"), ("evaluate_batch", "validate")]
)
def test_an_error_in_evaluation_says_where_it_was(
    make_trainer: MakeTrainer, name: str, stage: str
) -> None:
    def fail(self: Any, *_: Any) -> None:
        raise KeyError("broken")

    Evaluating = type("Evaluating", (Net,), {"evaluate_batch": ignore})  # noqa: N806
    with pytest.raises(KeyError, match="broken") as caught:
        make_trainer(max_epochs=1).fit(with_method(name, fail, Evaluating), batches(), batches())
    assert f"in the hook `{name}` of `Mine`, in stage '{stage}'" in caught.value.__notes__[0]


def test_a_class_without_hooks_has_lightnings_own_methods() -> None:
    names = (
        *("backward", "test_dataloader", "train_dataloader", "validation_step"),
        *("on_train_epoch_end", "on_train_start", "on_validation_model_zero_grad"),
    )
    for name in names:
        assert getattr(Net, name) is getattr(LightningModule, name)
