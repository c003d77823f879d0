import io
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA, IncrementalPCA
from sklearn.feature_selection import SelectKBest, chi2
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, RobustScaler, StandardScaler
from torch import nn
from typing_extensions import override

from leyden.data.preprocess import PREPROCESSORS, Batches, Preprocessing
from leyden.errors import ConfigError, DataError, ResumeError
from leyden.types import Array

ROWS = np.random.default_rng(0).random((50, 2, 3)).astype(np.float32) + 1
LABELS = np.arange(50) % 2
EXAMPLES: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "channels_first": ({}, (6, 5, 4, 3)),
    "divide": ({"factor": 2}, (6, 5)),
    "grayscale": ({}, (6, 3, 5, 4)),
    "grayscale_to_color": ({}, (6, 1, 5, 4)),
    "image_resize": ({"width": 3, "height": 7}, (6, 3, 5, 4)),
    "kbest": ({"k": 2}, (6, 5)),
    "min_max_scaler": ({}, (6, 5, 4)),
    "normalize": ({"mean": [0.1, 0.2, 0.3], "std": 0.5}, (6, 3, 5)),
    "replace": ({"from_val": float("nan"), "to_val": 1}, (6, 5)),
    "robust_scaler": ({}, (6, 5)),
    "spectrogram": ({"nfft": 8, "noverlap": 4}, (6, 20, 2)),
    "standard_scaler": ({}, (6, 3, 5, 4)),
}


def batches_of(inputs: Array, labels: Array | None = None, size: int = 16) -> Batches:
    def batches() -> Iterator[tuple[Array, Array | None]]:
        for start in range(0, len(inputs), size):
            part = slice(start, start + size)
            yield inputs[part], None if labels is None else labels[part]

    return batches


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


class Centred:
    """Follows the habit of scikit-learn without being of its kind, and learns at once."""

    def fit(self, inputs: Array, labels: Array | None = None) -> Self:
        self.mean_: Array = inputs.mean(axis=0)
        self.num_rows_ = len(inputs)
        return self

    def transform(self, inputs: Array) -> Array:
        result: Array = inputs - self.mean_
        return result


class Counting(Centred):
    """Learns batch by batch, and adds up what it learns."""

    def __init__(self) -> None:
        self.num_rows_ = 0
        self.mean_ = np.zeros(())

    def partial_fit(self, inputs: Array, labels: Array | None = None) -> Self:
        self.num_rows_ += len(inputs)
        self.mean_ = self.mean_ + inputs.sum(axis=0)
        return self


class Dropping:
    def transform(self, inputs: Array) -> Array:
        return inputs[1:]


class Hidden:
    """Keeps what it learns where no copy of it has it."""

    learned: ClassVar[dict[str, Any]] = {}

    def fit(self, inputs: Array, labels: Array | None = None) -> None:
        self.learned["mean"] = float(inputs.mean())

    def transform(self, inputs: Array) -> Array:
        result: Array = inputs - self.learned["mean"]
        return result


class Standard:
    """Keeps one thing under a name with an underscore, others under names that were there."""

    def __init__(self, scale: float = 1.0) -> None:
        self.std: Any = 1.0
        self.scale, self.random = scale, np.random.default_rng(0)
        self.seen, self.change = {"rows": [0]}, partial(np.multiply, scale)

    def fit(self, inputs: Array, labels: Array | None = None) -> None:
        self.mean_, self.std = inputs.mean(axis=0), inputs.std(axis=0)
        self.seen["rows"].append(int(self.random.integers(1, 2)))

    def transform(self, inputs: Array) -> Array:
        self.last = (inputs for _ in range(2))  # nothing that is learned
        result: Array = self.change((inputs - self.mean_) / self.std)
        return result


class Slotted:
    __slots__ = ("mean",)

    def fit(self, inputs: Array, labels: Array | None = None) -> None:
        self.mean = inputs.mean(axis=0)

    def transform(self, inputs: Array) -> Array:
        result: Array = inputs - self.mean
        return result


class Kept(BaseEstimator):  # type: ignore[misc] # has no types
    """Keeps what it learns in the place of an argument, which no estimator should."""

    def __init__(self, std: Any = 1.0) -> None:
        self.std = std

    def fit(self, inputs: Array, labels: Array | None = None) -> Self:
        self.std = inputs.std(axis=0)
        return self

    def transform(self, inputs: Array) -> Array:
        result: Array = inputs / self.std
        return result


class Limits(NamedTuple):
    low: float
    high: float


