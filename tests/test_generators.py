"""The state of every generator survives a file, and no generator is overlooked."""

import functools
import random
from collections import OrderedDict, UserDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from torch.utils.data import DataLoader, RandomSampler, TensorDataset
from typing_extensions import override

from leyden.errors import ResumeError
from leyden.generators import (
    Generator,
    Stream,
    find_generators,
    generator_states,
    global_state,
    restore_generators,
    restore_global_state,
    undisturbed,
)

Draw = tuple[Any, ...]


@pytest.fixture(autouse=True)
def put_the_generators_back() -> Iterator[None]:
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    yield
    random.setstate(before[0])
    np.random.set_state(before[1])
    torch.set_rng_state(before[2])


def seed(number: int) -> None:
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


def draw_globals() -> Draw:
    """One of each kind; those of a normal distribution come in pairs, of which one is kept."""
    return (
        random.random(),
        random.gauss(0, 1),
        np.random.rand(),
        np.random.standard_normal(),
        torch.rand(1).item(),
        torch.randn(1).item(),
    )


def through_a_file(state: Any, folder: Path) -> Any:
    torch.save(state, folder / "state.pt")
    return torch.load(folder / "state.pt", weights_only=True)


OWN: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "torch": (
        lambda: torch.Generator().manual_seed(3),
        lambda one: torch.randn(3, generator=one).tolist(),
    ),
    "python": (lambda: random.Random(3), lambda one: (one.gauss(0, 1), one.random())),
    "legacy": (
        lambda: np.random.RandomState(3),
        lambda one: (one.standard_normal(), one.rand()),
    ),
    **{
        name: (
            functools.partial(lambda kind: np.random.Generator(kind(3)), kind),
            lambda one: (one.standard_normal(), one.integers(0, 9, dtype=np.uint32).item()),
        )
        for name, kind in {
            "PCG64": np.random.PCG64,
            "PCG64DXSM": np.random.PCG64DXSM,
            "MT19937": np.random.MT19937,
            "Philox": np.random.Philox,
            "SFC64": np.random.SFC64,
        }.items()
    },
    "legacy over PCG64": (
        lambda: np.random.RandomState(np.random.PCG64(3)),
        lambda one: (one.standard_normal(), one.rand()),
    ),
}


@pytest.mark.parametrize("num_draws", [0, 1, 2, 7])
def test_global_generators_go_on_from_a_file(tmp_path: Path, num_draws: int) -> None:
    seed(num_draws)
    for _ in range(num_draws):
        draw_globals()
    state = through_a_file(global_state(), tmp_path)
    expected = [draw_globals() for _ in range(3)]
    seed(99)
    restore_global_state(state)
    assert [draw_globals() for _ in range(3)] == expected


def test_state_is_not_changed_by_drawing_or_restoring() -> None:
    seed(1)
    state = global_state()
    expected = draw_globals()
    for _ in range(2):
        restore_global_state(state)
        assert draw_globals() == expected


def test_restoring_keeps_the_generators_that_others_hold() -> None:
    held = torch.default_generator, np.random.mtrand._rand, random._inst
    restore_global_state(global_state())
    now = torch.default_generator, np.random.mtrand._rand, random._inst
    assert all(one is other for one, other in zip(held, now, strict=True))


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize("num_draws", [0, 1, 5])
def test_own_generator_goes_on_from_a_file(tmp_path: Path, kind: str, num_draws: int) -> None:
    make, draw = OWN[kind]
    original, copy = make(), make()
    for _ in range(num_draws):
        draw(original)
    state = through_a_file(generator_states([original]), tmp_path)
    restore_generators([copy], state)
    assert [draw(copy) for _ in range(9)] == [draw(original) for _ in range(9)]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(kinds=st.lists(st.sampled_from(sorted(OWN)), max_size=5), draws=st.integers(0, 50))
def test_any_generators_go_on_in_their_order(kinds: list[str], draws: int) -> None:
    originals = [OWN[kind][0]() for kind in kinds]
    for number, (kind, one) in enumerate(zip(kinds, originals, strict=True)):
        for _ in range(draws + number):
            OWN[kind][1](one)
    copies = [OWN[kind][0]() for kind in kinds]
    restore_generators(copies, generator_states(originals))
    for kind, one, other in zip(kinds, originals, copies, strict=True):
        assert OWN[kind][1](one) == OWN[kind][1](other)


def test_as_many_states_as_generators_are_needed() -> None:
    with pytest.raises(ResumeError, match="to hold 0 random generators"):
        restore_generators([random.Random(1)], [])


class Holder:
    def __init__(self, **parts: Any) -> None:
        vars(self).update(parts)


class Slotted:
    __slots__ = ("__weakref__", "empty", "rng")

    def __init__(self, rng: Any) -> None:
        self.rng = rng


class SlottedChild(Slotted):
    __slots__ = ("_SlottedChild__mangled", "other")

    def __init__(self, rng: Any, other: Any) -> None:
        super().__init__(rng)
        self.other = other


class Method:
    def __init__(self, rng: Any) -> None:
        self.rng = rng

    def transform(self, row: Any) -> Any:
        return row + self.rng.random()


def closure(rng: Any) -> Callable[[], float]:
    def transform() -> float:
        return float(rng.random())

    return transform


