"""What all figures share."""

from pathlib import Path

from matplotlib import image
from matplotlib.figure import Figure

from leyden.report import save_figure


def test_figure_is_written_as_png_and_alone(tmp_path: Path) -> None:
    path = tmp_path / "run" / "figure.png"
    save_figure(Figure(figsize=(2, 1), dpi=50), path)
    assert image.imread(path).shape == (50, 100, 4)
    assert list(path.parent.iterdir()) == [path]


def test_figure_replaces_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "figure.png"
    for width in (1, 2):
        save_figure(Figure(figsize=(width, 1), dpi=50), path)
    assert image.imread(path).shape[1] == 100


def test_same_figure_is_the_same_file(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save_figure(Figure(figsize=(1, 1)), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
