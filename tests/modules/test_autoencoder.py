import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from lightning import Trainer
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from torch import Tensor, nn, tensor
from typing_extensions import override

from leyden.data import AutoDataModule
from leyden.errors import ConfigError
from leyden.modules import Autoencoder, AutoencoderModule
from leyden.shards import write_shards

MakeTrainer: TypeAlias = Callable[..., Trainer]

SMALL = {"type": "autoencoder", "latent": 2, "filters": [4], "hidden": [8]}


class Half(nn.Module):
    """Gives half of what it is given."""

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs / 2


def serve(folder: Path, shape: tuple[int, ...] = (4,), **settings: Any) -> AutoDataModule:
    """Serve sets of rows of which all numbers follow from one."""
    random = np.random.default_rng(0)
    rows: Any = {
        n: (random.normal(size=(20, 1)) * np.arange(1, 1 + np.prod(shape))).reshape(-1, *shape)
        for n in range(8)
    }
    labels: Any = {n: (part.reshape(20, -1)[:, 0] > 0).astype(np.int64) for n, part in rows.items()}
    write_shards(folder, {n: part.astype(np.float32) for n, part in rows.items()}, labels=labels)
    return AutoDataModule(folder, **{"val": [6], "test": [7], "batch_size": 8, **settings})


@pytest.mark.parametrize("shape", [(4,), (1, 4, 4)])
def test_it_learns_to_make_its_inputs_again(
    tmp_path: Path, make_trainer: MakeTrainer, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    data, trainer = serve(tmp_path / "d", shape), make_trainer(max_epochs=20)
    module = AutoencoderModule(SMALL, optimizer={"type": "adam", "lr": 0.01})
    before = make_trainer().validate(module, data, verbose=False)[0]["val/loss"]
    trainer.fit(module, data)
    assert isinstance(module.network, Autoencoder)
    assert module.hparams["input_shape"] == list(shape)
    assert trainer.callback_metrics["val/loss"] < 0.2 * before


def test_digits_are_made_again_better_than_by_principal_components(
    make_trainer: MakeTrainer,
) -> None:
    torch.manual_seed(0)
    digits = load_digits().images.astype(np.float32)[:, None]  # from 0 to 16, as they are
    rows, held = tensor(digits[:1400]), tensor(digits[1400:])
    module = AutoencoderModule({"type": "autoencoder", "latent": 2}, input_shape=(1, 8, 8))
    dataset = torch.utils.data.TensorDataset(rows)
    train = torch.utils.data.DataLoader(dataset, batch_size=50, shuffle=True)
    val = torch.utils.data.DataLoader(dataset, batch_size=50)
    make_trainer(max_epochs=4).fit(module, train, val)
    found = module.eval().predict_step(held, 0)["errors"].mean().item()
    components = PCA(2).fit(rows.flatten(1))
    again = components.inverse_transform(components.transform(held.flatten(1)))
    assert found < np.square(again - held.flatten(1).numpy()).mean()


def test_loss_metrics_and_errors_are_those_of_the_inputs(
    tmp_path: Path, make_trainer: MakeTrainer
) -> None:
    data = serve(tmp_path / "d")
    batches: list[Any] = [data.fetch("test", 0, index) for index in range(3)]
    inputs = torch.cat([batch[0] for batch in batches])
    module = AutoencoderModule(Half(), loss="mae", metrics=["mse", "mae"])
    (found,) = make_trainer().test(module, data, verbose=False)
    expected = {"mse": (inputs / 2).square().mean().item(), "mae": (inputs / 2).abs().mean().item()}
    expected["loss"] = expected["mae"]
    assert found == pytest.approx({f"test/{name}": v for name, v in expected.items()}, rel=1e-5)
    predicted: Any = make_trainer().predict(module, data)
    assert torch.equal(torch.cat([batch["reconstructions"] for batch in predicted]), inputs / 2)
    errors = torch.cat([batch["errors"] for batch in predicted])
    torch.testing.assert_close(errors, (inputs / 2).square().mean(1))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (None, 1.0),  # the target is the inputs: (2 - 1)²
        (tensor([3, 3]), 1.0),  # and also where labels are classes
        (torch.full((2, 1, 2), 3.0), 4.0),  # labels of the inputs' shape are the target: (3 - 1)²
    ],
)
def test_the_target_is_the_inputs_or_labels_of_their_shape(labels: Any, expected: float) -> None:
    module = AutoencoderModule(Half(), input_shape=(1, 2))
    inputs = torch.full((2, 1, 2), 2.0)
    batch = inputs if labels is None else (inputs, labels)
    assert module._score(batch)[2].item() == expected
    assert module.predict_step(batch, 0)["errors"].tolist() == [expected, expected]


