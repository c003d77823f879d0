"""What is answered where an incident cannot be made again; that it can is shown by runs."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader
from typing_extensions import override

from leyden import FlightRecorder, replay
from leyden.errors import ConfigError, DataError, MissingPathError, ResumeError


class Module(LightningModule):
    """Breaks at its third step."""

    def __init__(self, width: int = 1, *, is_twofold: bool = False) -> None:
        super().__init__()
        self.net = nn.Linear(4, width)
        self.automatic_optimization = not is_twofold

    def loss(self, batch: Any) -> Any:
        factor = float("nan") if self.trainer.global_step > 2 else 1.0
        return self.net(batch).square().mean() * factor

    @override
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        if self.automatic_optimization:
            return self.loss(batch)
        optimizer: Any = self.optimizers()
        for _ in range(2):
            optimizer.zero_grad()
            self.manual_backward(self.loss(batch))
            optimizer.step()
        return None

    @override
    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(
    folder: Path,
    module: LightningModule,
    collate: Any = None,
    *,
    precision: Any = "32-true",
    match: str = "the loss is nan",
) -> Path:
    torch.manual_seed(0)
    trainer = Trainer(
        accelerator="cpu",
        precision=precision,
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=[FlightRecorder(on_incident="stop")],
    )
    rows: Any = list(torch.randn(80, 4))
    with pytest.warns(UserWarning, match=match):
        trainer.fit(module, DataLoader(rows, 4, collate_fn=collate))
    (path,) = (folder / "incidents").iterdir()
    return path


@pytest.fixture
def incident(tmp_path: Path) -> Path:
    return fit(tmp_path, Module())


def test_incident_is_found_in_the_folder_of_the_project(incident: Path) -> None:
    found = replay(incident.parent.parent, int(incident.name), module=Module())
    assert found.is_equal
    with pytest.raises(MissingPathError, match=r"has no incident[.]json"):
        replay(incident.parent.parent, 1, module=Module())


def test_incident_of_any_project_is_made_again(incident: Path) -> None:
    found = replay(incident, module=Module())
    assert (found.step_number, found.epoch, found.batch_index) == (4, 0, 3)
    assert (found.is_equal, found.origin, found.start) == (True, None, "incident 4")
    assert (found.module.current_epoch, found.module.global_step) == (0, 3)
    weight = next(found.module.parameters())
    before = weight.detach().clone()
    with torch.no_grad():
        weight.zero_()
    assert found.step().isnan()
    assert torch.equal(weight, before)
    assert weight.grad is not None


@pytest.mark.parametrize("precision", ["64-true", "bf16-mixed", "bf16-true"])
def test_precision_is_that_of_the_run(tmp_path: Path, precision: str) -> None:
    class Large(Module):
        @override
        def loss(self, batch: Any) -> Any:
            self.factor = 1e6 if self.trainer.global_step == 12 else 1.0
            return self.net(batch).square().mean() * self.factor

    incident = fit(tmp_path, Large(), precision=precision, match="the loss is .* its median was")
    found = replay(incident, module=Large())
    assert (found.step_number, found.is_equal) == (13, True)
    assert found.step().item() == found.loss == found.recorded


def test_module_that_does_not_fit_is_refused(incident: Path) -> None:
    with pytest.raises(ResumeError, match=r"Expected `module` to fit the weights in .*net\.weight"):
        replay(incident, module=Module(width=2))


def test_missing_arguments_are_asked_for(incident: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Expected `module` for the incident in"):
        replay(incident)
    with pytest.raises(ConfigError, match=r"Expected `rank` to be below 1, but got 1\."):
        replay(incident, module=Module(), rank=1)
    with pytest.raises(ConfigError, match="Expected `step` to be the number of a step"):
        replay(tmp_path)
    with pytest.raises(MissingPathError, match=re.escape("Expected the folder of an incident")):
        replay(tmp_path, module=Module())


def test_step_whose_weights_had_changed_is_not_made_again(tmp_path: Path) -> None:
    incident = fit(tmp_path, Module(is_twofold=True))
    facts = json.loads((incident / "incident.json").read_text())
    assert (facts["is_reproduced"], facts["is_before_step"]) == (None, False)
    assert facts["problem"] == "An optimizer has changed the weights within this batch."
    with pytest.raises(ResumeError, match="an optimizer had changed them before the loss was"):
        replay(incident, module=Module(is_twofold=True))


class Odd:
    """A batch that is no tensor."""

    def __init__(self, rows: Any) -> None:
        self.rows = torch.stack(rows)


def test_batch_that_cannot_be_kept_is_said(tmp_path: Path) -> None:
    class Takes(Module):
        @override
        def loss(self, batch: Any) -> Any:
            return super().loss(batch.rows)

    incident = fit(tmp_path, Takes(), Odd)
    assert json.loads((incident / "incident.json").read_text())["is_reproduced"]
    with pytest.raises(DataError, match=r"but a part of it was a .*\.Odd, which is not kept"):
        replay(incident, module=Takes())
