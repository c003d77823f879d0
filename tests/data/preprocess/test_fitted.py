import io
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator
from sklearn.cluster import MiniBatchKMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import (
    PCA,
    IncrementalPCA,
    KernelPCA,
    LatentDirichletAllocation,
    MiniBatchDictionaryLearning,
)
from sklearn.ensemble import RandomTreesEmbedding
from sklearn.feature_selection import SelectFromModel, SelectKBest, VarianceThreshold, f_classif
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import BernoulliRBM
from sklearn.preprocessing import (
    KBinsDiscretizer,
    Normalizer,
    OneHotEncoder,
    PowerTransformer,
    QuantileTransformer,
    SplineTransformer,
    StandardScaler,
)
from sklearn.random_projection import SparseRandomProjection

from leyden.data.preprocess.fitted import blank, capture, class_path, learns, restore, settings_of
from leyden.errors import ConfigError, ResumeError

ROWS = np.random.default_rng(0).random((40, 5)) + 0.1
LABELS = np.arange(40) % 2


def reloaded(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


@pytest.mark.parametrize(
    "step",
    [
        StandardScaler(),
        QuantileTransformer(n_quantiles=9),
        PowerTransformer(),  # keeps a scaler inside
        KBinsDiscretizer(4, encode="onehot-dense", strategy="uniform"),  # arrays of arrays
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
        PCA(3),
        IncrementalPCA(3),
        KernelPCA(3),
        SimpleImputer(add_indicator=True),
        KNNImputer(),
        SelectKBest(f_classif, k=2),
        SelectFromModel(LogisticRegression()),
        VarianceThreshold(),
        SparseRandomProjection(3, random_state=0),  # keeps a sparse matrix
        MiniBatchKMeans(3, random_state=0, n_init=1),  # these keep generators
        MiniBatchDictionaryLearning(3, random_state=0, max_iter=2),
        LatentDirichletAllocation(3, random_state=0),
        BernoulliRBM(3, random_state=0, n_iter=1),
        ColumnTransformer([("a", StandardScaler(), [0, 1]), ("b", "passthrough", slice(2, 4))]),
    ],
    ids=lambda step: type(step).__name__,
)
def test_an_estimator_is_the_same_after_a_checkpoint(step: Any) -> None:
    fitted = blank(step).fit(ROWS, LABELS)
    again = restore(step, reloaded(capture(fitted)))
    assert np.allclose(again.transform(ROWS), fitted.transform(ROWS), rtol=1e-12)
    assert not hasattr(step, "n_features_in_")


class Averaging:
    def __init__(self) -> None:
        self.state = {"mean": torch.zeros(2), "seen": 0}

    def fit(self, inputs: Any, labels: Any = None) -> None:
        self.state = {"mean": torch.tensor(inputs.mean(axis=0)), "seen": len(inputs)}

    def transform(self, inputs: Any) -> Any:
        return inputs - self.state["mean"]

    def state_dict(self) -> dict[str, Any]:
        return self.state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.state = state


def test_a_state_of_its_own_goes_before_attributes() -> None:
    fitted = Averaging()
    fitted.fit(np.array([[1.0, 2.0], [3.0, 4.0]]))
    again = restore(Averaging(), reloaded(capture(fitted)))
    assert again.state["mean"].tolist() == [2, 3]
    assert again.state["seen"] == 2


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (SplineTransformer(), "SplineTransformer.bsplines_ to be numbers .* but got BSpline"),
        (RandomTreesEmbedding(2), "but got .*Give it `state_dict` and `load_state_dict`"),
    ],
    ids=lambda item: type(item).__name__,
)
def test_what_is_not_plain_is_refused(step: Any, problem: str) -> None:
    step.fit(ROWS)
    with pytest.raises(ConfigError, match=problem):
        capture(step)


class OwnScaler(StandardScaler):  # type: ignore[misc] # has no types
    """Of scikit-learn's kind, but not scikit-learn's."""


