import pickle
import random
from collections.abc import Sequence
from functools import partial
from inspect import signature
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from typing_extensions import override

from leyden.data.augment import AUGMENTORS, Augmentation, Augmentor, Draws
from leyden.errors import ConfigError, DataError

FACTORS = {"min_factor": 0.5, "max_factor": 1.5}
EXAMPLES: dict[str, dict[str, Any]] = {
    "distort": {"grid_width": 3, "grid_height": 4, "magnitude": 2},
    "flip": {"top_bottom_left_right": "RANDOM"},
    "gaussian_distortion": {
        "grid_width": 3,
        "grid_height": 4,
        "magnitude": 2,
        "corner": "bell",
        "method": "in",
    },
    "grayscale": {},
    "histogram_equalisation": {},
    "invert": {},
    "random_brightness": FACTORS,
    "random_color": FACTORS,
    "random_contrast": FACTORS,
    "random_erasing": {"rectangle_area": 0.5},
    "rotate": {"rotation": -1},
    "rotate_range": {"max_left_rotation": 10, "max_right_rotation": 10},
    "shear": {"max_shear_left": 10, "max_shear_right": 10},
    "skew": {"skew_type": "RANDOM", "magnitude": 0.5},
    "zoom": FACTORS,
    "zoom_random": {"percentage_area": 0.8, "randomise": True},
}
BYTES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (24, 3, 18, 18)).astype("u1"))
NUMBERS = np.repeat([3, 8, 11], 8)
ROWS = np.tile(np.arange(8), 3)


def augment(
    augmentation: Augmentation, images: Tensor, chosen: Sequence[int] | None = None
) -> Tensor:
    """Augment some of 24 images, as rows of three sets."""
    index = np.arange(24) if chosen is None else np.array(chosen)
    return augmentation(
        images[torch.from_numpy(index)],
        seed=5,
        epoch=2,
        set_numbers=NUMBERS[index],
        rows=ROWS[index],
    )


class Noise(nn.Module):
    """Draws from all the generators that all share."""

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        shift = random.random() + np.random.rand()  # noqa: NPY002 - as a stranger would
        return inputs + torch.randn_like(inputs) + shift


class Brighter(Augmentor):
    @override
    def augment(self, images: Tensor, draws: Draws) -> Tensor:
        return images + torch.from_numpy(draws.uniform(low=1, high=2)).float()[:, None]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", [torch.uint8, torch.float32, torch.float16])
@pytest.mark.parametrize("name", AUGMENTORS)
def test_every_name_keeps_shape_dtype_and_the_batch(
    name: str, kind: torch.dtype, channels: int
) -> None:
    images = BYTES[:, :channels]
    images = images if kind is torch.uint8 else (images / 255).to(kind)
    before = images.clone()
    augmentation = Augmentation([{"type": name, "probability": 0.5, **EXAMPLES[name]}])
    result = augment(augmentation, images)
    assert (result.shape, result.dtype) == (images.shape, kind)
    assert torch.equal(images, before)
    changed = (result != images).flatten(1).any(1)
    if (name, channels) not in {("grayscale", 1), ("random_color", 1)}:
        assert 4 < changed.sum() < 20


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.permutations(range(24)), st.lists(st.integers(1, 23), max_size=3, unique=True))
@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
@pytest.mark.parametrize("name", AUGMENTORS)
def test_a_sample_is_the_same_in_any_batch_and_order(
    name: str, kind: torch.dtype, order: list[int], cuts: list[int]
) -> None:
    images = BYTES if kind is torch.uint8 else BYTES / 255
    augmentation = Augmentation([{"type": name, "probability": 0.7, **EXAMPLES[name]}])
    edges = [0, *sorted(cuts), 24]
    batches = [order[start:stop] for start, stop in pairwise(edges)]
    parts = torch.cat([augment(augmentation, images, batch) for batch in batches])
    assert torch.equal(parts, augment(augmentation, images)[order])