class Learning(Centred):
    """Learns what it is told."""

    def __init__(self, what: Any) -> None:
        self.what = what

    @override
    def fit(self, inputs: Array, labels: Array | None = None) -> Self:
        self.known = self.what
        return super().fit(inputs, labels)


@pytest.mark.parametrize("name", PREPROCESSORS)
def test_every_name_works_from_a_recipe_and_is_the_same_after_a_checkpoint(name: str) -> None:
    settings, shape = EXAMPLES[name]
    inputs = np.random.default_rng(1).random(shape).astype(np.float32)
    recipe = {"type": name, **settings}
    chain = Preprocessing([recipe]).fit(batches_of(inputs, np.arange(6) % 2, size=4))
    result = chain.transform(inputs)
    assert (len(result), str(result.dtype)) == (6, "float32")
    again = Preprocessing([recipe])
    again.load_state_dict(through_a_file(chain.state_dict()))
    assert np.array_equal(again.transform(inputs), result)


def test_standard_scaler_is_fitted_in_passes_as_if_at_once() -> None:
    passes: list[int] = []

    def batches() -> Iterator[tuple[Array, Array | None]]:
        passes.append(1)
        yield from batches_of(ROWS, size=7)()

    chain = Preprocessing(["standard_scaler"]).fit(batches)
    expected = StandardScaler().fit_transform(ROWS.reshape(50, 6)).reshape(50, 2, 3)
    assert np.allclose(chain.transform(ROWS), expected, atol=1e-6)
    assert len(passes) == 1


class Listing(Centred):
    """Learns how many rows it is given at once."""

    def __init__(self) -> None:
        self.lengths_: list[int] = []

    def partial_fit(self, inputs: Array, labels: Array) -> None:
        assert np.array_equal(inputs[:, 0], labels)
        self.lengths_.append(len(inputs))


@pytest.mark.parametrize(
    ("rows", "lengths"), [(5, [5]), (2047, [2047]), (2050, [1024, 1026]), (3072, [1024] * 3)]
)
@pytest.mark.parametrize("size", [7, 1000, 2500])
def test_rows_are_learned_from_as_many_at_once_whatever_the_batches(
    rows: int, lengths: list[int], size: int
) -> None:
    numbers = np.arange(rows)
    chain = Preprocessing([Listing()]).fit(batches_of(numbers[:, None], numbers, size))
    assert chain.state_dict()["steps"][0]["learned"]["lengths_"]["value"] == lengths


def test_of_large_rows_fewer_are_learned_from_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leyden.data.preprocess.preprocessing._BYTES_AT_ONCE", 50)
    chain = Preprocessing([Listing()]).fit(batches_of(np.zeros((7, 3)), np.zeros(7), size=1))
    assert chain.state_dict()["steps"][0]["learned"]["lengths_"]["value"] == [2, 2, 3]


def test_what_can_be_fitted_does_not_depend_on_how_rows_are_divided() -> None:
    rows = np.random.default_rng(0).standard_normal((300, 12))
    few, many = (
        Preprocessing([IncrementalPCA(10)]).fit(batches_of(rows, size=size)) for size in (4, 300)
    )
    assert np.array_equal(few.transform(rows), many.transform(rows))


def test_each_step_is_fitted_on_what_the_one_before_makes() -> None:
    chain = Preprocessing([{"type": "divide", "factor": 4}, "robust_scaler", MinMaxScaler()]).fit(
        batches_of(ROWS)
    )
    flat = RobustScaler().fit_transform(ROWS.reshape(50, 6) / 4)
    expected = MinMaxScaler().fit_transform(flat).reshape(ROWS.shape)
    assert np.allclose(chain.transform(ROWS), expected, atol=1e-6)


def test_kbest_is_told_the_labels() -> None:
    rows = ROWS.reshape(50, 6).copy()
    rows[:, 4] += 10 * LABELS
    chain = Preprocessing([{"type": "kbest", "k": 2}]).fit(batches_of(rows, LABELS))
    expected = SelectKBest(chi2, k=2).fit_transform(rows, LABELS)
    assert np.array_equal(chain.transform(rows), expected)


def test_a_row_gets_its_shape_back_where_the_features_are_as_many() -> None:
    rows = np.arange(5.0)
    chain = Preprocessing(["min_max_scaler"]).fit(batches_of(rows))
    assert chain.transform(rows).tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_what_is_not_of_scikit_learns_kind_sees_rows_as_they_are() -> None:
    chain = Preprocessing([Centred()]).fit(batches_of(ROWS))
    assert np.allclose(chain.transform(ROWS), ROWS - ROWS.mean(axis=0), atol=1e-6)
    again = Preprocessing([Centred()])
    again.load_state_dict(through_a_file(chain.state_dict()))
    assert np.array_equal(again.transform(ROWS), chain.transform(ROWS))


