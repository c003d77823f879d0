"""What the objects of a run hold is written down as it begins."""

import json
from collections.abc import Callable
from pathlib import Path

from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel, DemoModel

from leyden.callbacks import AttributeLog

Quick = Callable[..., Trainer]


def test_module_and_callbacks_are_in_the_file(quick: Quick, tmp_path: Path) -> None:
    path = tmp_path / "here" / "attributes.json"
    trainer = quick(AttributeLog(path, exclude=["train*"]))
    module = BoringModel()
    module.note = [1, 2]  # type: ignore[assignment] # whatever a user puts there
    trainer.fit(module)
    facts = json.loads(path.read_text())
    assert facts["module"]["note"] == [1, 2]
    assert "training" not in facts["module"]
    assert facts["callback AttributeLog"] == {}  # nothing but what is its own
    assert "data" not in facts


def test_file_lies_in_the_folder_of_the_run(quick: Quick) -> None:
    trainer = quick(AttributeLog())
    module = DemoModel(learning_rate=0.25)
    trainer.fit(module, BoringModel().train_dataloader())
    facts = json.loads(Path(trainer.default_root_dir, "attributes.json").read_text())
    assert facts["module"]["learning_rate"] == 0.25
