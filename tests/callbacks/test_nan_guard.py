import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import Tensor, nn
from torch.utils.data import DataLoader
from typing_extensions import override

from leyden import latest_checkpoint
from leyden.callbacks import ExactResume, NaNGuard
from leyden.errors import ConfigError, NonFiniteError
from leyden.introspect import NonFinite

Quick = Callable[..., Trainer]

LOADER: Any = DataLoader(torch.ones(36, 32), batch_size=4)  # type: ignore[arg-type]
SCRIPT = Path(__file__).parent / "monitors_ranks_script.py"


class Breaking(BoringModel):
    """Breaks in one batch."""

    def __init__(self, at: int = 1, how: str = "output") -> None:
        super().__init__()
        self.first = nn.Linear(32, 32)
        self.root = Root(how)
        self.at, self.steps = at, 0

    @override
    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.root(self.first(x)))  # type: ignore[no-any-return]

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        self.steps += 1
        self.root.breaks = batch_idx == self.at
        loss: Tensor = self(batch).square().mean()
        self.log("loss", loss)
        return loss * torch.inf if self.root.breaks and self.root.how == "loss" else loss

    @override
    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.1)


class Root(nn.Module):
    breaks = False

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    @override
    def forward(self, x: Tensor) -> Tensor:
        if not self.breaks:
            return x
        if self.how == "output":
            return x * torch.nan
        if self.how == "gradient":
            return x + (x * 0).abs().sqrt()  # whose slope at zero is infinite
        return x


def weights(module: nn.Module) -> list[Tensor]:
    return [one.detach().clone() for one in module.parameters()]


@pytest.mark.parametrize(
    ("how", "where"),
    [
        ("output", r"\d+ NaN of \d+ in output 'root'"),
        ("gradient", r"\d+ NaN of \d+ in output gradient 'first'"),
        ("loss", "1 Inf of 1 in loss"),
    ],
)
def test_first_bad_layer_is_named_and_weights_stay_clean(
    quick: Quick, how: str, where: str
) -> None:
    guard, module = NaNGuard(), Breaking(how=how)
    with pytest.raises(NonFiniteError, match=f"but got {where} in batch 1 of epoch 0"):
        quick(guard).fit(module)
    assert all(tensor.isfinite().all() for tensor in weights(module))
    assert guard.num_found == 1
    assert module.steps == 2  # the step that was made again is undone


def test_error_is_also_what_a_stranger_would_catch() -> None:
    assert issubclass(NonFiniteError, FloatingPointError)


def test_batch_that_is_bad_is_named(quick: Quick) -> None:
    guard = NaNGuard()
    rows: Any = torch.ones(4, 32)
    rows[2, 3] = torch.inf
    with pytest.raises(NonFiniteError, match=r"1 Inf of 128 in batch in batch 0"):
        quick(guard).fit(BoringModel(), DataLoader(rows, batch_size=4))
    assert guard.found == NonFinite("batch", "", 0, 1, 128)


def test_finite_training_goes_on_undisturbed(quick: Quick) -> None:
    guard = NaNGuard()
    quick(guard).fit(Breaking(at=99))
    assert (guard.found, guard.num_found) == (None, 0)


def test_stop_keeps_the_weights_of_before(quick: Quick) -> None:
    plain, module, guard = Breaking(at=99), Breaking(), NaNGuard("stop")
    module.load_state_dict(plain.state_dict())
    quick(limit_train_batches=1, limit_val_batches=0).fit(plain, LOADER)
    trainer = quick(guard, limit_train_batches=9, limit_val_batches=0, max_epochs=4)
    with pytest.warns(UserWarning, match="in output 'root' in batch 1 of epoch 0"):
        trainer.fit(module, LOADER)
    assert trainer.should_stop
    assert module.steps == 2
    pairs = zip(weights(module), weights(plain), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_warning_comes_once_and_training_goes_on(quick: Quick) -> None:
    guard, module = NaNGuard("warn"), Breaking()
    with pytest.warns(UserWarning, match="in output 'root'") as told:
        quick(guard, limit_train_batches=4).fit(module)
    assert len([one for one in told if "to be finite" in str(one.message)]) == 1
    assert module.steps == 4
    assert guard.num_found == 3  # its weights are not numbers any more
    assert guard.found is not None
    assert (guard.found.where, guard.found.name) == ("output", "root")


def test_accumulated_batch_is_named_at_once(quick: Quick) -> None:
    module = Breaking()
    with pytest.raises(NonFiniteError, match="in output 'root' in batch 1 of epoch 0"):
        quick(NaNGuard(), accumulate_grad_batches=3).fit(module)
    assert module.steps == 2


def test_bf16_steps_are_made_again_in_bf16(quick: Quick) -> None:
    seen = list[torch.dtype]()
    module = Breaking()
    module.layer.register_forward_hook(lambda _layer, _inputs, out: seen.append(out.dtype))
    with pytest.raises(NonFiniteError, match="in output 'root'"):
        quick(NaNGuard(), precision="bf16-mixed", num_sanity_val_steps=0).fit(module)
    assert seen == [torch.bfloat16] * 3


def test_large_gradients_are_not_broken_ones(quick: Quick) -> None:
    class Huge(BoringModel):
        @override
        def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
            return self.layer(batch).sum() * 1e30  # type: ignore[no-any-return]

        @override
        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 1e-35)

    guard = NaNGuard()
    quick(guard).fit(Huge())
    assert guard.num_found == 0


