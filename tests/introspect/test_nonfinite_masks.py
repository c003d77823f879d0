"""Masks of -Inf are nothing bad; what breaks beside them is found at the right layer."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from typing_extensions import override

from leyden.incidents.rows import find_bad_rows
from leyden.introspect import NonFinite, find_nonfinite, find_nonfinite_tensor, is_mask

TIME = 5


class Translator(nn.Module):
    """torch's own Transformer, with all the masks that it takes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(11, 8)
        self.transformer = nn.Transformer(
            8, 2, num_encoder_layers=2, num_decoder_layers=2, dim_feedforward=16, batch_first=True
        )
        self.head = nn.Linear(8, 11)

    @override
    def forward(self, source: Tensor, target: Tensor, masks: dict[str, Tensor]) -> Tensor:
        outputs: Tensor = self.head(
            self.transformer(self.embedding(source), self.embedding(target), **masks)
        )
        return outputs


def make_batch() -> dict[str, Any]:
    causal = nn.Transformer.generate_square_subsequent_mask(TIME)
    padding = torch.zeros(3, TIME).masked_fill(torch.arange(TIME) > 3, -math.inf)
    masks = {"tgt_mask": causal, "src_key_padding_mask": padding}
    masks |= {"memory_key_padding_mask": padding, "tgt_key_padding_mask": padding}
    tokens = torch.arange(3 * TIME).reshape(3, TIME) % 11
    return {"source": tokens, "target": tokens, "masks": masks}


def loss_of(model: Any, batch: Any) -> Tensor:
    scores = model(batch["source"], batch["target"], batch["masks"])
    return nn.functional.cross_entropy(scores.flatten(0, 1), batch["target"].flatten())


class Broken(nn.Module):
    """Divides by zero after a layer."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.layer(inputs)
        return outputs * (outputs.sum() - outputs.sum()).reciprocal() * 0


@pytest.mark.parametrize("training", [True, False])
def test_masks_of_a_healthy_transformer_are_nothing(training: bool) -> None:
    batch = make_batch()
    assert torch.isinf(batch["masks"]["tgt_mask"]).any()
    assert find_nonfinite(Translator(), batch, loss=loss_of, training=training) is None


@pytest.mark.parametrize(
    "path",
    [
        "transformer.encoder.layers.0.linear1",
        "transformer.encoder.layers.1.linear2",
        "transformer.decoder.layers.1.linear1",
        "transformer.decoder.layers.0.linear2",
        "head",
    ],
)
def test_layer_that_breaks_beside_masks_is_named(path: str) -> None:
    model = Translator()
    parent, _, name = path.rpartition(".")
    owner = model.get_submodule(parent)
    setattr(owner, name, Broken(getattr(owner, name)))
    found = find_nonfinite(model, make_batch(), loss=loss_of)
    assert found is not None
    assert (found.where, found.name) == ("output", path)
    assert found.num_nan > 0


def test_weight_that_is_nan_is_named_beside_masks() -> None:
    model = Translator()
    with torch.no_grad():
        model.transformer.decoder.layers[1].linear1.weight[0, 0] = math.nan
    found = find_nonfinite(model, make_batch(), loss=loss_of)
    assert found == NonFinite("weight", "transformer.decoder.layers.1.linear1.weight", 1, 0, 128)


class Attention(nn.Module):
    """Attention written by hand, with the masked scores coming out of a layer."""

    def __init__(self, last: nn.Module) -> None:
        super().__init__()
        self.query, self.key, self.mask, self.softmax = (
            *(nn.Linear(4, 4), nn.Linear(4, 4)),
            *(Masked(), nn.Softmax(-1)),
        )
        self.last = last

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        shares = self.softmax(self.mask(self.query(inputs) @ self.key(inputs).mT))
        outputs: Tensor = self.last(shares @ inputs)
        return outputs


class Masked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("upper", torch.full((3, 3), -math.inf).triu(1))

    @override
    def forward(self, scores: Tensor) -> Tensor:
        upper: Any = self.upper
        return scores.masked_fill(upper == -math.inf, -math.inf)


class Logarithm(nn.Module):
    @override
    def forward(self, inputs: Tensor) -> Tensor:
        return (inputs * 0).log()


def total(model: Any, batch: Any) -> Tensor:
    outputs: Tensor = model(batch).sum()
    return outputs


def test_scores_that_a_layer_has_masked_are_nothing() -> None:
    assert find_nonfinite(Attention(nn.Linear(4, 1)), torch.ones(2, 3, 4), loss=total) is None


def test_what_breaks_after_masked_scores_is_named_and_not_they() -> None:
    model = Attention(Broken(nn.Linear(4, 1)))
    found = find_nonfinite(model, torch.ones(2, 3, 4), loss=total)
    assert found is not None
    assert (found.where, found.name) == ("output", "last")


def test_logarithm_of_zero_is_named_if_the_loss_breaks() -> None:
    model = nn.Sequential(nn.Linear(4, 4), Logarithm(), nn.Linear(4, 1))
    found = find_nonfinite(model, torch.ones(2, 4), loss=total)
    assert found == NonFinite("output", "1", 0, 8, 8)


def test_batch_with_a_logarithm_of_zero_is_named() -> None:
    batch = torch.ones(2, 4)
    batch[1, 2] = -math.inf
    found = find_nonfinite(nn.Sequential(nn.Linear(4, 1)), batch, loss=total)
    assert found == NonFinite("batch", "", 0, 1, 8)


def test_weight_of_minus_infinity_is_never_a_mask() -> None:
    model = nn.Linear(4, 1)
    nn.init.constant_(model.weight, 0.0)
    with torch.no_grad():
        model.weight[0, 1] = -math.inf
    found = find_nonfinite(nn.Sequential(model, nn.Sigmoid()), torch.ones(2, 4), loss=total)
    assert found == NonFinite("weight", "0.weight", 0, 1, 4)


def test_single_tensors_are_looked_at_strictly_unless_masks_are_allowed() -> None:
    tensors = {"a": torch.tensor([1.0, -math.inf]), "b": torch.tensor([math.inf])}
    assert find_nonfinite_tensor("x", tensors) == NonFinite("x", "a", 0, 1, 2)
    assert find_nonfinite_tensor("x", tensors, with_masks=True) == NonFinite("x", "b", 0, 1, 1)
    complex_ones = {"c": torch.tensor([complex(1, -math.inf)])}
    assert find_nonfinite_tensor("x", complex_ones) == NonFinite("x", "c", 0, 1, 1)


def test_rows_of_a_mask_in_the_batch_are_not_bad() -> None:
    mask = make_batch()["masks"]["src_key_padding_mask"]
    assert is_mask(mask)
    assert not is_mask(torch.ones(3))
    assert not is_mask(torch.tensor([1, 2]))
    assert find_bad_rows({"mask": mask, "rows": torch.ones(3, 2)}) == []
    (bad,) = find_bad_rows({"mask": mask, "rows": torch.tensor([[1.0], [-math.inf], [0.5]])})
    assert (bad.tensor, bad.row) == ("rows", 1)
