"""What a training changes besides weights comes back in another process, through a file."""

import sys
from collections import Counter, OrderedDict, defaultdict, deque
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from torch import Tensor
from typing_extensions import override

from leyden import latest_checkpoint
from leyden.callbacks import ExactResume
from leyden.resume.values import copied, is_plain, num_elements, same


class Average:
    """Averages of weights, kept apart from the module, as many projects have them."""

    def __init__(self) -> None:
        self.steps = 0
        self._shadow: dict[str, Tensor] = {}

    def update(self, module: BoringModel) -> None:
        self.steps += 1
        for name, value in module.named_parameters():
            before = self._shadow.get(name, torch.zeros_like(value))
            self._shadow[name] = 0.9 * before + 0.1 * value.detach()


class Remembering(BoringModel):
    def __init__(self) -> None:
        super().__init__()
        self.path = "as the project has it"
        self._mean = 0.0
        self.recent: deque[float] = deque(maxlen=3)
        self.count: Counter[str] = Counter()
        self.by_parity: defaultdict[int, list[float]] = defaultdict(list)
        self.last: OrderedDict[str, float] = OrderedDict()
        self.seen: set[int] = set()
        self.sums = np.zeros(2)
        self.average = Average()

    @override
    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        loss = float(outputs["loss"])
        self._mean = 0.9 * self._mean + 0.1 * loss
        self.recent.append(loss)
        self.count["steps"] += 1
        self.by_parity[batch_idx % 2].append(loss)
        self.last["loss"] = loss
        self.seen.add(self.global_step)
        self.sums = self.sums + loss
        self.average.update(self)

    def remembered(self) -> dict[str, Any]:
        names = ("_mean", "recent", "count", "by_parity", "last", "seen", "sums")
        return {name: getattr(self, name) for name in names} | vars(self.average)


class Stop(Callback):
    @override
    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == 5:
            raise KeyError("stop")


def fit(folder: Path, *callbacks: Callback, path: str = "as the project has it") -> Remembering:
    torch.manual_seed(0)
    module = Remembering()
    module.path = path
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=2,
        limit_train_batches=4,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[*callbacks, ExactResume(folder, every_n_steps=1)],
    )
    trainer.fit(module, ckpt_path=latest_checkpoint(folder))
    return module


def test_what_a_module_remembers_goes_on(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole").remembered()
    with pytest.raises(KeyError, match="stop"):
        fit(tmp_path / "d", Stop())
    module = fit(tmp_path / "d", path="as it is now")
    assert same(module.remembered(), whole)
    assert module.recent.maxlen == 3
    assert module.by_parity["new"] == []  # type: ignore[index] # of which there is none
    assert module.path == "as it is now"  # which no training changed


PLAIN: list[Any] = [
    *(None, True, 1, 0.5, 1j, "a", np.float32(1), np.arange(3), torch.ones(2)),
    *([1, (2, [3])], {1, 2}, deque([1], 2), Counter("ab"), OrderedDict(a=[1])),
    *({"a": {1: torch.ones(1)}}, defaultdict(int, a=1)),
]
NOT_PLAIN: list[Any] = [
    *(object(), [object()], {"a": object()}, {object(): 1}, torch.nn.Parameter(torch.ones(1))),
    *(np.array([None]), np.arange(2).astype(">f8"), np.longdouble(1), np.ma.masked_array([1])),
    *(defaultdict(lambda: 0), frozenset([1]), len),
]


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_a_plain_value_is_copied(value: Any) -> None:
    assert is_plain(value)
    assert same(copied(value), value)
    assert not same(value, [value])


@pytest.mark.parametrize("value", NOT_PLAIN, ids=lambda value: type(value).__name__)
def test_what_a_file_cannot_hold_is_not_plain(value: Any) -> None:
    assert not is_plain(value)


@pytest.mark.parametrize("value", [np.zeros(17), list(range(17)), {n: n for n in range(17)}])
def test_what_is_long_is_data(value: Any) -> None:
    assert is_plain(value)
    assert not is_plain(value, most=16)
    assert not is_plain([value], most=16)


def test_numbers_are_counted_wherever_they_are() -> None:
    assert num_elements({"a": [1, torch.zeros(2, 3)], "b": (np.zeros(4), {5, 6})}) == 13


def test_many_texts_are_copied_in_less_time_than_a_call_for_each_takes() -> None:
    names = [str(number) for number in range(50_000)]
    calls = count()
    sys.setprofile(lambda *_: next(calls))
    try:
        assert is_plain(names)
        assert num_elements({"names": names}) == 50_000
        copy = copied(names)
    finally:
        sys.setprofile(None)
    assert next(calls) < 1000
    assert copy == names
    assert copy is not names


def test_what_holds_itself_is_not_plain() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert not is_plain(endless)


def test_a_copy_is_apart() -> None:
    value: Any = {"a": [torch.ones(2)], "b": deque([np.ones(2)])}
    copy = copied(value)
    value["a"][0] += 1
    value["b"][0] += 1
    assert copy["a"][0].tolist() == [1, 1]
    assert copy["b"][0].tolist() == [1, 1]
