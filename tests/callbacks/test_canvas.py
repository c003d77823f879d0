from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leyden.callbacks import batch_to_canvas
from leyden.callbacks.canvas import save_image, to_colours
from leyden.errors import DataError


@pytest.mark.parametrize(
    ("count", "cols", "size"),
    [
        (9, None, (300, 300)),
        (9, 5, (200, 500)),
        (9, 0, (900, 100)),
        (5, None, (300, 300)),
        (1, None, (100, 100)),
    ],
)
def test_images_are_tiled_in_rows(count: int, cols: int | None, size: tuple[int, int]) -> None:
    canvas = batch_to_canvas(np.zeros((count, 100, 100, 3)), cols)
    assert canvas.shape == (*size, 3)


def test_cells_are_filled_row_by_row_and_others_are_white() -> None:
    images = np.arange(3.0).reshape(3, 1, 1, 1) * np.ones((3, 2, 1, 1))
    canvas = batch_to_canvas(images, 2)
    assert canvas[..., 0].tolist() == [[0, 1], [0, 1], [2, 1], [2, 1]]


def test_channels_become_colours() -> None:
    assert batch_to_canvas(np.zeros((1, 2, 2, 1))).shape == (2, 2, 3)
    assert batch_to_canvas(np.zeros((1, 2, 2, 4))).shape == (2, 2, 4)
    five = np.arange(5.0).reshape(1, 1, 1, 5)
    assert batch_to_canvas(five).tolist() == [[[0, 1, 2]]]


def test_several_images_of_each_are_tiled_first() -> None:
    images = np.zeros((2, 1, 1, 3, 1))
    images[0, 0, 0, :, 0] = [1, 2, 3]
    images[1, 0, 0, :, 0] = [4, 5, 6]
    canvas = batch_to_canvas(images, 2)
    assert canvas[..., 0].tolist() == [[1, 2, 4, 5], [3, 1, 6, 1]]


@pytest.mark.parametrize("shape", [(2, 4, 4), (2, 4, 4, 2), (0, 4, 4, 3)])
def test_what_is_no_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"1, 3 or more channels, but got \("):
        batch_to_canvas(np.zeros(shape))


def test_a_file_has_the_colours(tmp_path: Path) -> None:
    image = np.array([[[-1.0, 0.0, 1.0], [-3.0, 0.5, 3.0]]])
    save_image(to_colours(image), tmp_path / "deep" / "one.png")
    with Image.open(tmp_path / "deep" / "one.png") as written:
        assert np.asarray(written).tolist() == [[[0, 127, 255], [0, 191, 255]]]