def test_fitting_again_begins_again() -> None:
    given = Counting()
    chain = Preprocessing([given])
    for _ in range(2):
        chain.fit(batches_of(ROWS))
    assert chain.state_dict()["steps"][0]["learned"]["num_rows_"] == 50
    assert given.num_rows_ == 0  # objects are left as they are


def test_what_needs_no_fitting_is_ready_at_once() -> None:
    chain = Preprocessing([{"type": "divide", "factor": 2}])
    assert chain.is_fitted
    assert chain.transform(np.array([[6, 8]])).tolist() == [[3, 4]]


def test_whole_numbers_stay_whole_and_others_become_float32() -> None:
    chain = Preprocessing([{"type": "replace", "from_val": 1, "to_val": 2}])
    assert chain.transform(np.ones((2, 2), np.uint8)).dtype == np.uint8
    assert chain.transform(np.ones((2, 2), np.float64)).dtype == np.float32
    assert chain.transform(np.ones((2, 2), np.float16)).dtype == np.float32


def test_no_steps_do_nothing() -> None:
    chain = Preprocessing([])
    assert (len(chain), chain.is_fitted) == (0, True)
    assert np.array_equal(chain.transform(ROWS), ROWS)


@pytest.mark.parametrize(
    "use", [lambda chain: chain.transform(ROWS), lambda chain: chain.state_dict()]
)
def test_use_before_fitting_is_refused(use: Callable[[Preprocessing], object]) -> None:
    problem = "to be fitted before use, but StandardScaler learned nothing yet. Call `fit`"
    with pytest.raises(DataError, match=problem):
        use(Preprocessing([{"type": "divide", "factor": 2}, "standard_scaler"]))


def test_no_rows_are_refused() -> None:
    for name in ("standard_scaler", "robust_scaler"):
        chain = Preprocessing([name])
        with pytest.raises(DataError, match=r"Expected training rows to fit sklearn.*got none"):
            chain.fit(list)
        assert not chain.is_fitted


def test_rows_that_do_not_suit_a_step_are_told_why() -> None:
    chain = Preprocessing(["standard_scaler"]).fit(batches_of(ROWS))
    problem = (
        r"Expected rows that suit sklearn.preprocessing.StandardScaler, but got float32 \(50, 2\):"
        " X has 2 features, but StandardScaler is expecting 6"
    )
    with pytest.raises(DataError, match=problem):
        chain.transform(ROWS[:, :, 0])


def test_labels_that_are_missing_are_told() -> None:
    with pytest.raises(
        DataError, match=r"SelectKBest, but got float32 \(50, 2, 3\) without labels: "
    ):
        Preprocessing([{"type": "kbest", "k": 2}]).fit(batches_of(ROWS))


def test_a_step_that_loses_rows_is_refused() -> None:
    with pytest.raises(DataError, match=r"Dropping to keep the 50 rows of a batch, but got shape"):
        Preprocessing([Dropping()]).transform(ROWS)


class Changing:
    """Makes of the rows what it is told."""

    def __init__(self, change: Callable[[Array], Any]) -> None:
        self.change = change

    def transform(self, inputs: Array) -> Any:
        return self.change(inputs)


def test_a_step_may_return_a_view_that_is_turned_round() -> None:
    result = Preprocessing([Changing(lambda rows: rows[..., ::-1])]).transform(ROWS)
    assert torch.equal(torch.from_numpy(result), torch.from_numpy(ROWS).flip(-1))


@pytest.mark.parametrize("dtype", ["object", "str"])
def test_a_chain_that_makes_no_numbers_is_refused(dtype: str) -> None:
    chain = Preprocessing([Changing(lambda rows: rows.astype(dtype))])
    problem = r"Changing to make numbers, but got .* \(50, 2, 3\). Turn them into some"
    with pytest.raises(DataError, match=problem):
        chain.transform(ROWS)


class Choosy(Centred):
    @override
    def fit(self, inputs: Array, labels: Array | None = None) -> Self:
        raise DataError("Expected other rows.")


def test_an_error_that_explains_itself_is_passed_on() -> None:
    with pytest.raises(DataError, match=r"^Expected other rows[.]$"):
        Preprocessing([Choosy()]).fit(batches_of(ROWS))