class Manual(Breaking):
    """Steps by hand, and may call ``backward`` by itself."""

    def __init__(self, *, own: bool) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.own = own

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Any:
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()
        loss = super().training_step(batch, batch_idx)
        if self.own:
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            self.manual_backward(loss)
        optimizer.step()


@pytest.mark.parametrize("own", [False, True])
def test_manual_optimization_is_guarded(quick: Quick, own: bool) -> None:
    module = Manual(own=own)
    where = "in weight gradient 'first.bias'" if own else "in loss"
    with pytest.raises(NonFiniteError, match=where):
        quick(NaNGuard()).fit(module)
    assert module.steps == 2
    assert all(tensor.isfinite().all() for tensor in weights(module))


def test_step_need_not_be_made_again(quick: Quick) -> None:
    module = Breaking()
    with pytest.raises(NonFiniteError, match="1 NaN of 1 in loss in batch 1"):
        quick(NaNGuard(locate=False)).fit(module)


def test_step_that_cannot_be_made_again_says_so(quick: Quick) -> None:
    tries = list[int]()  # of nobody, so that they are not undone

    class Once(Breaking):
        @override
        def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
            tries.append(batch_idx)
            if tries == [0, 1, 1]:
                raise KeyError("only once")
            return super().training_step(batch, batch_idx)

    with pytest.raises(KeyError, match="only once") as caught:
        quick(NaNGuard()).fit(Once())
    assert "made a step with a value that is not finite once more" in caught.value.__notes__[0]


def test_gradient_scaler_may_meet_infinite_gradients(quick: Quick) -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**120)
    plugin = MixedPrecision("16-mixed", "cpu", scaler)
    guard = NaNGuard()
    quick(guard, plugins=[plugin], limit_train_batches=3).fit(Breaking(at=99))
    assert guard.num_found == 0
    with pytest.raises(NonFiniteError, match="in output 'root'"):
        quick(guard, plugins=[MixedPrecision("16-mixed", "cpu", scaler)]).fit(Breaking())


def test_unknown_action_is_told() -> None:
    with pytest.raises(ConfigError, match=r"got 'rise'\. Did you mean 'raise'\?"):
        NaNGuard("rise")  # type: ignore[arg-type]


def test_count_is_kept(quick: Quick) -> None:
    guard = NaNGuard("warn")
    with pytest.warns(UserWarning, match="to be finite"):
        quick(guard).fit(Breaking())
    other = NaNGuard()
    other.load_state_dict(json.loads(json.dumps(guard.state_dict())))
    assert other.num_found == guard.num_found == 2


def test_guard_stands_in_an_epoch_that_is_resumed(quick: Quick, tmp_path: Path) -> None:
    class Failing(Breaking):
        fails = True

        @override
        def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
            if batch_idx == 2 and self.fails:
                raise KeyError("out of luck")
            return super().training_step(batch, batch_idx)

    module, resume = Failing(at=2, how="gradient"), ExactResume(tmp_path / "kept")
    with pytest.raises(KeyError, match="out of luck"):
        quick(resume).fit(module, LOADER)
    module.fails = False
    with pytest.raises(NonFiniteError, match="in output gradient 'first' in batch 2 of epoch 0"):
        quick(NaNGuard(), resume).fit(
            module, LOADER, ckpt_path=latest_checkpoint(tmp_path / "kept")
        )


@pytest.mark.slow
def test_ranks_stop_together(tmp_path: Path) -> None:
    subprocess.run([sys.executable, SCRIPT, tmp_path, "1"], check=True, timeout=240)
    said = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert [one["num_found"] for one in said] == [1, 1]
    assert "what another rank computed" in said[0]["error"]
    assert "1 Inf of 1 in loss" in said[1]["error"]


class Wave(BoringModel):
    """Has complex weights."""

    def __init__(self) -> None:
        super().__init__()
        self.wave = nn.Parameter(torch.ones(2, dtype=torch.complex64))

    @override
    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss: Tensor = self.layer(batch).square().mean() + (self.wave - 1).abs().sum().square()
        return loss * (torch.inf if batch_idx == 2 else 1.0)


def test_complex_gradients_are_watched(quick: Quick) -> None:
    with pytest.raises(NonFiniteError, match="batch 2 of epoch 0"):
        quick(NaNGuard(), max_epochs=1).fit(Wave(), LOADER)
