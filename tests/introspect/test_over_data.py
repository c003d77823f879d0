from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from typing_extensions import override

from leyden.data import AutoDataModule, TimeWindows
from leyden.errors import ConfigError, DataError
from leyden.introspect import gradient_norms, gradient_sums
from leyden.shards import write_shards

X = torch.randn(22, 4, generator=torch.Generator().manual_seed(0))
Y = torch.randint(0, 3, (22,), generator=torch.Generator().manual_seed(1))


def make_model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout(), nn.Linear(5, 3))


def make_loader(**options: Any) -> DataLoader[Any]:
    return DataLoader(TensorDataset(X, Y), batch_size=5, **options)


def loss(model: Any, batch: Any) -> Tensor:
    return functional.cross_entropy(model(batch[0]), batch[1])


def by_hand() -> list[dict[str, Tensor]]:
    model, found = make_model().eval(), []
    for batch in make_loader():
        model.zero_grad()
        loss(model, batch).backward()  # type: ignore[no-untyped-call]
        grads = {name: one.grad for name, one in model.named_parameters()}
        found.append({name: grad.clone() for name, grad in grads.items() if grad is not None})
    return found


def test_norms_of_every_batch_are_those_of_backward() -> None:
    found = gradient_norms(make_model(), make_loader(), loss=loss)
    rows = [[grad.double().norm().item() for grad in grads.values()] for grads in by_hand()]
    assert found.num_batches == 5
    assert found.names == tuple(by_hand()[0])
    assert found.local == pytest.approx(np.array(rows), rel=1e-6)
    assert found.total == pytest.approx(np.linalg.norm(rows, axis=1), rel=1e-6)
    assert found.values == pytest.approx(np.median(rows, axis=1), rel=1e-6)


def test_functions_make_norms_and_statistics() -> None:
    options: dict[str, Any] = {"loss": loss, "statistic": np.max, "layers": "0"}
    found = gradient_norms(make_model(), make_loader(), norm=torch.abs, **options)
    expected = [[grads[name].abs().sum().item() for name in found.names] for grads in by_hand()]
    assert found.names == ("0.weight", "0.bias")
    assert found.local == pytest.approx(np.array(expected), rel=1e-6)
    assert found.total == pytest.approx(np.sum(expected, 1), rel=1e-6)
    assert found.values == pytest.approx(np.max(expected, 1), rel=1e-6)
    squares = (torch.sqrt, torch.square)
    found = gradient_norms(make_model(), make_loader(), norm=squares, **options)
    usual = gradient_norms(make_model(), make_loader(), **options)
    assert found.local == pytest.approx(usual.local, rel=1e-6)
    assert found.total == pytest.approx(usual.total, rel=1e-6)


def test_sums_are_those_of_backward() -> None:
    found = gradient_sums(make_model(), make_loader(), loss=loss)
    assert found.num_batches == 5
    for name, total in found.tensors.items():
        expected = torch.stack([grads[name].double() for grads in by_hand()]).sum(0)
        torch.testing.assert_close(total.double(), expected, rtol=1e-6, atol=1e-7)


def test_sums_by_outputs_are_over_rows() -> None:
    found = gradient_sums(make_model(), make_loader(), loss=loss, layers=-1, of="outputs")
    expected = sum(grads["3.bias"] for grads in by_hand())  # each row adds its gradient to the bias
    torch.testing.assert_close(found.tensors["3"], expected, rtol=1e-6, atol=1e-7)


def test_text_says_what_clipping_needs() -> None:
    batches = [torch.tensor([[3.0, 4.0]]), torch.tensor([[6.0, 8.0]])]
    layer = nn.Linear(2, 1)
    found = gradient_norms(layer, batches, loss=lambda model, batch: model(batch).sum())
    assert str(found) == (
        "Gradient norms over 2 batches\n"
        "of one: mean 4.25, largest 5.5\n"  # medians of (5, 1) and of (10, 1)
        f"of all: mean {(26**0.5 + 101**0.5) / 2:.4g}, largest {101**0.5:.4g}"
    )


def test_first_batches_may_be_enough_and_progress_is_shown() -> None:
    gone = list[int]()

    def progress(loader: Iterable[Any]) -> Iterable[Any]:
        for index, batch in enumerate(loader):
            gone.append(index)
            yield batch

    found = gradient_norms(
        make_model(), make_loader(), loss=loss, num_batches=2, progress=progress, training=True
    )
    assert found.num_batches == 2
    assert gone == [0, 1]


