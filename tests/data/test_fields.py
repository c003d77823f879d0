import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typing_extensions import override

from leyden.data import Augmentation, AutoDataModule, Preprocessing
from leyden.data.fields import FieldPreparation
from leyden.errors import ConfigError, ResumeError
from leyden.types import Array

LENGTHS = {1: 5, 2: 3}
TIME = 6


@pytest.fixture
def arrays() -> dict[str, Array]:
    """Series, one number and two for each row of both sets, one set after the other."""
    random, rows = np.random.default_rng(0), sum(LENGTHS.values())
    return {
        "series": random.random((rows, TIME, 2)).astype(np.float32),
        "mask": random.integers(0, 2, (rows, TIME)),
        "meta": random.random((rows, 3)) * 10 + 5,
    }


@pytest.fixture
def folder(tmp_path: Path, arrays: dict[str, Array]) -> Path:
    start = 0
    for number, rows in LENGTHS.items():
        parts: dict[str, Any] = {name: each[start : start + rows] for name, each in arrays.items()}
        np.savez(tmp_path / f"a{number}.npz", **parts, label=np.arange(rows) % 2)
        start += rows
    return tmp_path


NAMES = ["series", "mask", "meta"]


def make_data(folder: Path, **arguments: Any) -> AutoDataModule:
    settings = {"inputs": NAMES, "batch_size": 4, "shuffle": "none", **arguments}
    return AutoDataModule(folder, **settings)


def whole(data: AutoDataModule, phase: str = "train", epoch: int = 0) -> dict[str, Array]:
    """Put the inputs of an epoch together."""
    batches = [data.fetch(phase, epoch, index) for index in range(len(data.plan(phase, epoch)))]
    inputs: list[Any] = [batch[0] for batch in batches]  # type: ignore[index] # with labels
    return {name: torch.cat([each[name] for each in inputs]).numpy() for name in inputs[0]}


class Plus(nn.Module):
    """Adds a random number to a row, the same to all of it."""

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + (torch.rand(()) * 1000).to(inputs.dtype)


def test_inputs_come_by_their_names(folder: Path, arrays: dict[str, Array]) -> None:
    data = make_data(folder)
    found = whole(data)
    assert list(found) == NAMES
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)
    assert data.sample_shape == {"series": (TIME, 2), "mask": (TIME,), "meta": (3,)}
    for (inputs, labels), index in zip(data.train_dataloader(), range(2), strict=True):  # type: ignore[misc] # with labels
        assert isinstance(inputs, dict)
        assert np.array_equal(inputs["meta"], found["meta"][4 * index : 4 * index + 4])
        assert isinstance(labels, Tensor)


def test_inputs_may_have_other_names_than_their_arrays(
    folder: Path, arrays: dict[str, Array]
) -> None:
    found = whole(make_data(folder, inputs={"b": "meta", "a": "series"}))
    assert list(found) == ["b", "a"]
    assert np.array_equal(found["a"], arrays["series"])


def test_one_input_with_a_name_comes_by_it(folder: Path, arrays: dict[str, Array]) -> None:
    found = whole(make_data(folder, inputs=["mask"]))
    assert list(found) == ["mask"]
    assert np.array_equal(found["mask"], arrays["mask"])


def test_preprocessors_are_those_of_the_name(folder: Path, arrays: dict[str, Array]) -> None:
    scaled: dict[str, Any] = {"meta": ["standard_scaler"], "series": Preprocessing([])}
    found = whole(make_data(folder, preprocessors=scaled))
    meta = arrays["meta"]
    assert found["meta"] == pytest.approx((meta - meta.mean(0)) / meta.std(0), rel=1e-4)
    assert np.array_equal(found["series"], arrays["series"])
    assert np.array_equal(found["mask"], arrays["mask"])


