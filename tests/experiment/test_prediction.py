import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import LightningModule, Trainer
from torch import Tensor, nn
from typing_extensions import override

from leyden.data import AutoDataModule, Preprocessing, TimeWindows
from leyden.errors import ConfigError, DataError
from leyden.experiment.prediction import load_chains, predict_rows, states_by_name, transform
from leyden.modules import AutoencoderModule, ClassifierModule, RegressorModule
from leyden.shards import write_shards

ROWS = np.random.default_rng(0).standard_normal((600, 12, 2)).astype(np.float32)


def test_rows_are_preprocessed_as_in_training() -> None:
    recipes: list[Any] = ["standard_scaler", {"type": "divide", "factor": 2}]
    chain = Preprocessing(recipes).fit(lambda: [(ROWS, None)])
    states = states_by_name(chain.state_dict())
    for told in (recipes, None):  # the states know what they are of
        (tensor,) = transform(ROWS, load_chains(states, told)).values()
        assert tensor.numpy().tobytes() == chain.transform(ROWS).tobytes()


def test_several_inputs_are_preprocessed_by_their_names() -> None:
    chain = Preprocessing(["min_max_scaler"]).fit(lambda: [(np.array([[2.0], [4.0]]), None)])
    chains = load_chains({"a": chain.state_dict()}, {"a": ["min_max_scaler"]})
    found = transform({"a": [[3.0]], "b": [[3]]}, chains)
    assert (found["a"].tolist(), found["b"].tolist()) == ([[0.5]], [[3]])
    with pytest.raises(DataError, match=r"Expected inputs called a, but got no a[.] Pass"):
        transform([[3.0]], chains)
    with pytest.raises(DataError, match="called b, a, but got one array without a name"):
        transform([[3.0]], chains, ("b", "a"))
    assert list(transform({"a": [[3.0]], "b": [[3]]}, chains, ("b", "a"))) == ["b", "a"]


def test_one_array_without_a_name_is_asked_for_where_its_preprocessors_have_none() -> None:
    chain = Preprocessing(["min_max_scaler"]).fit(lambda: [(np.array([[2.0], [4.0]]), None)])
    with pytest.raises(DataError, match=r"without a name, but got a dictionary of a[.]"):
        transform({"a": [[3.0]]}, {"": chain})


@pytest.mark.parametrize("rows", [[], 3.0, [["a"]], {"some": np.zeros((0, 3))}])
def test_what_are_no_rows_is_refused(rows: Any) -> None:
    with pytest.raises(DataError, match="Expected at least one row of numbers to predict from"):
        transform(rows, {})


def test_predictions_are_those_of_the_module_and_leave_no_trace() -> None:
    module = ClassifierModule({"type": "mlp", "hidden": [4]}, input_shape=(12, 2), num_classes=3)
    module.train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    random = torch.random.get_rng_state()
    found = predict_rows(module, {"": torch.from_numpy(ROWS)}, None)
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert torch.equal(random, torch.random.get_rng_state())
    module.eval()
    with torch.no_grad():
        shares = torch.softmax(module(torch.from_numpy(ROWS)), dim=1)
    np.testing.assert_allclose(found["probabilities"], shares.numpy(), rtol=1e-5)
    assert found["classes"].tolist() == shares.argmax(dim=1).tolist()


def test_windows_are_averaged_as_in_a_test() -> None:
    network = {"type": "lstm", "hidden": 4, "num_layers": 1}
    weights = (0.5, 1.5)
    module = RegressorModule(
        network, input_shape=(6, 2), output_shape=(), prediction_weights=weights
    ).eval()
    found = predict_rows(module, {"": torch.from_numpy(ROWS[:5])}, TimeWindows(6))
    with torch.no_grad():
        first = module(torch.from_numpy(ROWS[:5, :6]))
        second = module(torch.from_numpy(ROWS[:5, 6:]))  # which remembers the first
    expected = (0.5 * first + 1.5 * second) / 2
    np.testing.assert_allclose(found["predictions"], expected.numpy(), rtol=1e-5)


def test_a_recurrent_network_begins_anew_with_each_prediction() -> None:
    module = ClassifierModule("lstm", input_shape=(12, 2), num_classes=3)
    rows = {"": torch.from_numpy(ROWS[:5])}
    once, twice = (predict_rows(module, rows, None)["probabilities"] for _ in range(2))
    assert once.tobytes() == twice.tobytes()