def test_what_cannot_be_stored_is_refused_when_fitted() -> None:
    chain = Preprocessing([Hidden()])
    with pytest.raises(
        ConfigError, match=r"Hidden to keep what it learns in attributes of its own"
    ):
        chain.fit(batches_of(ROWS))
    assert not chain.is_fitted


@pytest.mark.parametrize("made", [Standard, Slotted, Kept])
def test_all_that_fitting_changes_travels_whatever_it_is_called(made: Any) -> None:
    chain = Preprocessing([made()]).fit(batches_of(ROWS))
    expected = chain.transform(ROWS)
    again = Preprocessing([made()])
    again.load_state_dict(through_a_file(chain.state_dict()))
    assert np.array_equal(again.transform(ROWS), expected)
    learned = again.state_dict()["steps"][0]["learned"]
    assert learned.keys() <= {"mean_", "mean", "std", "seen"}


@pytest.mark.parametrize(
    ("what", "problem"),
    [
        (len, "Learning.known to be numbers that can be written to a checkpoint, but got builtin"),
        (Limits(0, 1), "Learning.known to be the same once it is loaded, but got another tuple in"),
    ],
    ids=str,
)
def test_what_would_be_had_again_otherwise_is_refused_when_fitted(what: Any, problem: str) -> None:
    chain = Preprocessing([Learning(what)])
    with pytest.raises(ConfigError, match=f"{problem}.*Give it `state_dict` and `load_state_dict`"):
        chain.fit(batches_of(ROWS))
    assert not chain.is_fitted


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        ("standard_scalar", "Did you mean 'standard_scaler'"),
        ({"type": "sklearn.preprocessing.StandardScalar"}, "cannot be imported"),
        ({"type": "divide", "factr": 2}, "arguments that divide takes"),
        ({"factor": 2}, "Expected `preprocessors` to have a `type`"),
        ("fractions.Fraction", r"Expected a preprocessor to have `transform`, but got Fraction"),
        (3, "Expected a preprocessor to have `transform`, but got 3"),
        (np.log1p, "to have `transform`, but got <ufunc 'log1p'>. Wrap a function in scikit-learn"),
        (lambda inputs: inputs / 2, "to have `transform`, but got <function .*Wrap a function in"),
        (nn.ReLU(), r"to have `transform`, but got ReLU\(\). Wrap a function in"),
        (Learning, "Expected `preprocessors` to be made by Learning without more arguments"),
    ],
)
def test_what_is_not_a_preprocessor_is_refused(step: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        Preprocessing([step])


@pytest.mark.parametrize(
    ("recipe", "same"),
    [
        ({"type": "min_max_scaler", "feature_range": [0, 2]}, MinMaxScaler(feature_range=(0, 2))),
        (
            {"type": "sklearn.preprocessing.RobustScaler", "quantile_range": [10, 90]},
            RobustScaler(quantile_range=(10, 90)),
        ),
        (MinMaxScaler(feature_range=[0, 2]), MinMaxScaler(feature_range=(0, 2))),
    ],
    ids=str,
)
def test_a_list_will_do_where_scikit_learn_wants_a_tuple(recipe: Any, same: Any) -> None:
    chain = Preprocessing([recipe]).fit(batches_of(ROWS))
    expected = Preprocessing([same]).fit(batches_of(ROWS))
    assert np.array_equal(chain.transform(ROWS), expected.transform(ROWS))
    expected.load_state_dict(through_a_file(chain.state_dict()))


@pytest.mark.parametrize(
    ("recipe", "problem"),
    [
        ({"type": "standard_scaler", "with_mean": "yes"}, "'with_mean' parameter of StandardScal"),
        ({"type": "kbest", "k": "many"}, "The 'k' parameter of SelectKBest must be"),
    ],
)
def test_arguments_that_scikit_learn_refuses_are_named(recipe: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"Expected `preprocessors` to have arg.*{problem}"):
        Preprocessing([recipe]).fit(batches_of(ROWS, LABELS))


@pytest.mark.parametrize("step", [StandardScaler, "sklearn.preprocessing.StandardScaler"])
def test_a_step_can_be_named_by_its_class(step: Any) -> None:
    assert not Preprocessing([step]).is_fitted


def test_another_chain_is_refused_with_both_shown() -> None:
    state = Preprocessing([{"type": "divide", "factor": 2}]).state_dict()
    other = Preprocessing([{"type": "divide", "factor": 3}])
    with pytest.raises(ResumeError, match=r'(?s)changed.\nsaved: .*"factor": 2.*\ngiven: .*: 3'):
        other.load_state_dict(state)


class Scale:
    def __init__(self, factor: float = 1, *, power: int = 1) -> None:
        self._by, self.power = factor, power

    def transform(self, inputs: Array) -> Array:
        return inputs * self._by**self.power


class Clip(Centred):
    def __init__(self, limit: float) -> None:
        self.limit = limit


@pytest.mark.parametrize(
    ("saved", "given"),
    [
        ({"type": f"{__name__}.Scale", "factor": 2}, {"type": f"{__name__}.Scale", "factor": 30}),
        ({"type": f"{__name__}.Scale", "factor": 2}, f"{__name__}.Scale"),
        ({"type": f"{__name__}.Scale", "factor": 2}, Scale),
        (partial(Scale, factor=2), partial(Scale, factor=3)),
        (Scale(power=2), Scale(power=3)),
        (Clip(2), {"type": f"{__name__}.Clip", "limit": 3}),
    ],
)
def test_changed_arguments_of_a_class_of_ones_own_are_noticed(saved: Any, given: Any) -> None:
    state = through_a_file(Preprocessing([saved]).fit(batches_of(ROWS)).state_dict())
    with pytest.raises(ResumeError, match=r"(?s)Preprocessors changed.\nsaved: .*\ngiven: "):
        Preprocessing([given]).load_state_dict(state)


@pytest.mark.parametrize("join", [make_pipeline, make_union])
def test_estimators_that_are_made_of_others_travel_and_are_compared(join: Any) -> None:
    given = join(StandardScaler(), PCA(2))
    chain = Preprocessing([given]).fit(batches_of(ROWS))
    expected = clone(given).fit_transform(ROWS.reshape(50, 6))
    assert np.allclose(chain.transform(ROWS).reshape(50, -1), expected.reshape(50, -1), atol=1e-5)
    state, again = through_a_file(chain.state_dict()), Preprocessing([given])
    again.load_state_dict(state)
    assert np.array_equal(again.transform(ROWS), chain.transform(ROWS))
    with pytest.raises(ResumeError, match=r'(?s)saved: .*"pca__n_components": 2.*given: .*: 3'):
        Preprocessing([join(StandardScaler(), PCA(3))]).load_state_dict(state)


def test_a_pipeline_of_what_cannot_be_stored_is_to_be_listed() -> None:
    chain = Preprocessing([make_pipeline(FunctionTransformer(np.abs))])
    problem = "Pipeline.steps.func to be numbers .*, but got ufunc. List its steps instead of it"
    with pytest.raises(ConfigError, match=problem):
        chain.fit(batches_of(ROWS))


def test_a_class_of_ones_own_may_be_told_otherwise_and_be_of_an_older_checkpoint() -> None:
    recipe = {"type": f"{__name__}.Scale", "factor": 2, "power": 3}
    state = Preprocessing([recipe]).state_dict()
    Preprocessing([Scale(2, power=3)]).load_state_dict(state)
    state["steps"][0]["settings"] = {}  # as they used to be
    Preprocessing([recipe]).load_state_dict(state)


def test_another_version_is_refused() -> None:
    with pytest.raises(ResumeError, match="Expected preprocessors of version 1, but got None"):
        Preprocessing([]).load_state_dict({})


@pytest.mark.parametrize("rest", [{}, {"steps": 3}, {"steps": [{}]}, {"steps": [3]}], ids=str)
def test_what_is_no_state_is_refused(rest: dict[str, Any]) -> None:
    with pytest.raises(
        ResumeError, match=r"of preprocessors to have `steps`, .*, but got \['version"
    ):
        Preprocessing(["standard_scaler"]).load_state_dict({"version": 1, **rest})


def test_a_state_that_is_broken_changes_nothing() -> None:
    recipes = ["standard_scaler", "min_max_scaler"]
    state = Preprocessing(recipes).fit(batches_of(ROWS)).state_dict()
    state["steps"][1]["learned"]["min_"] = {"kind": "pickle"}
    chain = Preprocessing(recipes)
    with pytest.raises(ResumeError, match=r"Expected a `kind` out of array, .* but got 'pickle'"):
        chain.load_state_dict(state)
    assert not chain.is_fitted


def test_a_state_is_plain_but_for_tensors() -> None:
    state = Preprocessing(["standard_scaler"]).fit(batches_of(ROWS)).state_dict()
    text = json.dumps(state, default=lambda tensor: {"tensor": tensor.tolist()})
    assert '"version": 1' in text
    assert '"type": "sklearn.preprocessing.StandardScaler"' in text
