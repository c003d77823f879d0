"""From a configuration to objects."""

from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from leyden.config import build, build_data, build_group, save_config
from leyden.data import AutoDataModule
from leyden.errors import ConfigError, MissingPathError
from leyden.shards import write_shards

DATA = {"_target_": "leyden.data.AutoDataModule", "path": None}


def test_data_without_a_path_are_the_digits_packed_on_first_use(workplace: Path) -> None:
    data = build_data(OmegaConf.create({"data": DATA}))
    assert isinstance(data, AutoDataModule)
    assert data.sample_shape == (1, 8, 8)
    rows = sum(catalog.num_samples for catalog in {**data.catalogs}.values())
    assert rows == 1797 + data.catalogs[list(data.catalogs)[-1]].num_samples  # predict is test
    assert (workplace / "data" / "digits" / "train" / "digits__1.npy").is_file()


def test_the_default_data_can_be_series(workplace: Path) -> None:
    section = DATA | {"default": "timeseries", "windows": {"size": 24}, "seed": "${seed}"}
    config = OmegaConf.create({"data": section, "seed": 3})
    OmegaConf.set_struct(config, value=True)
    data = build_data(config)
    assert (data.sample_shape, data.num_classes, data.seed) == ((24, 2), 4, 3)
    assert [path.name for path in (workplace / "data").iterdir()] == ["timeseries"]
    assert config.data.default == "timeseries"  # the configuration stays as it is


def test_default_data_that_there_is_not_are_refused(workplace: Path) -> None:
    problem = r"`data.default` to be the name of default data, but got 'digit'[.] Did you mean 'dig"
    with pytest.raises(ConfigError, match=problem):
        build_data(OmegaConf.create({"data": DATA | {"default": "digit"}}))


def test_with_a_path_nothing_is_packed(workplace: Path) -> None:
    write_shards(workplace / "mine", {1: np.zeros((4, 2), np.float32)})
    section = DATA | {"path": "mine", "default": "timeseries"}
    assert build_data(OmegaConf.create({"data": section})).sample_shape == (2,)
    assert [path.name for path in workplace.iterdir()] == ["mine"]


def test_a_path_that_does_not_exist_never_packs_the_digits(workplace: Path) -> None:
    data = build_data(OmegaConf.create({"data": DATA | {"path": "digits"}}))
    with pytest.raises(MissingPathError, match=r"Expected `path` to exist, but got 'digits'"):
        data.setup("fit")
    assert list(workplace.iterdir()) == []


def test_an_empty_path_is_refused(workplace: Path) -> None:
    with pytest.raises(ConfigError, match=r"Expected `data.path` to be a folder, but got an empty"):
        build_data(OmegaConf.create({"data": DATA | {"path": ""}}))
    assert list(workplace.iterdir()) == []


def test_other_data_modules_are_made_as_they_are() -> None:
    target = "lightning.pytorch.demos.boring_classes.BoringDataModule"
    data = build_data(OmegaConf.create({"data": {"_target_": target}}))
    assert type(data).__name__ == "BoringDataModule"


def test_a_section_without_a_target_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"Expected `model` to have a `_target_`"):
        build(OmegaConf.create({"model": {"type": "cnn"}}), "model")


def test_a_section_that_is_missing_is_refused_with_the_nearest() -> None:
    problem = r"Expected `model` to be a section .* Did you mean 'modle'\? Known: modle\."
    with pytest.raises(ConfigError, match=problem):
        build(OmegaConf.create({"modle": {}}), "model")


def test_members_of_a_group_that_are_null_are_left_out() -> None:
    group = {"one": {"_target_": "fractions.Fraction", "numerator": 1}, "two": None}
    assert list(build_group(OmegaConf.create({"callbacks": group}), "callbacks")) == ["one"]


def test_a_configuration_is_saved_resolved(tmp_path: Path) -> None:
    config = OmegaConf.create({"seed": 3, "data": {"seed": "${seed}"}})
    path = tmp_path / "config" / "now.yaml"
    assert save_config(config, path) == path
    assert OmegaConf.load(path) == {"seed": 3, "data": {"seed": 3}}
    assert save_config(config, path) == path.with_stem("now-2")