def test_inputs_as_labels_are_the_clean_target(tmp_path: Path, make_trainer: MakeTrainer) -> None:
    noise: Any = {"type": "flip", "probability": 1.0}
    data = serve(tmp_path / "d", (1, 4, 4), labels="inputs", augmentors=[noise], shuffle="none")
    batch: Any = data.fetch("train", 0, 0)
    assert not torch.equal(*batch)
    module = AutoencoderModule(Half(), optimizer={"type": "sgd", "lr": 0.0}, input_shape=(1, 4, 4))
    _, _, loss = module._score(batch)
    torch.testing.assert_close(loss, (batch[0] / 2 - batch[1]).square().mean())


def test_samples_have_weights_in_the_loss() -> None:
    module = AutoencoderModule(Half(), input_shape=(1,))
    batch = tensor([[2.0], [4.0]]), tensor([0, 1]), tensor([1.0, 0.5])
    assert module._score(batch)[2].item() == (1 * 1 + 0.5 * 4) / 2


def test_a_checkpoint_is_loaded_without_data(tmp_path: Path, make_trainer: MakeTrainer) -> None:
    data, trainer = serve(tmp_path / "d", (1, 4, 4)), make_trainer(max_epochs=1)
    module = AutoencoderModule(SMALL)
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "all.ckpt")
    loaded = AutoencoderModule.load_from_checkpoint(tmp_path / "all.ckpt", weights_only=True).eval()
    inputs = torch.randn(3, 1, 4, 4)
    assert torch.equal(loaded(inputs), module.eval()(inputs))
    assert torch.equal(loaded.encode(inputs), module.encode(inputs))
    assert loaded.encode(inputs.to(torch.uint8)).shape == (3, 2)


def test_each_window_of_a_batch_is_a_sample(tmp_path: Path, make_trainer: MakeTrainer) -> None:
    data = serve(tmp_path / "d", (4, 1), windows={"size": 2})
    found: Any = make_trainer().predict(AutoencoderModule(Half()), data)
    for index, step in enumerate(found):
        batch: Any = data.fetch("predict", 0, index)
        assert torch.equal(step["reconstructions"], batch[0] / 2)
    (tested,) = make_trainer().test(AutoencoderModule(Half(), metrics="mse"), data, verbose=False)
    assert tested["test/mse"] == pytest.approx(tested["test/loss"])


@pytest.mark.parametrize(
    ("network", "inputs", "problem"),
    [
        (
            Half(),
            {"a": torch.zeros(2, 3), "b": torch.zeros(2)},
            "one array of inputs to make again",
        ),
        (nn.Linear(3, 2), torch.zeros(2, 3), "shape (2, 3) of its inputs, but got (2, 2). Pass an"),
    ],
)
def test_what_cannot_be_compared_is_refused(network: nn.Module, inputs: Any, problem: str) -> None:
    if isinstance(inputs, dict):
        network.forward = lambda inputs: inputs["a"]
    module = AutoencoderModule(network, input_shape=(3,))
    with pytest.raises(ConfigError, match=re.escape(problem)):
        module.training_step(inputs, 0)


def test_codes_need_a_network_that_encodes() -> None:
    module = AutoencoderModule(Half(), input_shape=(3,))
    with pytest.raises(
        ConfigError, match=r"network with a method `encode`, but got Half[.] Give it"
    ):
        module.encode(torch.zeros(2, 3))
    with pytest.raises(
        ConfigError, match=r"the network to be built, .* Pass `input_shape`, or use"
    ):
        AutoencoderModule().encode(torch.zeros(2, 3))


def test_networks_have_a_name() -> None:
    assert isinstance(AutoencoderModule(input_shape=(5,)).network, Autoencoder)
    with pytest.raises(ConfigError, match=r"`network` to be of .* Did you mean 'autoencoder'[?]"):
        AutoencoderModule("autoencode", input_shape=(5,))