@pytest.mark.parametrize("fails", [False, True])
def test_model_loader_and_generators_are_left_as_they_were(fails: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    model, loader = make_model(), make_loader(shuffle=True, generator=generator)
    model[3].weight.grad = torch.ones(3, 5)
    dice, own = torch.get_rng_state(), generator.get_state()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def failing(model: Any, batch: Any) -> Tensor:
        found = loss(model, batch)
        if fails and len(batch[0]) == 2:
            raise KeyError("out of luck")
        return found

    for measure in (gradient_norms, gradient_sums):
        if fails:
            with pytest.raises(KeyError, match="out of luck"):
                measure(model, loader, loss=failing, training=True)
        else:
            measure(model, loader, loss=failing, training=True)
        assert all(torch.equal(model.state_dict()[name], one) for name, one in before.items())
        assert torch.equal(torch.get_rng_state(), dice)
        assert torch.equal(generator.get_state(), own)
        assert [one.grad is None for one in model.parameters()] == [True] * 4 + [False, True]
        assert torch.equal(model[3].weight.grad, torch.ones(3, 5))
        assert model.training


def test_too_few_batches_are_told() -> None:
    with pytest.raises(DataError, match="6 batches or more, but got 5"):
        gradient_norms(make_model(), make_loader(), loss=loss, num_batches=6)
    with pytest.raises(DataError, match="1 batches or more, but got 0"):
        gradient_sums(make_model(), [], loss=loss)
    with pytest.raises(ConfigError, match="`num_batches` to be at least 1, but got 0"):
        gradient_sums(make_model(), [], loss=loss, num_batches=0)
    with pytest.raises(TypeError, match="num_batch"):
        gradient_sums(make_model(), [], loss=loss, num_batch=1)  # type: ignore[call-arg]


class Choosing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.few, self.many = nn.Linear(4, 1), nn.Linear(4, 1)

    @override
    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = (self.few if len(x) < 5 else self.many)(x).sum()
        return out


def test_batches_that_go_other_ways_are_told() -> None:
    def total(model: Any, batch: Any) -> Tensor:
        out: Tensor = model(batch[0])
        return out

    found = gradient_norms(Choosing(), make_loader(), loss=total)
    assert (found.local[:, found.names.index("few.bias")] == [0, 0, 0, 0, 2]).all()
    with pytest.raises(DataError, match=r"before: \('many',\)\nnow: \('few',\)"):
        gradient_norms(Choosing(), make_loader(), loss=total, of="outputs")


def test_place_of_a_data_module_stays(tmp_path: Path) -> None:
    pieces: Any = [(x.numpy(), y.numpy()) for x, y in zip(X.split(6), Y.split(6), strict=True)]  # type: ignore[no-untyped-call]
    x, y = (dict(enumerate(arrays)) for arrays in zip(*pieces, strict=True))
    write_shards(tmp_path, x, labels=y)

    def epochs(looks: bool) -> list[Any]:
        data = AutoDataModule(tmp_path, batch_size=5, val=None)
        data.setup("fit")
        loader: Any = data.train_dataloader()
        rows = []
        for epoch in range(2):
            loader.set_epoch(epoch)
            for batch in loader:
                rows.append(batch[0].tolist())
                if looks and len(rows) in (2, 5):
                    assert gradient_norms(make_model(), loader, loss=loss).num_batches == 5
        assert data.status is not None
        assert data.status.batch == 4
        return rows

    assert epochs(looks=True) == epochs(looks=False)


class Recurrent(nn.Module):
    """Counts the calls since it was reset."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1, bias=False)
        self.calls = 0

    def reset_state(self) -> None:
        self.calls = 0


def test_recurrent_parts_begin_with_the_batch_and_not_with_the_window(tmp_path: Path) -> None:
    series = np.zeros((2, 9, 4), dtype=np.float32)
    write_shards(tmp_path, {1: series, 2: series})
    data = AutoDataModule(tmp_path, batch_size=2, val=None, windows=TimeWindows(3))
    data.setup("fit")
    seen = list[int]()

    def note(model: Any, batch: Any) -> Tensor:
        model.calls += 1
        seen.append(model.calls)
        out: Tensor = model.layer(batch[0] if isinstance(batch, list | tuple) else batch).sum()
        return out

    model = Recurrent()
    model.calls = 7
    gradient_norms(model, data.train_dataloader(), loss=note)
    assert seen == [1, 2, 3, 1, 2, 3]
    assert model.calls == 7
