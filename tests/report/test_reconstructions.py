"""Pictures of autoencoders."""

import numpy as np
import pytest

from leyden.errors import DataError
from leyden.report import draw_reconstructions


def test_originals_are_above_what_became_of_them() -> None:
    originals = np.arange(3 * 4).reshape(3, 2, 2) / 11
    figure = draw_reconstructions(originals, originals * 0.5, count=2)
    shown = [np.asarray(ax.images[0].get_array()) for ax in figure.axes]
    high = originals[1].max()  # of those that are shown
    np.testing.assert_allclose(shown[:2], originals[:2] / high)
    np.testing.assert_allclose(shown[2:], originals[:2] / high * 0.5)
    assert [ax.get_ylabel() for ax in figure.axes] == ["original", "", "made", ""]
    spec = figure.axes[0].get_subplotspec()
    assert spec is not None
    assert spec.get_gridspec().get_geometry() == (2, 2)


def test_colours_are_moved_last_and_one_channel_is_grey() -> None:
    images = np.random.default_rng(0).random((1, 3, 4, 5))
    colours = draw_reconstructions(images, images, limits=(0, 1)).axes[0].images[0]
    np.testing.assert_allclose(np.asarray(colours.get_array()), np.moveaxis(images[0], 0, -1))
    grey = draw_reconstructions(images[:, :1], images[:, :1]).axes[0].images[0]
    assert np.asarray(grey.get_array()).shape == (4, 5)
    assert (grey.get_cmap().name, grey.get_clim()) == ("gray", (0, 1))


def test_values_beyond_the_limits_are_cut_off() -> None:
    image = np.array([[[-1.0, 0.5, 3.0]]])
    shown = draw_reconstructions(image, image, limits=(0, 1)).axes[1].images[0].get_array()
    assert np.asarray(shown).tolist() == [[0, 0.5, 1]]


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(DataError, match=r"shape of `originals`, but got \(1, 2\) and \(1, 3\)"):
        draw_reconstructions(np.zeros((1, 3)), np.zeros((1, 2)))
    with pytest.raises(DataError, match=r"with 1 or 3 channels, but got \(1, 2, 3, 3\)"):
        draw_reconstructions(np.zeros((1, 2, 3, 3)), np.zeros((1, 2, 3, 3)))


def test_images_that_are_not_finite_are_drawn() -> None:
    images = np.array([[[0.0, np.nan], [np.inf, 2.0]], [[np.nan] * 2] * 2])
    shown = draw_reconstructions(images, images).axes[0].images[0].get_array()
    assert shown is not None
    assert float(shown[1, 1]) == 1.0
    draw_reconstructions(images[1:], images[1:])