def test_shapes_are_those_after_the_preprocessors_of_the_name(folder: Path) -> None:
    data = make_data(folder, preprocessors={"meta": [{"type": "kbest", "k": 2}]})
    assert data.sample_shape == {"series": (TIME, 2), "mask": (TIME,), "meta": (2,)}


def test_augmentors_are_those_of_the_name_and_draw_alike_for_one_row(
    folder: Path, arrays: dict[str, Array]
) -> None:
    data = make_data(folder, augmentors={"series": [Plus()], "meta": [Plus()]}, val=[2])
    added = {name: found - arrays[name][:5] for name, found in whole(data).items()}
    by_row = added["meta"][:, 0]
    assert len(np.unique(by_row.round(3))) == 5
    assert added["meta"] == pytest.approx(np.stack([by_row] * 3, 1))
    assert added["series"][:, 0, 0] == pytest.approx(by_row, rel=1e-3)
    assert not added["mask"].any()
    assert not np.allclose(whole(data, epoch=1)["meta"], whole(data)["meta"])
    assert np.array_equal(whole(data, "val")["meta"], arrays["meta"][5:])


def test_windows_cut_the_inputs_that_are_as_long_as_the_first(
    folder: Path, arrays: dict[str, Array]
) -> None:
    data = make_data(folder, windows={"size": 4, "stride": 2}, batch_size=8)
    assert data.sample_shape == {"series": (4, 2), "mask": (4,), "meta": (3,)}
    for index, begin in enumerate((0, 2)):
        inputs: Any = data.fetch("train", 0, index)[0]  # type: ignore[index] # with labels
        for name in ("series", "mask"):
            assert np.array_equal(inputs[name], arrays[name][:, begin : begin + 4])
        assert np.array_equal(inputs["meta"], arrays["meta"])


def test_labels_that_are_an_input_with_a_name_have_its_shape(folder: Path) -> None:
    data = make_data(folder, inputs=["series"], labels="inputs", windows={"size": 4})
    assert (data.sample_shape, data.label_shape) == ({"series": (4, 2)}, (4, 2))
    assert data.fetch("train", 0, 0)[1].shape[1:] == (4, 2)  # type: ignore[index, union-attr] # with labels


def test_what_was_fitted_travels_through_a_file(folder: Path) -> None:
    scaled = {"meta": ["standard_scaler"], "series": ["min_max_scaler"]}
    source = make_data(folder, preprocessors=scaled, train=[1])
    file = io.BytesIO()
    source.setup("fit")
    torch.save(source.state_dict(), file)
    file.seek(0)
    other = make_data(folder, preprocessors=scaled, train=[2], val=[1])
    before = whole(other, "val")
    other.load_state_dict(torch.load(file, weights_only=True))
    expected, found = whole(source), whole(other, "val")
    for name in NAMES:
        assert np.array_equal(found[name], expected[name])
        assert np.array_equal(before[name], expected[name]) is (name == "mask")


def test_a_state_that_lacks_a_name_is_refused(folder: Path) -> None:
    source = make_data(folder, preprocessors={"meta": ["standard_scaler"]})
    source.setup("fit")
    both = make_data(folder, preprocessors={name: ["standard_scaler"] for name in ("meta", "mask")})
    with pytest.raises(ResumeError, match="with the state of preprocessors, but it has none"):
        both.load_state_dict(source.state_dict())


@pytest.mark.parametrize("what", ["preprocessors", "augmentors"])
@pytest.mark.parametrize(
    ("names", "described", "problem"),
    [
        (NAMES, {"mete": []}, "by the names of the inputs, but got 'mete'. Did you mean 'meta'"),
        (NAMES, ["flip"], r"by the names of the inputs, but got \['flip'\]. Pass such as {'series"),
        ((), {"type": "x"}, "to be a list, but got {'type': 'x'}. Only inputs with names take"),
        ((), "flip", r"to be a list, but got 'flip'. Pass \['flip'\]"),
        ((), 5, r"to be a list, but got 5. Pass \[5\]"),
        (NAMES, 5, "by the names of the inputs, but got 5"),
    ],
)
def test_names_and_inputs_must_match(what: str, names: Any, described: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"Expected `{what}` {problem}"):
        AutoDataModule("nowhere", inputs=names or None, **{what: described})


