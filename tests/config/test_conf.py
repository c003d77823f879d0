"""Every shipped configuration file composes, is described, and names things that exist."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_object
from omegaconf import OmegaConf

from leyden.config import conf_dir, register_resolvers
from leyden.runs import RunDir

FILES = sorted(conf_dir().rglob("*.yaml"))
OPTIONS = [f"{path.parent.name}={path.stem}" for path in FILES if path.parent != conf_dir()]


PLUGINS = {
    "sweep=joblib": "hydra_joblib_launcher",
    "sweep=optuna": "hydra_optuna_sweeper",
    "sweep=slurm": "hydra_submitit_launcher",
    "sweep=submitit": "hydra_submitit_launcher",
}


def composed(*overrides: str) -> dict[str, Any]:
    """Compose the main configuration as the application does, and resolve it."""
    register_resolvers()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose(
            "train",
            ["hydra.runtime.output_dir=/run", *overrides],
            return_hydra_config=True,
        )
        HydraConfig.instance().set_config(config)
        own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        plain = OmegaConf.to_container(own, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def targets(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield node["_target_"]
        for child in node.values():
            yield from targets(child)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_composes_and_its_targets_exist(option: str) -> None:
    if option in PLUGINS:
        pytest.importorskip(f"hydra_plugins.{PLUGINS[option]}")
    names = list(targets(composed(option)))
    assert "lightning.Trainer" in names
    assert all(callable(get_object(name)) for name in names)


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(conf_dir())) for path in FILES])
def test_every_file_says_what_it_is_and_is_short(path: Path) -> None:
    lines = path.read_text().splitlines()
    described = lines[1] if lines[0].startswith("# @package") else lines[0]
    assert described.startswith("# ")
    assert described.endswith((".", "?", "data=auto"))
    keys = OmegaConf.load(path)
    assert len(keys) <= 25


def test_the_places_in_the_configuration_are_those_of_a_run_folder() -> None:
    config, run = composed(), RunDir(Path("/run"))
    callbacks = config["callbacks"]
    assert Path(callbacks["checkpoint"]["dirpath"]) == run.checkpoints_dir
    assert Path(callbacks["batches"]["path"]) == run.ledger_path
    assert Path(callbacks["history"]["path"]) == run.history_path
    assert Path(config["tracking"]["csv"]["run_dir"]) == run.path


def test_the_seed_reaches_the_data() -> None:
    assert composed("seed=7")["data"]["seed"] == 7


@pytest.mark.parametrize("option", [name for name in OPTIONS if name.startswith("data=")])
def test_what_is_done_to_inputs_can_be_told_by_their_names(option: str) -> None:
    steps = {
        "preprocessors": "{meta: [standard_scaler]}",
        "augmentors": "{image: [flip]}",
    }
    data = composed(option, *(f"data.{key}={value}" for key, value in steps.items()))["data"]
    assert data["preprocessors"] == {"meta": ["standard_scaler"]}
    assert data["augmentors"] == {"image": ["flip"]}
    assert composed(option, "data.preprocessors=[]")["data"]["preprocessors"] == []


def test_the_name_of_a_run_tells_its_choices() -> None:
    assert name_of() == "cnn-BS32-filters32_64-adam-lr2e-3"
    assert name_of("model=mlp", "optimizer=sgd", "optimizer.lr=0.1") == (
        "mlp-BS32-hidden256_128-sgd-lr.1"
    )
    assert name_of("+naming.seed=null", "seed=3").endswith("-adam-lr2e-3-seed3")
    assert name_of("name=mine") == "mine"


def name_of(*overrides: str) -> str:
    """The name by which the folder of a run is called."""
    register_resolvers()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        told = ["hydra.job.num=0", *overrides]
        config = compose("train", told, return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    return str(config.hydra.sweep.subdir).removeprefix("0-")


@pytest.mark.parametrize("name", ["cpu", "gpu", "ddp", "ddp_cpu", "fsdp"])
def test_each_trainer_is_told_how_many_processes_there_are(name: str) -> None:
    trainer = composed(f"trainer={name}")["trainer"]
    devices = {"cpu": 1, "gpu": 1, "ddp_cpu": 2}.get(name, "auto")
    assert (trainer["devices"], trainer["max_epochs"]) == (devices, 12)
    assert trainer["accelerator"] == ("cpu" if "cpu" in name else "gpu")
    strategies = {"ddp": "ddp", "ddp_cpu": "ddp", "fsdp": "fsdp"}
    assert trainer.get("strategy") == strategies.get(name)


def test_an_experiment_wins_over_the_main_file_and_the_command_line_over_it() -> None:
    config = composed("experiment=diabetes_mlp", "optimizer.lr=0.5")
    assert (config["name"], config["data"]["default"]) == ("diabetes_mlp", "diabetes")
    assert config["model"]["_target_"] == "leyden.modules.RegressorModule"
    assert config["model"]["optimizer"]["lr"] == config["optimizer"]["lr"] == 0.5
    assert composed("experiment=digits_cnn", "debug=limit")["trainer"]["max_epochs"] == 3
