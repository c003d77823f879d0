import pytest

from leyden.errors import ConfigError
from leyden.lifecycle import Every


@pytest.mark.parametrize(
    ("every", "stage", "text"),
    [
        (Every(epochs=1), "train:epoch", "every 1 epochs"),
        (Every(batches=20), "train:batch", "every 20 batches"),
        (Every(iters=3), "train:iter", "every 3 iters"),
        (Every(validations=2), "val_end", "every 2 validations"),
    ],
)
def test_each_unit_has_a_stage_of_its_own(every: Every, stage: str, text: str) -> None:
    assert every.stage == stage
    assert str(every) == text


def test_it_is_time_at_multiples_counted_from_one() -> None:
    assert [count for count in range(13) if Every(batches=4).due(count)] == [4, 8, 12]
    assert [count for count in range(3) if Every(epochs=1).due(count)] == [1, 2]


def test_exactly_one_unit_is_given() -> None:
    with pytest.raises(ConfigError, match=r"one of `epochs`, .*, but got `epochs` and `iters`"):
        Every(epochs=1, iters=2)
    with pytest.raises(ConfigError, match="but got none"):
        Every()


@pytest.mark.parametrize("number", [0, -1, 1.5, True, "2"])
def test_numbers_are_whole_and_positive(number: int) -> None:
    with pytest.raises(
        ConfigError, match=f"`batches` to be a whole number from 1, but got {number!r}"
    ):
        Every(batches=number)
