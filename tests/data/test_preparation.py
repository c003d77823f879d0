"""Preprocessors and augmentors on their way through the data module."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Trainer
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from leyden.data import AutoDataModule
from leyden.data.assembly import Batch
from leyden.errors import ResumeError
from leyden.modules import ClassifierModule
from leyden.shards import write_shards

SCALED: dict[str, Any] = {"preprocessors": ["standard_scaler"]}
FLIPPED: dict[str, Any] = {"augmentors": [{"type": "flip", "probability": 0.5}]}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    inputs = {n: (n * random.random((10, 1, 4, 4))).astype(np.float32) for n in (1, 2, 3)}
    labels = {n: random.integers(0, 2, 10) for n in (1, 2, 3)}
    write_shards(tmp_path / "images", inputs, labels=labels)
    return tmp_path / "images"


def samples_of(batch: Batch) -> Tensor:
    """The inputs of a batch, which have no names, beside its labels."""
    assert isinstance(batch, tuple)
    assert isinstance(batch[0], Tensor)
    return batch[0]


def inputs_of(data: AutoDataModule, phase: str, epoch: int = 0) -> dict[tuple[int, int], Tensor]:
    """Every sample of an epoch, by set number and row."""
    samples: dict[tuple[int, int], Tensor] = {}
    for origin in data.plan(phase, epoch):
        batch = data.fetch(phase, epoch, origin.batch_index)
        keys = [(piece.set_number, int(row)) for piece in origin.slices for row in piece.rows]
        samples |= dict(zip(keys, samples_of(batch), strict=True))
    return samples


def test_preprocessors_are_fitted_on_training_rows_and_applied_in_every_phase(
    images: Path,
) -> None:
    data = AutoDataModule(images, val=[3], batch_size=4, **SCALED)
    rows = {n: np.load(images / f"sample__{n}.npy").reshape(10, -1) for n in (1, 2, 3)}
    scaler = StandardScaler().fit(np.concatenate([rows[1], rows[2]]))
    for phase, number in (("train", 1), ("val", 3)):
        expected = scaler.transform(rows[number]).reshape(10, 1, 4, 4)
        samples = inputs_of(data, phase)
        found = np.stack([samples[number, row].numpy() for row in range(10)])
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_shape_that_a_model_sees_is_that_after_preprocessing(images: Path) -> None:
    resize = {"type": "image_resize", "width": 6, "height": 3}
    data = AutoDataModule(images, preprocessors=[resize], batch_size=4)
    assert data.sample_shape == (1, 3, 6)
    assert samples_of(data.fetch("train", 0, 0)).shape == (4, 1, 3, 6)


def test_augmentors_change_training_rows_only_and_differ_by_epoch(images: Path) -> None:
    data = AutoDataModule(images, val=[3], batch_size=4, **FLIPPED)
    plain = AutoDataModule(images, val=[3], batch_size=4)
    changed = [
        {
            key
            for key, sample in inputs_of(data, "train", epoch).items()
            if not torch.equal(sample, inputs_of(plain, "train", epoch)[key])
        }
        for epoch in (0, 1)
    ]
    assert 0 < len(changed[0]) < 20
    assert changed[0] != changed[1]
    validated, stored = inputs_of(data, "val"), inputs_of(plain, "val")
    assert all(torch.equal(validated[key], stored[key]) for key in stored)


def test_augmentation_does_not_depend_on_batches_and_is_had_again(images: Path) -> None:
    one = AutoDataModule(images, batch_size=4, **SCALED, **FLIPPED)
    other = AutoDataModule(images, batch_size=7, shuffle="full", **SCALED, **FLIPPED)
    first, second = inputs_of(one, "train", 5), inputs_of(other, "train", 5)
    assert all(torch.equal(first[key], second[key]) for key in first)
    loader = one.train_dataloader()
    loader.set_epoch(5)
    for index, batch in enumerate(loader):
        assert torch.equal(samples_of(batch), samples_of(one.fetch("train", 5, index)))


def test_what_was_learned_travels_in_the_checkpoint(
    images: Path, tmp_path: Path, write: Callable[..., Path]
) -> None:
    data = AutoDataModule(images, val=[3], batch_size=4, **SCALED)
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(ClassifierModule("mlp"), data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)["AutoDataModule"]
    # Other training sets, and so another mean, until the checkpoint is loaded.
    other = AutoDataModule(images, train=[1], test=[2], batch_size=4, **SCALED)
    before = inputs_of(other, "test")
    other.load_state_dict(state)
    after, expected = inputs_of(other, "test"), inputs_of(data, "train")
    assert not torch.equal(before[2, 0], after[2, 0])
    assert all(torch.equal(after[2, row], expected[2, row]) for row in range(10))


def test_a_checkpoint_without_preprocessors_is_refused(images: Path) -> None:
    data = AutoDataModule(images, **SCALED)
    with pytest.raises(ResumeError, match="with the state of preprocessors, but it has none"):
        data.load_state_dict({"version": 1})


def test_what_is_loaded_is_not_fitted_before_and_tells_the_shape(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    write_shards(tmp_path / "d", {n: random.random((9, 6)) for n in (1, 2)})
    write_shards(tmp_path / "few", {1: random.random((2, 6))})
    source = AutoDataModule(tmp_path / "d", preprocessors=[PCA(4)])
    few = AutoDataModule(tmp_path / "few", preprocessors=[PCA(4)])
    few.setup("test")  # which cannot be fitted on two rows
    few.load_state_dict(source.state_dict())
    assert few.sample_shape == source.sample_shape == (4,)


def test_the_shape_follows_what_is_loaded_later(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).random((20, 6))
    write_shards(tmp_path / "d", {1: rows})
    write_shards(tmp_path / "flat", {1: rows * [9, 0.1, 0.1, 0.1, 0.1, 0.1]})
    source, flat = (
        AutoDataModule(tmp_path / name, preprocessors=[PCA(0.9, svd_solver="full")])
        for name in ("d", "flat")
    )
    assert flat.sample_shape == (1,)
    flat.load_state_dict(source.state_dict())
    assert flat.sample_shape == source.sample_shape != (1,)
    assert isinstance(batch := flat.fetch("train", 0, 0), Tensor)
    assert batch.shape[1:] == flat.sample_shape
