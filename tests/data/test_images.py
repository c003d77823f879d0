import pytest

from leyden.data.images import check_images
from leyden.errors import DataError


@pytest.mark.parametrize(
    ("shape", "channels"),
    [((2, 3, 8, 9), ()), ((2, 7, 8, 9), ()), ((0, 1, 1, 1), (1, 3)), ((2, 3, 8, 3), (1, 3))],
)
def test_images_have_their_channels_first(
    shape: tuple[int, ...], channels: tuple[int, ...]
) -> None:
    check_images(shape, "flip", channels=channels)


@pytest.mark.parametrize("shape", [(), (2,), (2, 8), (2, 8, 8), (2, 1, 8, 8, 8)])
def test_what_are_not_images_is_refused(shape: tuple[int, ...]) -> None:
    problem = r"Expected the inputs of flip to be images \(rows, channels, height, width\), but got"
    with pytest.raises(DataError, match=problem):
        check_images(shape, "flip")


def test_another_number_of_channels_is_refused() -> None:
    with pytest.raises(DataError, match=r"images \(rows, 1 or 3, height, .*\(2, 4, 8, 8\)\.$"):
        check_images((2, 4, 8, 8), "flip", channels=(1, 3))


def test_channels_that_come_last_are_pointed_out() -> None:
    with pytest.raises(DataError, match=r"come last. Put `channels_first` .*channels_last=True"):
        check_images((2, 8, 8, 3), "flip")