@pytest.mark.parametrize("what", ["preprocessors", "augmentors"])
def test_each_name_takes_a_list(what: str) -> None:
    problem = rf"Expected `{what}.meta` to be a list, but got 'flip'. Pass \['flip'\]"
    with pytest.raises(ConfigError, match=problem):
        make_data(Path("nowhere"), **{what: {"meta": "flip"}})


@pytest.mark.parametrize("what", ["preprocessors", "augmentors"])
def test_each_name_takes_no_recipe_of_one_step(what: str) -> None:
    problem = rf"Expected `{what}.meta` to be a list, but got {{'type': 'a'}}. Pass \[{{'type'"
    with pytest.raises(ConfigError, match=problem):
        make_data(Path("nowhere"), **{what: {"meta": {"type": "a"}}})


def test_none_is_nothing_to_do(folder: Path, arrays: dict[str, Array]) -> None:
    told: dict[str, Any] = {"preprocessors": None, "augmentors": {"meta": None, "mask": []}}
    assert np.array_equal(whole(make_data(folder, **told))["meta"], arrays["meta"])
    one = AutoDataModule(folder, inputs=["meta"], preprocessors=None, augmentors=None)
    assert one.sample_shape == {"meta": (3,)}


WHOLE = {"type": "augmentation", "augmentors": ["flip"], "channels_last": True}


@pytest.mark.parametrize("inputs", [None, ["image"]])
def test_a_dictionary_may_tell_all_about_augmentation(tmp_path: Path, inputs: Any) -> None:
    images = np.random.default_rng(0).random((8, 5, 6, 3)).astype(np.float32)
    np.savez(tmp_path / "a1.npz", image=images)

    def fetch(augmentors: Any) -> Any:
        by_name = augmentors if inputs is None else {"image": augmentors}
        return AutoDataModule(tmp_path, inputs=inputs, augmentors=by_name).fetch("train", 0, 0)

    expected = fetch(Augmentation(["flip"], channels_last=True))
    found, plain = fetch(WHOLE), fetch(None)
    found, expected, plain = (x if inputs is None else x["image"] for x in (found, expected, plain))
    assert torch.equal(found, expected)
    assert not torch.equal(found, plain)


@pytest.mark.parametrize(
    ("names", "described", "problem"),
    [
        (None, WHOLE | {"last": True}, "to have arguments that augmentation takes, but got"),
        (None, {"type": "augmentation"}, "to have arguments that augmentation takes, but got"),
        (NAMES, WHOLE, "by the names of the inputs, but got "),
    ],
)
def test_what_is_told_of_augmentation_has_to_fit(names: Any, described: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"Expected `augmentors` {problem}"):
        AutoDataModule("nowhere", inputs=names, augmentors=described)


@pytest.mark.parametrize("inputs", [5, "meta", [], {}, [1], {"a": 1}])
def test_inputs_that_are_no_names_are_refused_at_once(inputs: Any) -> None:
    problem = "Expected `inputs` to be names, or a mapping from names, but got"
    with pytest.raises(ConfigError, match=problem):
        AutoDataModule("nowhere", inputs=inputs)


@pytest.mark.parametrize(
    ("preprocessors", "has_state"),
    [((), False), ({}, False), ({"a": []}, False), ({"a": ["standard_scaler"]}, True)],
)
def test_only_preprocessors_have_a_state(preprocessors: Any, has_state: bool) -> None:
    prepared = FieldPreparation(["a", "b"], preprocessors, {"b": [Plus()]}, seed=0)
    assert bool(prepared) is has_state
    assert not prepared.is_fitted
