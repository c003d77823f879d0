import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from leyden.data.augment import Augmentation
from leyden.errors import ConfigError, DataError, MissingExtraError

IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (12, 3, 9, 8)).astype("u1"))


@pytest.fixture
def kornia() -> Any:
    return pytest.importorskip("kornia")  # an extra


def augment(augmentation: Augmentation, images: Tensor, rows: Any = range(12)) -> Tensor:
    return augmentation(images, seed=5, epoch=2, set_numbers=7, rows=rows)


@pytest.mark.parametrize("path", ["kornia.", "kornia.augmentation."])
def test_a_name_of_kornias_is_applied_to_each_sample_it_is_chosen_for(
    kornia: Any, path: str
) -> None:
    recipe = {"type": f"{path}RandomHorizontalFlip", "probability": 0.5}
    result = augment(Augmentation([recipe]), IMAGES)
    flipped = (result == IMAGES.flip(-1)).flatten(1).all(1)
    kept = (result == IMAGES).flatten(1).all(1)
    assert torch.equal(flipped, ~kept)
    assert 1 < flipped.sum() < 11


@pytest.mark.parametrize("images", [IMAGES, IMAGES / 255], ids=["bytes", "floats"])
@pytest.mark.parametrize(
    "recipe",
    [
        {"type": "kornia.ColorJiggle", "brightness": 0.2, "hue": 0.1},
        {"type": "kornia.RandomPerspective", "distortion_scale": 0.4},
        {"type": "kornia.RandomGaussianNoise", "std": 0.1},
    ],
    ids=lambda recipe: recipe["type"],
)
def test_kornias_replay_in_any_batch(kornia: Any, recipe: Any, images: Tensor) -> None:
    augmentation = Augmentation([recipe])
    together = augment(augmentation, images)
    assert together.dtype == images.dtype
    assert not torch.equal(together, images)
    torch.manual_seed(3)
    order = torch.arange(11, -1, -1)
    parts = [augment(augmentation, images[part], part) for part in (order[:5], order[5:])]
    assert torch.equal(torch.cat(parts), together[order])


def test_kornias_bytes_are_its_floats_rounded(kornia: Any) -> None:
    augmentation = Augmentation([kornia.augmentation.RandomInvert(p=1.0)])
    named = Augmentation(["kornia.RandomInvert"])
    floats = augment(augmentation, IMAGES / 255)
    assert torch.equal(augment(named, IMAGES / 255), floats)
    assert torch.equal(augment(named, IMAGES), 255 - IMAGES)


@pytest.mark.parametrize(("value", "dtype"), [(300, "i2"), (-1, "i4"), (65535, "u2")])
def test_numbers_that_are_no_bytes_are_refused_for_kornias(
    kornia: Any, value: int, dtype: str
) -> None:
    images = torch.from_numpy(np.full((12, 3, 9, 8), value, dtype))
    with pytest.raises(DataError, match=f"from 0 to 255 for Kornia's, but got from {value} to"):
        augment(Augmentation(["kornia.RandomInvert"]), images)


def test_a_name_that_kornia_has_not_is_answered_with_the_nearest(kornia: Any) -> None:
    problem = "one of Kornia's, but got 'kornia.RandomInverse'[.] Did you mean 'RandomInvert'"
    with pytest.raises(ConfigError, match=problem):
        Augmentation(["kornia.RandomInverse"])


@pytest.mark.filterwarnings("ignore:RandomCutMixV2 currently uses:DeprecationWarning")
@pytest.mark.parametrize("name", ["RandomMixUpV2", "RandomCutMixV2", "RandomMosaic"])
def test_what_mixes_several_rows_is_refused(kornia: Any, name: str) -> None:
    problem = f"to change each row by itself, but got '{name}', which mixes several. Call it in"
    module = getattr(kornia.augmentation, name)()
    sequence = kornia.augmentation.AugmentationSequential(module)
    for augmentor in (f"kornia.{name}", f"kornia.augmentation.{name}", module, sequence):
        with pytest.raises(ConfigError, match=problem):
            Augmentation([augmentor])


def test_a_puzzle_of_one_row_is_none_of_them(kornia: Any) -> None:
    images = IMAGES[..., :8, :].float() / 255
    changed = augment(Augmentation([{"type": "kornia.RandomJigsaw", "grid": (2, 2)}]), images)
    assert not torch.equal(changed, images)
    assert torch.equal(changed.flatten(2).sort().values, images.flatten(2).sort().values)


def test_without_kornia_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kornia", None)
    problem = r"`kornia` to be installed for kornia.RandomInvert.*pip install leyden\[kornia\]"
    with pytest.raises(MissingExtraError, match=problem):
        Augmentation([{"type": "kornia.RandomInvert"}])


@pytest.mark.gpu
def test_on_a_gpu_its_generator_is_left_as_it_was() -> None:
    torch.cuda.manual_seed_all(1)
    before = torch.cuda.get_rng_state()
    augmentation = Augmentation([torch.nn.Dropout()])
    images = (IMAGES / 255).cuda()
    first = augment(augmentation, images)
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert torch.equal(augment(augmentation, images), first)
    assert not torch.equal(first, images)
