"""What the recorder notices, keeps and leaves alone; that steps are made again is shown by runs."""

import json
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.demos.boring_classes import BoringModel
from torch import nn
from torch.utils.data import DataLoader
from typing_extensions import override

from leyden.callbacks import FlightRecorder, NaNGuard
from leyden.errors import ConfigError, LeydenError, NonFiniteError
from leyden.incidents import read_incident
from leyden.resume import as_plain, load

Quick = Callable[..., Trainer]
SCRIPT = Path(__file__).parent / "flight_recorder_script.py"


class Model(BoringModel):
    """Its loss is what the factors say, one for each step."""

    def __init__(self, factors: dict[int, float] | None = None) -> None:
        super().__init__()
        self.factors = factors or {}
        self.net = nn.Sequential(nn.BatchNorm1d(32), nn.Dropout(0.5), self.layer)

    @override
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        factor = self.factors.get(self.trainer.global_step, 1.0)
        return {"loss": (self.net(batch).square().mean() + 1.0) * factor}

    @override
    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), 1e-3)

    @override
    def train_dataloader(self) -> Any:
        rows = torch.randn(64, 32, generator=torch.Generator().manual_seed(1))
        return DataLoader(list(rows), 2, shuffle=True)  # type: ignore[arg-type] # torch takes it


def model(**factors: float) -> Model:
    seed_everything(1, verbose=False)
    return Model({int(step.removeprefix("at_")): factor for step, factor in factors.items()})


def run(*arguments: str) -> Any:
    command = [sys.executable, str(SCRIPT), *arguments]
    done = subprocess.run(command, check=True, timeout=240, capture_output=True, text=True)
    return json.loads(done.stdout) if "replay" in arguments else None


def test_warning_names_the_row_of_any_batch(quick: Quick, tmp_path: Path) -> None:
    rows = torch.ones(8, 32)
    rows[1, 3] = float("nan")
    recorder = FlightRecorder(tmp_path / "incidents", on_incident="stop")
    with pytest.warns(UserWarning, match=r"Row 1 of the batch is not finite[.] The step breaks"):
        quick(recorder).fit(model(), DataLoader(list(rows), 4))  # type: ignore[arg-type] # torch takes it


def facts_of(folder: Path) -> Any:
    (path,) = (folder / "incidents").iterdir()
    return read_incident(path).facts


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_incidents": 0}, "Expected `max_incidents` to be a whole number from 1, but got 0."),
        ({"jump": 1.0}, "Expected `jump` to be a number above 1, but got 1.0."),
        ({"history": 3}, "Expected `history` to be a whole number from 10, but got 3."),
        ({"on_incident": "cry"}, "Expected `on_incident` to be one of 'warn', 'raise', 'stop'"),
    ],
)
def test_argument_out_of_range_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        FlightRecorder(**options)


INPUT, ROWS = [["batch", ""], ["output", "net.0"]], [[11, 7, 11]]


@pytest.mark.parametrize(
    ("case", "step", "findings", "rows"),
    [
        ("bad_row", 5, INPUT, ROWS),
        pytest.param("division", 9, [["output", "net.4"]], [], marks=pytest.mark.slow),
        pytest.param(
            "gradient", 9, [["weight gradient", "net.0.weight"]], [], marks=pytest.mark.slow
        ),
        pytest.param("jump", 16, [], [], marks=pytest.mark.slow),
        pytest.param("manual", 5, INPUT, ROWS, marks=pytest.mark.slow),
        pytest.param("accumulate", 2, INPUT, ROWS, marks=pytest.mark.slow),
    ],
)
def test_step_that_breaks_is_made_again_in_another_process(
    tmp_path: Path, case: str, step: int, findings: list[Any], rows: list[Any]
) -> None:
    run(str(tmp_path), case, "fit")
    facts = facts_of(tmp_path)
    assert (facts["step"], facts["is_reproduced"]) == (step, True)
    found = run(str(tmp_path), case, "replay")
    assert (found["step"], found["is_equal"]) == (step, True)
    assert found["again"] == [found["loss"]] * 2 == [str(facts["loss"])] * 2
    assert (found["findings"], found["rows"]) == (findings, rows)
    if rows:
        assert (found["origin"], facts["origin"]["set_numbers"]) == ("7-b", [7])


@pytest.mark.slow
def test_exploding_learning_rate_is_found_where_it_overflows(tmp_path: Path) -> None:
    run(str(tmp_path), "exploding", "fit")
    facts = facts_of(tmp_path)
    assert (facts["trouble"], facts["learning_rates"]) == ("loss", [1e6])
    losses = [one["loss"] for one in facts["before"]]
    assert losses == sorted(losses)
    assert losses[-1] > 1e6 * losses[0]
    found = run(str(tmp_path), "exploding", "replay")
    assert found["is_equal"]
    assert ["output", "net.4"] in found["findings"]


@pytest.mark.slow
def test_several_processes_keep_one_incident_with_the_state_of_each(tmp_path: Path) -> None:
    run(str(tmp_path), "ranks", "fit")
    facts = facts_of(tmp_path)
    (row,) = facts["nonfinite_rows"]
    assert (row["set_number"], row["row_in_set"], len(facts["ranks"])) == (7, 11, 2)
    assert [bool(one["nonfinite_rows"]) for one in facts["ranks"]].count(True) == 1
    found = run(str(tmp_path), "ranks", "replay", "0", "1")
    assert [one["is_equal"] for one in found] == [True, True]
    assert [one["loss"] for one in found] == [str(one["loss"]) for one in facts["ranks"]]


