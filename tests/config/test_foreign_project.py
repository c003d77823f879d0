"""leyden's configuration in a Hydra application of somebody else's, in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra.core.plugins import Plugins

APP = """
import json
import sys

import hydra
from omegaconf import OmegaConf


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config):
    heavy = sorted({"torch", "leyden", "lightning"} & sys.modules.keys())
    print(json.dumps({"config": OmegaConf.to_container(config, resolve=True), "heavy": heavy}))


main()
"""

TRAIN = """
import hydra
from hydra.utils import instantiate
from lightning.pytorch.demos.boring_classes import BoringModel


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config):
    callbacks = [instantiate(one) for one in config.callbacks.values()]
    instantiate(config.trainer, callbacks=callbacks, logger=False).fit(BoringModel())


main()
"""


def write(app: str, *defaults: str | dict[str, str], **own: Any) -> None:
    Path("app.py").write_text(app)
    Path("conf").mkdir()
    config = {"defaults": [*defaults, "_self_"], **own}
    Path("conf/config.yaml").write_text(json.dumps(config))


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "app.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})


def shown(*arguments: str) -> dict[str, Any]:
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["heavy"] == []  # an application that uses none of it does not wait for it
    config: dict[str, Any] = found["config"]
    return config


def test_a_group_and_a_file_are_found_and_have_their_places(workplace: Path) -> None:
    write(APP, "leyden/callbacks/resume", {"leyden/optimizer": "sgd"}, {"leyden/model": "mlp"})
    config = shown("optimizer.lr=0.5")
    resume = config["callbacks"]["resume"]
    assert resume["_target_"] == "leyden.callbacks.ExactResume"
    (folder,) = Path("outputs").glob("*/*")
    assert Path(resume["dirpath"]) == folder.absolute() / "checkpoints"
    assert config["model"]["optimizer"] == config["optimizer"]
    assert (config["optimizer"]["lr"], config["optimizer"]["momentum"]) == (0.5, 0.9)
    assert config["model"]["scheduler"] is None  # there is none to choose


def test_a_run_dir_and_a_seed_of_the_application_are_used(workplace: Path) -> None:
    write(APP, "leyden/callbacks/default", {"leyden/data": "table"}, run_dir="/mine", seed=5)
    config = shown()
    assert config["callbacks"]["history"]["path"] == "/mine/history.png"
    assert len(config["callbacks"]) == 6
    assert (config["data"]["seed"], config["data"]["batch_size"]) == (5, 32)


def test_a_group_goes_where_it_is_told_with_all_that_it_builds_on(workplace: Path) -> None:
    write(APP, {"leyden/trainer@fit.trainer": "ddp_cpu"}, {"leyden/callbacks@fit.with": "monitors"})
    config = shown("leyden/trainer@fit.trainer=cpu")
    assert set(config) == {"fit"}
    assert (config["fit"]["trainer"]["devices"], len(config["fit"]["with"])) == (1, 11)


def test_an_option_that_there_is_not_is_named_with_those_that_there_are(workplace: Path) -> None:
    write(APP, {"leyden/model": "cnnn"})
    done = run()
    assert done.returncode == 1
    for name in ("autoencoder", "cnn", "lstm", "mlp", "regressor"):
        assert f"\t{name}\n" in done.stderr


def test_the_plug_in_is_the_installed_one() -> None:
    names = {kind.__name__ for kind in Plugins.instance().discover()}
    assert {"LeydenSearchPath", "LeydenConfigSource"} <= names


@pytest.mark.slow
def test_a_training_of_somebody_else_writes_checkpoints_to_resume_from(workplace: Path) -> None:
    write(TRAIN, "leyden/callbacks/resume", {"leyden/trainer": "cpu"})
    quiet = ["trainer.max_epochs=1", "trainer.enable_progress_bar=false"]
    done = run(*quiet, "trainer.limit_train_batches=4")
    assert done.returncode == 0, done.stderr
    assert list(Path("outputs").glob("*/*/checkpoints/*.ckpt"))