class Joined(nn.Module):
    """Takes the numbers of all inputs in the order that they come in."""

    def __init__(self, shapes: dict[str, tuple[int, ...]], num_scores: int) -> None:
        super().__init__()
        self.layer = nn.Linear(sum(map(math.prod, shapes.values())), num_scores)

    @override
    def forward(self, inputs: dict[str, Tensor]) -> Any:
        return self.layer(torch.cat([each.flatten(1) for each in inputs.values()], dim=1))


@pytest.mark.parametrize(
    "windows",
    [None, TimeWindows(6), TimeWindows(5, stride=2, starts=(1, 0)), TimeWindows(12)],
)
def test_several_inputs_are_predicted_from_as_by_the_trainer(
    tmp_path: Path, windows: TimeWindows | None, quiet: dict[str, Any]
) -> None:
    rows = {"b": ROWS, "a": ROWS[:, :, 0] ** 2, "c": ROWS[:, :4, 1]}
    for number in (1, 2):
        np.savez(tmp_path / f"part_{number}.npz", **rows)  # type: ignore[arg-type] # mypy takes them for `allow_pickle`
    data = AutoDataModule(
        tmp_path, inputs=list(rows), labels=None, windows=windows, predict=[2], batch_size=600
    )
    told: Any = {"input_shape": data.sample_shape, "prediction_weights": (0.5, 1.5)}
    module = ClassifierModule(Joined, num_classes=3, **told)
    *_, last = Trainer(**quiet, logger=False).predict(module, data) or []
    other_order = {name: torch.from_numpy(rows[name]) for name in "abc"}
    found = predict_rows(module, other_order, windows)["probabilities"]
    np.testing.assert_allclose(found, np.asarray(last["probabilities"]), rtol=1e-5)  # type: ignore[call-overload] # not a list


def test_an_autoencoder_makes_rows_again_and_each_of_their_windows_by_itself(
    tmp_path: Path, quiet: dict[str, Any]
) -> None:
    module = AutoencoderModule(input_shape=(12, 2))
    found = predict_rows(module, {"": torch.from_numpy(ROWS)}, None)
    assert {name: value.shape for name, value in found.items()} == {"predictions": (600, 12, 2)}
    write_shards(tmp_path, {1: ROWS, 2: ROWS})
    windows = TimeWindows(5, stride=3)
    data = AutoDataModule(tmp_path, labels=None, windows=windows, predict=[2], batch_size=600)
    module = AutoencoderModule(input_shape=(5, 2))
    expected: Any = Trainer(**quiet, logger=False).predict(module, data)
    found = predict_rows(module, {"": torch.from_numpy(ROWS)}, windows)
    assert {name: value.shape for name, value in found.items()} == {"predictions": (600, 3, 5, 2)}
    for index, window in enumerate(expected):
        one = found["predictions"][:, index]
        np.testing.assert_allclose(one, window["reconstructions"], rtol=1e-4, atol=1e-6)


def test_rows_of_another_shape_are_refused() -> None:
    module = ClassifierModule("mlp", input_shape=(12, 2), num_classes=3)
    with pytest.raises(DataError, match=r"of shape \(12, 2\) after preprocessing, but got \(2,\)"):
        predict_rows(module, {"": torch.from_numpy(ROWS[0])}, None)
    with pytest.raises(DataError, match="one array of rows, without a name, but got a dictionary"):
        predict_rows(module, {"a": torch.from_numpy(ROWS)}, None)


class Foreign(LightningModule):
    """Gives what it is told to."""

    def __init__(self, gives: Any) -> None:
        super().__init__()
        self.layer, self.gives = nn.Linear(2, 1), gives

    @override
    def forward(self, inputs: Tensor) -> Any:
        return self.gives(self.layer(inputs))


def test_a_module_of_the_users_predicts_what_its_predict_step_gives() -> None:
    rows = {"": torch.from_numpy(ROWS).double()}
    module = Foreign(lambda output: output)
    numbers = predict_rows(module, rows, None)["predictions"]
    assert numbers.shape == (600, 12, 1)
    module.gives = lambda output: {"classes": output > 0}
    assert (predict_rows(module, rows, None)["classes"] == (numbers > 0)).all()
    with pytest.raises(ConfigError, match="a tensor, or a dictionary of tensors, but got list"):
        predict_rows(Foreign(lambda output: [output]), rows, None)
    with pytest.raises(ConfigError, match="Expected a module of leyden's to predict from windows"):
        predict_rows(Foreign(lambda output: output), rows, TimeWindows(6))