HOLDERS: dict[str, Callable[[Any], Any]] = {
    "itself": lambda rng: rng,
    "attribute": lambda rng: Holder(rng=rng),
    "private attribute": lambda rng: Holder(_rng=rng),
    "list": lambda rng: [0, rng],
    "tuple": lambda rng: (rng,),
    "dict": lambda rng: {"a": rng},
    "ordered dict": lambda rng: OrderedDict(a=rng),
    "user dict": lambda rng: UserDict(a=rng),
    "nested": lambda rng: Holder(sub=Holder(parts=[{"t": Holder(rng=rng)}])),
    "slots": Slotted,
    "slots of a base class": lambda rng: SlottedChild(rng, 1),
    "partial": lambda rng: functools.partial(max, rng),
    "keyword of a partial": lambda rng: functools.partial(max, key=rng),
    "bound method": lambda rng: Method(rng).transform,
    "closure": closure,
    "module": lambda rng: torch.nn.Sequential(_module(rng)),
}


def _module(rng: Any) -> torch.nn.Module:
    module: Any = torch.nn.Identity()
    module.rng = rng
    assert isinstance(module, torch.nn.Module)
    return module


@pytest.mark.parametrize("holder", HOLDERS)
def test_generator_is_found_wherever_it_is_held(holder: str) -> None:
    rng = np.random.default_rng(1)
    assert find_generators(HOLDERS[holder](rng)) == [rng]


def test_each_generator_is_found_once_and_in_order() -> None:
    first, second, third = random.Random(1), random.Random(1), torch.Generator()
    found = find_generators(
        Holder(a=[first, second], b={"x": first, "y": third}, c=Holder(d=second))
    )
    assert [id(one) for one in found] == [id(one) for one in (first, second, third)]


def test_what_holds_itself_ends() -> None:
    rng = random.Random(1)
    one, other = Holder(rng=rng), Holder()
    one.other, other.one = other, one  # type: ignore[attr-defined] # they refer to each other
    assert find_generators([one, other]) == [rng]


def test_generator_is_found_in_dataset_transform_and_sampler_of_a_loader() -> None:
    in_dataset, in_sampler, in_loader = torch.Generator(), torch.Generator(), torch.Generator()
    dataset: Any = TensorDataset(torch.arange(8))
    dataset.transform = Holder(generator=in_dataset)
    sampler = RandomSampler(dataset, generator=in_sampler)
    loader = DataLoader(dataset, batch_size=2, sampler=sampler, generator=in_loader)
    found = {id(one) for one in find_generators(loader)}
    assert found == {id(in_dataset), id(in_sampler), id(in_loader)}


def test_long_lists_are_not_looked_through() -> None:
    assert find_generators(Holder(rows=[random.Random(1)] * 257)) == []


def test_global_generator_of_a_module_that_is_held_is_not_the_objects_own() -> None:
    assert find_generators(Holder(numpy=np, random=random, torch=torch)) == []


def test_classes_are_not_looked_through() -> None:
    class Shared:
        rng = random.Random(1)

    assert find_generators(Shared) == []


def test_generator_without_state_is_left_out() -> None:
    rng = random.Random(1)
    assert find_generators([random.SystemRandom(), rng]) == [rng]


def test_looking_does_not_read_data() -> None:
    class Rows(UserDict[int, Any]):
        @override
        def __getitem__(self, key: int) -> Any:
            raise AssertionError("a row was read")

    assert find_generators(Holder(rows=Rows({1: 2}))) == []


def test_configuration_with_missing_values_is_no_obstacle() -> None:
    config = OmegaConf.create({"path": "???", "other": "${nowhere}"})
    assert find_generators(Holder(config=config)) == []


def stream_draws(stream: Stream) -> Draw:
    with stream.use():
        return draw_globals()


@settings(max_examples=25, deadline=None)
@given(number=st.integers(0, 2**63 - 1), outside=st.lists(st.integers(0, 3), max_size=6))
def test_stream_and_the_outside_do_not_see_each_other(number: int, outside: list[int]) -> None:
    alone = Stream(number)
    expected = [stream_draws(alone) for _ in outside]
    seed(5)
    undisturbed_outside = [draw_globals() for _ in range(sum(outside))]
    seed(5)
    stream = Stream(number)
    seen, drawn = [], []
    for times in outside:
        drawn += [draw_globals() for _ in range(times)]
        seen.append(stream_draws(stream))
    assert (seen, drawn) == (expected, undisturbed_outside)


def test_streams_of_other_seeds_differ() -> None:
    one, other = stream_draws(Stream(1)), stream_draws(Stream(2))
    assert not set(one) & set(other)


def test_stream_goes_on_after_an_exception_and_the_outside_too() -> None:
    reference, stream = Stream(4), Stream(4)
    expected = [stream_draws(reference) for _ in range(2)]
    seed(5)
    outside = draw_globals()
    seed(5)
    with pytest.raises(KeyError, match="mine"), stream.use():
        fail_after(draw_globals())
    assert draw_globals() == outside
    assert stream_draws(stream) == expected[1]


def fail_after(_: Draw) -> None:
    raise KeyError("mine")


def test_undisturbed_forgets_what_was_drawn_even_after_an_exception() -> None:
    seed(6)
    expected = draw_globals()
    seed(6)
    with undisturbed():
        draw_globals()
    with pytest.raises(KeyError, match="mine"), undisturbed():
        fail_after(draw_globals())
    assert draw_globals() == expected


def test_state_without_devices_has_no_cuda() -> None:
    assert set(global_state(devices=False)) == {"python", "numpy", "torch"}


def test_types_of_generators_are_named() -> None:
    kinds: list[Generator] = [OWN[kind][0]() for kind in OWN]
    assert find_generators(kinds) == kinds