def test_foreign_modules_do_not_depend_on_the_batch_either() -> None:
    augmentation = Augmentation([Noise(), nn.Dropout()], probability=0.6)
    together = augment(augmentation, BYTES / 255)
    torch.manual_seed(9)
    order = [*range(20, 24), *range(20)]
    parts = [augment(augmentation, BYTES / 255, order[i : i + 7]) for i in range(0, 24, 7)]
    assert torch.equal(torch.cat(parts), together[order])


@pytest.mark.parametrize("name", AUGMENTORS)
def test_masks_of_true_and_false_can_be_augmented(name: str) -> None:
    masks = BYTES > 127
    result = augment(Augmentation([{"type": name, **EXAMPLES[name]}]), masks)
    assert (result.shape, result.dtype) == (masks.shape, torch.bool)


def test_seed_epoch_set_and_row_decide() -> None:
    augmentation = Augmentation([Brighter()])
    key: dict[str, Any] = {"seed": 1, "epoch": 1, "set_numbers": 1, "rows": [1]}
    first = augmentation(torch.zeros(1, 4), **key)
    assert torch.equal(augmentation(torch.zeros(1, 4), **key), first)
    for changed in ({"seed": 2}, {"epoch": 2}, {"set_numbers": 2}, {"rows": [2]}):
        assert not torch.equal(augmentation(torch.zeros(1, 4), **(key | changed)), first)


@pytest.mark.parametrize("augmentor", [Noise(), "invert"], ids=str)
def test_generators_of_others_are_left_as_they_were(augmentor: Any) -> None:
    def states() -> list[str]:
        numpy: Any = np.random.get_state()  # noqa: NPY002 - what is tested
        return [str(random.getstate()), str(numpy[1].tolist()), str(torch.get_rng_state().tolist())]

    before = states()
    augment(Augmentation([augmentor]), BYTES / 255)
    assert states() == before


def test_generators_are_put_back_after_an_error() -> None:
    augmentation = Augmentation([nn.Conv2d(3, 3, 3)])
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="Input type"):
        augment(augmentation, BYTES)
    assert torch.equal(torch.get_rng_state(), before)


def test_each_augmentor_is_as_likely_as_it_is_told() -> None:
    images = torch.zeros(2000, 1, 1, 1)
    for likely in (0.0, 0.25, 1.0):
        augmentation = Augmentation(["invert"], probability=likely)
        result = augmentation(images, seed=0, epoch=0, set_numbers=1, rows=range(2000))
        assert result.mean().item() == pytest.approx(likely, abs=0.05)


def test_augmentors_are_chosen_independently() -> None:
    images = torch.zeros(2000, 4)
    twice = Augmentation([Brighter(), Brighter()], probability=[0.5, 0.5])
    result = twice(images, seed=0, epoch=0, set_numbers=1, rows=range(2000))[:, 0]
    both = (result >= 2).float().mean().item()
    assert both == pytest.approx(0.25, abs=0.05)
    assert (result == 0).float().mean().item() == pytest.approx(0.25, abs=0.05)


def test_a_probability_in_a_recipe_goes_first() -> None:
    recipes: list[Any] = [{"type": "invert", "probability": 0}, {"type": "invert"}]
    augmentation = Augmentation(recipes, probability=[1, 1])
    assert torch.equal(augment(augmentation, BYTES), 255 - BYTES)
    assert recipes[0] == {"type": "invert", "probability": 0}  # it can be used again


def test_the_very_batch_comes_back_where_nothing_is_done() -> None:
    assert augment(Augmentation([]), BYTES) is not BYTES  # picked by the test
    images = BYTES[:1]
    key: dict[str, Any] = {"seed": 0, "epoch": 0, "set_numbers": 0, "rows": [0]}
    assert Augmentation(["flip"], probability=0)(images, **key) is images


def test_augmentors_follow_each_other() -> None:
    augmentation = Augmentation(["invert", {"type": "rotate", "rotation": 180}])
    assert len(augmentation) == 2
    assert torch.equal(augment(augmentation, BYTES), 255 - BYTES.flip(-1, -2))


