from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from leyden.shards import Catalog, discover
from leyden.shards.digits import pack_digits


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Catalog, Catalog]:
    folder = pack_digits(tmp_path_factory.mktemp("data") / "digits")
    return discover(folder / "train"), discover(folder / "test")


def test_every_digit_is_in_one_part(parts: tuple[Catalog, Catalog]) -> None:
    train, test = parts
    assert sorted(train.set_numbers + test.set_numbers) == list(range(1, 19))
    assert train.num_samples + test.num_samples == 1797
    assert len(test.set_numbers) == 4  # of 18, a fifth


def test_the_parts_look_alike(parts: tuple[Catalog, Catalog]) -> None:
    for part in parts:
        assert (part.sample_shape, part.dtype) == ((1, 8, 8), np.dtype(np.float32))
        assert (part.label_shape, part.label_dtype) == ((), np.dtype(np.int64))
        assert part.num_classes == 10


def test_images_and_classes_are_those_of_scikit_learn(parts: tuple[Catalog, Catalog]) -> None:
    digits = load_digits()
    for part in parts:
        for number, rows in part.lengths.items():
            start = (number - 1) * 100
            images = part.open_data(number).read(np.arange(rows))
            np.testing.assert_array_equal(images[:, 0] * 16, digits.images[start : start + rows])
            np.testing.assert_array_equal(
                part.read_labels(number), digits.target[start : start + rows]
            )


def test_what_exists_is_not_packed_again(tmp_path: Path) -> None:
    assert pack_digits(tmp_path) == tmp_path
    assert list(tmp_path.iterdir()) == []