def test_nothing_of_a_training_changes(quick: Quick, tmp_path: Path) -> None:
    ends: list[list[Any]] = []
    told: list[str] = []
    for callbacks in ((), (FlightRecorder(jump=10.0),)):
        trainer, module = quick(*callbacks, limit_train_batches=30), model(at_20=100.0)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            trainer.fit(module)
        state = trainer.optimizers[0].state_dict()
        ends.append([module.state_dict(), state, torch.get_rng_state(), vars(trainer.strategy)])
        told += [str(one.message) for one in caught if "its median was" in str(one.message)]
    assert len(told) == 1  # so that something happened
    assert (tmp_path / "incidents" / "21").is_dir()
    assert all(map(torch.equal, ends[0][0].values(), ends[1][0].values()))
    assert repr(ends[0][1]) == repr(ends[1][1])
    assert torch.equal(ends[0][2], ends[1][2])
    assert ends[0][3].keys() == ends[1][3].keys()


def test_weights_that_are_kept_are_those_from_before_the_step(quick: Quick, tmp_path: Path) -> None:
    recorder = FlightRecorder(on_incident="stop")
    trainer, module = quick(recorder, limit_train_batches=8), model(at_3=float("nan"))
    with pytest.warns(UserWarning, match=r"Step 4 \(epoch 0, batch 3\): the loss is nan"):
        trainer.fit(module)
    kept = load(tmp_path / "incidents" / "4" / "state.ckpt")
    for name, parameter in module.named_parameters():  # not updated by the step
        assert torch.equal(kept["state_dict"][name], parameter)
        assert torch.isfinite(parameter).all()
    assert (trainer.global_step, kept["global_step"]) == (4, 3)


def test_incident_ends_the_run_if_it_is_told_to(quick: Quick, tmp_path: Path) -> None:
    recorder = FlightRecorder(tmp_path / "mine", on_incident="raise")
    with pytest.raises(NonFiniteError, match=r"the loss is inf.*See .*mine/3;"):
        quick(recorder, limit_train_batches=8).fit(model(at_2=float("inf")))
    assert read_incident(tmp_path / "mine" / "3").facts["gradient_norm"] in ("nan", "inf")


def test_jump_ends_the_run_too(quick: Quick) -> None:
    with pytest.raises(LeydenError, match=r"the loss is .*, and its median was 1"):
        quick(FlightRecorder(jump=10.0, on_incident="raise"), limit_train_batches=20).fit(
            model(at_12=50.0)
        )


def test_step_that_another_callback_ends_the_run_over_is_kept(quick: Quick, tmp_path: Path) -> None:
    with pytest.raises(NonFiniteError):
        quick(NaNGuard(), FlightRecorder(), limit_train_batches=8).fit(model(at_2=float("nan")))
    assert read_incident(tmp_path / "incidents" / "3").facts["is_reproduced"]


def test_what_follows_an_incident_is_none_and_their_number_is_limited(
    quick: Quick, tmp_path: Path
) -> None:
    broken = {f"at_{step}": float("nan") for step in (2, 3, 6, 8)}
    recorder = FlightRecorder(max_incidents=2)

    class Mended(Model):
        """Goes on as if nothing had been."""

        @override
        def on_before_optimizer_step(self, optimizer: Any) -> None:
            for parameter in self.parameters():
                parameter.grad = None

    module = model(**broken)
    module.__class__ = Mended
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        quick(recorder, limit_train_batches=10).fit(module)
    assert sorted(path.name for path in (tmp_path / "incidents").iterdir()) == ["3", "7"]
    told = [str(one.message) for one in caught if "the loss is nan" in str(one.message)]
    assert [re.match(r"Step (\d+)", line)[1] for line in told] == ["3", "7", "9"]  # type: ignore[index] # it matches
    assert told[2].endswith("It is not kept: there are 2 already.")


def test_state_survives_and_the_same_step_is_not_kept_twice(quick: Quick, tmp_path: Path) -> None:
    first = FlightRecorder(on_incident="stop")
    with pytest.warns(UserWarning, match="See"):
        quick(first, limit_train_batches=8).fit(model(at_5=float("nan")))
    state = json.loads(json.dumps(as_plain(first.state_dict())))
    assert state["num_incidents"] == 1
    assert [row[0] for row in state["ring"]] == [1, 2, 3, 4, 5, 6]
    second = FlightRecorder()
    second.load_state_dict(state)
    assert repr(second.state_dict()) == repr(first.state_dict())
    with pytest.warns(UserWarning, match=r"It is in .*incidents already"):
        quick(FlightRecorder(on_incident="stop"), limit_train_batches=8).fit(
            model(at_5=float("nan"))
        )
    assert len(list((tmp_path / "incidents").iterdir())) == 1


def test_disk_that_refuses_does_not_end_the_training(quick: Quick, tmp_path: Path) -> None:
    (tmp_path / "incidents").write_text("a file is in the way")
    trainer = quick(FlightRecorder(), limit_train_batches=4)
    with pytest.warns(UserWarning, match=r"It could not be kept in .*incidents: .*Not a directory"):
        trainer.fit(model(at_2=float("nan")))
    assert trainer.global_step == 4


def test_development_run_leaves_nothing(quick: Quick, tmp_path: Path) -> None:
    quick(FlightRecorder(), fast_dev_run=True).fit(model(at_0=float("nan")))
    assert not (tmp_path / "incidents").exists()


def test_large_gradients_are_not_taken_for_infinite_ones(quick: Quick, tmp_path: Path) -> None:
    quick(FlightRecorder(jump=None), limit_train_batches=2).fit(model(at_1=1e25))
    assert not (tmp_path / "incidents").exists()