@pytest.mark.parametrize("name", ["shear", "random_contrast", "flip", "grayscale"])
def test_channels_may_come_last(name: str) -> None:
    recipe = {"type": name, "probability": 0.5, **EXAMPLES[name]}
    result = augment(Augmentation([recipe], channels_last=True), BYTES.permute(0, 2, 3, 1))
    assert torch.equal(result.permute(0, 3, 1, 2), augment(Augmentation([recipe]), BYTES))


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("name", AUGMENTORS)
@pytest.mark.parametrize(("dtype", "same"), [("uint16", "int32"), ("uint32", "int64")])
def test_numbers_without_a_sign_are_augmented_as_others_are(
    name: str, dtype: str, same: str, channels_last: bool
) -> None:
    scaled = BYTES.numpy().astype(same) * 60_000 // 255
    takes_white = "max_value" in signature(AUGMENTORS[name]).parameters
    white = {"max_value": 60_000} if takes_white else {}
    recipe = {"type": name, **EXAMPLES[name], **white}
    augmentation = Augmentation([recipe], probability=0.6, channels_last=channels_last)
    images = torch.from_numpy(scaled.transpose(0, 2, 3, 1) if channels_last else scaled)
    unsigned = torch.from_numpy(images.numpy().astype(dtype))
    found, expected = augment(augmentation, unsigned), augment(augmentation, images)
    assert found.dtype == unsigned.dtype
    assert np.array_equal(found.numpy(), expected.numpy())
    assert np.array_equal(unsigned.numpy(), images.numpy())  # left as they were


class Beyond(Augmentor):
    """Leaves the range of 32 bits at both ends."""

    @override
    def augment(self, images: Tensor, draws: Draws) -> Tensor:
        return images + torch.tensor([-5, 2**32])


def test_what_is_beyond_the_range_of_a_type_is_cut_off() -> None:
    images = torch.from_numpy(np.full((24, 1, 1, 2), 3, np.uint32))
    found = augment(Augmentation([Beyond()]), images).numpy()
    assert found[0].flatten().tolist() == [0, 2**32 - 1]
    white = torch.from_numpy(np.full((24, 1, 4, 4), 2**32 - 1, np.uint32))
    zoomed = augment(Augmentation([{"type": "zoom", **FACTORS}]), white)
    assert np.array_equal(zoomed.numpy(), white.numpy())  # which float32 rounds up


def test_whole_numbers_of_64_bits_without_a_sign_are_refused() -> None:
    images = torch.from_numpy(np.zeros((24, 1, 4, 4), np.uint64))
    assert augment(Augmentation([]), images).dtype == images.dtype
    with pytest.raises(DataError, match=r"but got torch[.]uint64[.] Keep them as int64 on disk"):
        augment(Augmentation(["flip"]), images)


def test_an_augmentation_can_be_sent_to_a_worker() -> None:
    recipes = [{"type": name, **arguments} for name, arguments in EXAMPLES.items()]
    augmentation = Augmentation([*recipes, nn.Identity()], probability=0.5)
    again = pickle.loads(pickle.dumps(augmentation))
    assert torch.equal(augment(again, BYTES), augment(augmentation, BYTES))


@pytest.mark.parametrize("name", [name for name in AUGMENTORS if name != "invert"])
def test_what_are_not_images_is_refused(name: str) -> None:
    augmentation = Augmentation([{"type": name, **EXAMPLES[name]}])
    with pytest.raises(DataError, match=r"to be images \(rows, .*but got shape \(24, 18, 18\)"):
        augment(augmentation, BYTES[:, 0])


def test_a_row_that_is_missing_is_told() -> None:
    with pytest.raises(DataError, match=r"a row for each of 24 samples, but got shape \(3,\)"):
        Augmentation([])(BYTES, seed=0, epoch=0, set_numbers=1, rows=[1, 2, 3])