class Learned:
    def __init__(self, value: Any) -> None:
        self.value_ = value


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        0.5,
        "a",
        np.float64(0.5),
        np.bool_(1),
        np.int32(3),
        [1, (2, [3])],
        {1: "a", "b": {"kind": 3}},
        slice(1, None, 2),
        np.dtype("<f4"),
    ],
    ids=repr,
)
def test_values_come_back_with_their_type(value: Any) -> None:
    again = restore(Learned(None), reloaded(capture(Learned(value)))).value_
    assert again == value
    assert type(again) is type(value)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "uint32", "int64", "f2", "f4", "f8"])
def test_arrays_come_back_with_their_dtype(dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    again = restore(Learned(None), reloaded(capture(Learned(array)))).value_
    assert again.dtype == array.dtype
    assert np.array_equal(again, array)


def test_a_generator_comes_back_where_it_stood() -> None:
    generator = np.random.RandomState(3)
    generator.standard_normal(5)  # which leaves one for later
    again = restore(Learned(None), reloaded(capture(Learned(generator)))).value_
    assert np.array_equal(again.standard_normal(7), generator.standard_normal(7))
    other = np.random.RandomState(np.random.PCG64(0))
    with pytest.raises(ConfigError, match=r"to be numbers .* but got RandomState"):
        capture(Learned(other))


def test_a_sparse_matrix_comes_back() -> None:
    matrix = csr_matrix(np.eye(3, 4, dtype=np.float32))
    again = restore(Learned(None), reloaded(capture(Learned(matrix)))).value_
    assert (type(again), again.shape, again.dtype) == (csr_matrix, (3, 4), np.float32)
    assert np.array_equal(again.toarray(), matrix.toarray())


def test_arrays_of_arrays_come_back() -> None:
    array = np.empty(2, object)
    array[:] = [np.arange(2), np.arange(3.0)]
    again = restore(Learned(None), reloaded(capture(Learned(array)))).value_
    assert [part.tolist() for part in again] == [[0, 1], [0.0, 1.0, 2.0]]


@pytest.mark.parametrize(
    "value", [np.array(["a"]), np.array([1j]).astype("c16")[:0].astype("S1"), {1, 2}, len, Learned]
)
def test_other_values_are_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"value_ to be numbers that can be written to a check"):
        capture(Learned(value))


def test_a_file_cannot_name_other_classes() -> None:
    for path in ("os.system", "sklearn.base.clone", "sklearn.preprocessing.Nothing"):
        value = {"kind": "estimator", "value": {"type": path, "attributes": {}}}
        with pytest.raises(ResumeError, match=f"Expected a class of scikit-learn, but got '{path}"):
            restore(Learned(None), {"value_": value})


def test_within_others_only_classes_of_scikit_learn_are_stored() -> None:
    with pytest.raises(ConfigError, match=r"value_ to be numbers .* but got OwnScaler"):
        capture(Learned(OwnScaler()))


def test_settings_tell_how_a_step_was_made() -> None:
    assert settings_of(SelectKBest(f_classif, k=3)) == {"score_func": "f_classif", "k": 3}
    assert settings_of(PCA(np.int64(2)))["n_components"] == 2
    assert settings_of(SelectFromModel(LogisticRegression()))["estimator"] == "LogisticRegression"
    assert settings_of(ColumnTransformer([], transformer_weights={"a": 2}))[
        "transformer_weights"
    ] == {"a": 2}
    assert settings_of(Averaging()) == {}
    assert class_path(Averaging()).endswith(".Averaging")


def test_what_has_nothing_to_learn_is_known() -> None:
    assert learns(StandardScaler())
    assert learns(Averaging())
    assert not learns(object())


@pytest.mark.skipif(not hasattr(BaseEstimator, "__sklearn_tags__"), reason="since 1.6")
def test_what_scikit_learn_says_need_not_be_fitted_is_not() -> None:
    assert not learns(Normalizer())