@pytest.mark.parametrize("module", [nn.Flatten(), nn.AvgPool2d(2)], ids=str)
def test_a_module_that_changes_the_shape_is_refused(module: nn.Module) -> None:
    problem = r"to keep torch.float32 \(24, 3, 18, 18\), but got torch.float32 \(24, "
    with pytest.raises(DataError, match=problem):
        augment(Augmentation([module]), BYTES / 255)


@pytest.mark.parametrize(
    ("augmentor", "problem"),
    [
        ("filp", "Expected `augmentors` to be of a known type.*Did you mean 'flip'"),
        ({"type": "flip", "axis": 1}, "Expected `augmentors` to have arguments that flip takes"),
        ({"type": "flip", "probability": 1.5}, "`probability` to be from 0 to 1, but got 1.5"),
        ({"type": "flip", "probability": "often"}, "to be from 0 to 1, but got 'often'"),
        ("fractions.Fraction", r"to be an Augmentor or an nn.Module each, but got Fraction"),
        (3, "to be an Augmentor or an nn.Module each, but got 3"),
        (np.log1p, "an nn.Module each, but got <ufunc.*Wrap a function in an nn.Module"),
        (nn.Conv2d, "Expected `augmentors` to be made by Conv2d without more arguments"),
    ],
)
def test_what_is_not_an_augmentor_is_refused(augmentor: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        Augmentation([augmentor])


def test_probabilities_must_be_as_many_as_augmentors() -> None:
    with pytest.raises(ConfigError, match=r"one probability for each of 1 augmentors, .*\[1, 0\]"):
        Augmentation(["flip"], probability=[1, 0])


@pytest.mark.parametrize("made", [nn.Identity, nn.Identity(), "torch.nn.Identity", partial(Noise)])
def test_modules_can_be_given_in_many_ways(made: Any) -> None:
    assert augment(Augmentation([made]), BYTES / 255).shape == BYTES.shape


GRID = {"grid_width": 3, "grid_height": 3}


@pytest.mark.parametrize("wrong", ["5", float("inf"), float("nan"), None, True])
@pytest.mark.parametrize(
    ("name", "argument", "others"),
    [
        ("distort", "magnitude", GRID),
        ("gaussian_distortion", "magnitude", GRID),
        *(("gaussian_distortion", name, GRID | {"magnitude": 1}) for name in ("mex", "mey")),
        *(("gaussian_distortion", name, GRID | {"magnitude": 1}) for name in ("sdx", "sdy")),
        ("skew", "magnitude", {}),
        ("rotate_range", "max_left_rotation", {"max_right_rotation": 1}),
        ("shear", "max_shear_right", {"max_shear_left": 1}),
        ("zoom", "max_factor", {"min_factor": 1}),
        ("zoom_random", "percentage_area", {}),
        ("random_erasing", "rectangle_area", {}),
        ("random_brightness", "min_factor", {"max_factor": 1}),
        ("random_contrast", "max_factor", {"min_factor": 1}),
    ],
)
def test_what_is_no_finite_number_is_refused_at_once(
    name: str, argument: str, others: dict[str, Any], wrong: object
) -> None:
    with pytest.raises(ConfigError, match=f"Expected `{argument}` to be .*, but got {wrong!r}"):
        Augmentation([{"type": name, **others, argument: wrong}])


def test_what_is_neither_true_nor_false_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="`channels_last` to be true or false, but got 'no'"):
        Augmentation([], channels_last="no")  # type: ignore[arg-type] # a wrong one
    recipe = {"type": "zoom_random", "percentage_area": 0.5, "randomise": "no"}
    with pytest.raises(ConfigError, match="`randomise` to be true or false, but got 'no'"):
        Augmentation([recipe])


def test_a_quarter_turn_may_be_told_as_a_float() -> None:
    turned = augment(Augmentation([{"type": "rotate", "rotation": 90.0}]), BYTES)
    assert torch.equal(turned, BYTES.rot90(1, (-2, -1)))
