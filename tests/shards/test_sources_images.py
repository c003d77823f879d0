"""Folders of images as a source."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image

from leyden.errors import ConfigError, DataError, MissingPathError
from leyden.shards import ImageFolder, pack, read_manifest
from leyden.shards.sources import Block
from leyden.types import Array

Write = Callable[[str, Array], None]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """The folder of class folders."""
    return tmp_path / "photos"


@pytest.fixture
def write(photos: Path) -> Write:
    """Write pixels as an image below the folder ``photos``."""

    def write_one(name: str, pixels: Array) -> None:
        path = photos / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)

    return write_one


def grey(value: int, height: int = 2, width: int = 3) -> Array:
    return np.full((height, width), value, np.uint8)


def whole(source: ImageFolder) -> Block:
    source.check()
    return source.read(np.arange(source.num_rows))


def values(source: ImageFolder) -> list[int]:
    """One pixel of each image."""
    firsts: list[int] = whole(source).inputs[:, 0, 0, 0].tolist()
    return firsts


def test_images_come_channels_first_as_they_are(write: Write, photos: Path) -> None:
    pixels = np.random.default_rng(0).integers(256, size=(2, 3, 3), dtype=np.uint8)
    write("cat/1.png", pixels)
    block = whole(ImageFolder(photos))
    assert block.inputs.dtype == np.uint8
    np.testing.assert_array_equal(block.inputs[0], pixels.transpose(2, 0, 1))


def test_classes_are_sub_folders_in_alphabetical_order(write: Write, photos: Path) -> None:
    for name in ("dog/1.png", "cat/1.png", "owl/1.png"):
        write(name, grey(ord(name[0])))
    source = ImageFolder(photos)
    assert source.class_names == ("cat", "dog", "owl")
    block = whole(source)
    assert block.labels is not None
    assert block.labels.tolist() == [0, 1, 2]
    assert block.inputs[:, 0, 0, 0].tolist() == [ord("c"), ord("d"), ord("o")]


def test_each_class_is_spread_evenly(write: Write, photos: Path) -> None:
    for number in range(8):
        write(f"many/{number}.png", grey(number))
    for number in range(2):
        write(f"rare/{number}.png", grey(100 + number))
    assert values(ImageFolder(photos)) == [0, 1, 100, 2, 3, 4, 5, 101, 6, 7]


def test_images_are_searched_by_their_names_and_deeply(write: Write, photos: Path) -> None:
    for number, name in enumerate(("a/x.PNG", "a/deep/er/y.bmp", "a/z.gif", "a/.hidden.png")):
        write(name, grey(number))
    write(".hidden/1.png", grey(9))
    write("a/.thumbnails/1.png", grey(9))
    (photos / "a" / "notes.txt").write_text("not an image")
    (photos / "README.md").write_text("nor this")
    assert sorted(values(ImageFolder(photos))) == [0, 1, 2]
    assert ImageFolder(photos).class_names == ("a",)


@pytest.mark.parametrize(("color", "channels"), [("rgb", 3), ("grayscale", 1)])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK"])
def test_colors_are_converted(
    tmp_path: Path, color: Literal["rgb", "grayscale"], channels: int, mode: str
) -> None:
    (tmp_path / "a").mkdir()
    Image.new("RGB", (3, 2), "white").convert(mode).save(tmp_path / "a" / "1.tif")
    block = whole(ImageFolder(tmp_path, color=color))
    np.testing.assert_array_equal(block.inputs, np.full((1, channels, 2, 3), 255))


def test_images_are_scaled(write: Write, photos: Path) -> None:
    write("a/1.png", grey(7, 4, 8))
    write("a/2.png", grey(9, 30, 10))
    block = whole(ImageFolder(photos, size=(5, 6), color="grayscale"))
    assert block.inputs.shape == (2, 1, 5, 6)
    assert np.unique(block.inputs).tolist() == [7, 9]


def test_a_photo_is_turned_the_way_it_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    image = Image.fromarray(grey(5, 4, 8))
    exif = image.getexif()
    exif[0x0112] = 6  # the camera was held upright
    image.save(tmp_path / "a" / "1.jpg", exif=exif)
    assert whole(ImageFolder(tmp_path)).inputs.shape == (1, 3, 8, 4)


def test_all_that_cannot_be_read_is_listed_before_anything_is_written(
    write: Write, photos: Path, tmp_path: Path
) -> None:
    for number in range(60):
        write(f"a/{number:02}.png", np.arange(600, dtype=np.uint8).reshape(20, 30))
    intact = (photos / "a" / "00.png").read_bytes()
    (photos / "a" / "10.png").write_bytes(intact[:-60])
    (photos / "a" / "20.png").write_bytes(b"no image")
    (photos / "a" / "30.png").write_bytes(b"")
    Image.fromarray(np.full((20, 30), 40_000, np.uint16)).save(photos / "a" / "40.png")
    with pytest.raises(DataError, match=r"Expected images in .*photos, but cannot read:") as caught:
        pack(photos, tmp_path / "d", rows_per_shard=5)
    lines = str(caught.value).splitlines()[1:]
    assert [line.split(":")[0] for line in lines] == [f"a/{n}.png" for n in (10, 20, 30, 40)]
    assert "more than 8 bits a channel" in lines[3]
    assert {path.name for path in tmp_path.iterdir()} == {"photos"}


def deep_png(channels: int) -> bytes:
    """An image of 3 x 2 pixels of 16 bits a channel, which Pillow does not write."""
    rows = b"".join(b"\0" + b"\x13\x88" * 3 * channels for _ in range(2))
    header = struct.pack(">IIBBBBB", 3, 2, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    lines = (
        struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part))
        for kind, part in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(lines)


def deep_tiff(planar: int) -> bytes:
    """The same of three channels, by pixels or one channel after another."""
    num_parts, size = (1, 36) if planar == 1 else (3, 12)
    starts = [3 * 2 + num_parts * 4 * 2 + 134 + i * size for i in range(num_parts)]
    bits, offsets, counts = 134, 140, 140 + 4 * num_parts
    where = (offsets, counts) if planar == 2 else (starts[0], size)
    tags = [(256, 3, 1, 3), (257, 3, 1, 2), (258, 3, 3, bits), (259, 3, 1, 1), (262, 3, 1, 2)]
    tags += [(273, 4, num_parts, where[0]), (277, 3, 1, 3), (278, 3, 1, 2)]
    tags += [(279, 4, num_parts, where[1]), (284, 3, 1, planar)]
    directory = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + directory + bytes(4)
    lists = struct.pack(f"<HHH{2 * num_parts}I", 16, 16, 16, *starts, *[size] * num_parts)
    return head + lists + b"\x13\x88" * 18


@pytest.mark.parametrize(
    "content",
    [
        *map(deep_png, (2, 3, 4)),
        *map(deep_tiff, (1, 2)),
        b"P6 3 2 65535\n" + bytes(36),
        b"P3 1 1 300\n1 2 3\n",
    ],
)
def test_several_channels_of_16_bits_are_refused(photos: Path, content: bytes) -> None:
    (photos / "a").mkdir(parents=True)
    (photos / "a" / "1.png").write_bytes(content)  # Pillow knows what it is
    with pytest.raises(DataError, match=r"cannot read:\na/1\.png: more than 8 bits a channel"):
        ImageFolder(photos).check()


@pytest.mark.parametrize("name", ["png", "tif", "bmp", "gif", "jpg", "ppm", "pbm", "webp"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_channels_of_8_bits_are_read_whatever_the_file(photos: Path, name: str, mode: str) -> None:
    (photos / "a").mkdir(parents=True)
    path = photos / "a" / f"1.{name}"
    image = Image.new("RGB", (3, 2), "white").convert(mode)
    (image.convert("L") if name in ("jpg", "pbm", "ppm") else image).save(path)
    assert whole(ImageFolder(photos)).inputs.shape == (1, 3, 2, 3)


def test_channels_of_fewer_bits_are_read(photos: Path) -> None:
    (photos / "a").mkdir(parents=True)
    header = struct.pack("<IHHIIiiHHIIiiII", 70, 0, 0, 54, 40, 3, 2, 1, 16, 0, 16, 0, 0, 0, 0)
    (photos / "a" / "1.bmp").write_bytes(b"BM" + header + b"\xff\x7f" * 8)
    (photos / "a" / "2.ppm").write_bytes(b"P6 3 2 15\n" + b"\x0f" * 18)
    assert values(ImageFolder(photos)) == [255, 255]


def test_a_link_to_nowhere_is_listed_with_what_cannot_be_read(
    write: Write, photos: Path, tmp_path: Path
) -> None:
    write("a/1.png", grey(1))
    (photos / "a" / "2.png").symlink_to("nowhere.png")
    with pytest.raises(DataError, match=r"cannot read:\na/2.png: .*No such file"):
        pack(photos, tmp_path / "d")
    (photos / "a" / "1.png").unlink()
    with pytest.raises(DataError, match=r"cannot read:\na/2.png: .*No such file"):
        pack(photos, tmp_path / "d")


def test_names_of_images_may_be_any_bytes_and_those_of_classes_text(
    write: Write, photos: Path, tmp_path: Path
) -> None:
    name = os.fsdecode(b"\xe9t\xe9")
    write(f"a/{name}.png", grey(7))
    assert pack(photos, tmp_path / "d").num_samples == 1
    write(f"{name}/1.png", grey(7))
    expected = r"names of classes in UTF-8 in .*, but got '\\udce9t\\udce9'\. Rename the folders\."
    with pytest.raises(DataError, match=expected):
        ImageFolder(photos)


@pytest.mark.parametrize("name", ["a_1.npy", "train/a_1.npy.zst", "labels/2.csv"])
def test_a_folder_of_shards_is_no_folder_of_images(photos: Path, name: str) -> None:
    (photos / name).parent.mkdir(parents=True)
    (photos / name).touch()
    expected = (
        r"Expected images in (.*photos), but got shards, such as {}\. They are trained on as "
    )
    expected += (
        r"they are: leyden train data\.path=\1, or written anew by leyden\.shards\.write_shards"
    )
    with pytest.raises(DataError, match=expected.format(Path(name).name)):
        ImageFolder(photos)
    (photos / name).rename(photos / "notes.csv")
    with pytest.raises(DataError, match=r"Expected (a folder for|images in) each"):
        ImageFolder(photos)


def test_a_long_list_is_cut(write: Write, photos: Path) -> None:
    write("a/1.png", grey(0))
    for number in range(55):
        (photos / "a" / f"{number}.jpg").touch()
    with pytest.raises(DataError, match=r"\n... and 5 more$"):
        ImageFolder(photos).check()


def test_images_of_two_sizes_are_refused_with_a_remedy(write: Write, photos: Path) -> None:
    write("a/1.png", grey(0, 2, 3))
    write("a/2.png", grey(0, 2, 3))
    write("b/1.png", grey(0, 4, 5))
    message = (
        r"one size in .*, but got:\n2 x 3: 2, such as a/1.png\n4 x 5: 1, such as b/1.png\nPass"
    )
    with pytest.raises(DataError, match=message):
        ImageFolder(photos).check()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"color": "bgr"}, "`color` to be 'rgb' or 'grayscale', but got 'bgr'"),
        ({"size": 64}, r"`size` to be \(height, width\) in pixels, or None, but got 64"),
        ({"size": (64, 0)}, r"`size` to be .*, but got \(64, 0\)"),
        ({"size": (1, 2, 3)}, r"`size` to be .*, but got \(1, 2, 3\)"),
    ],
)
def test_a_wrong_argument_is_refused(
    write: Write, photos: Path, arguments: dict[str, Any], message: str
) -> None:
    write("a/1.png", grey(0))
    with pytest.raises(ConfigError, match=message):
        ImageFolder(photos, **arguments)


def test_a_folder_that_is_not_made_of_classes_is_refused(
    write: Write, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        MissingPathError, match=r"Expected a folder of images, but got '.*/nowhere'"
    ):
        ImageFolder(tmp_path / "nowhere")
    write("1.png", grey(0))
    with pytest.raises(DataError, match=r"Expected a folder for each class in .*, but there is no"):
        ImageFolder(photos)
    (photos / "cat").mkdir()
    (photos / "dog").mkdir()
    with pytest.raises(DataError, match=r"Expected images in each folder .* none in cat, dog"):
        ImageFolder(photos)


@pytest.mark.parametrize(
    "names", [("train", "val"), ("training", "Validation", "cat"), ("testing",)]
)
def test_parts_of_the_data_are_no_classes(
    write: Write, photos: Path, names: tuple[str, ...]
) -> None:
    for name in names:
        write(f"{name}/cat/1.png", grey(1))
        write(f"{name}/dog/1.png", grey(2))
    part = max(names)
    expected = (
        rf"but got parts of the data .* {part}/.*\. Pack each by itself: leyden pack .*photos/"
    )
    with pytest.raises(DataError, match=expected):
        ImageFolder(photos)
    assert ImageFolder(photos / part).class_names == ("cat", "dog")


def test_classes_may_happen_to_be_called_like_parts(write: Write, photos: Path) -> None:
    write("test/1.png", grey(1))
    write("train/1.png", grey(2))
    assert ImageFolder(photos).class_names == ("test", "train")
    write("train/freight/1.png", grey(3))
    assert values(ImageFolder(photos)) == [2, 1, 3]
    (photos / "train" / "1.png").unlink()
    (photos / "test").rename(photos / "car")
    assert ImageFolder(photos).class_names == ("car", "train")


def test_links_in_a_circle_lead_to_each_image_once(write: Write, photos: Path) -> None:
    write("cat/1.png", grey(1))
    write("cat/more/2.png", grey(2))
    (photos / "cat" / "more" / "back").symlink_to(photos / "cat")
    assert values(ImageFolder(photos)) == [1, 2]
    assert ImageFolder(photos).describe()["images"] == {"cat": 2}


def test_packed_images_are_found_with_their_classes(
    write: Write, photos: Path, tmp_path: Path
) -> None:
    for number in range(6):
        write(f"cat/{number}.png", grey(number))
        write(f"dog/{number}.png", grey(100 + number))
    catalog = pack(ImageFolder(photos, size=(4, 4)), tmp_path / "d", rows_per_shard=4)
    assert (catalog.sample_shape, catalog.dtype) == ((3, 4, 4), np.dtype(np.uint8))
    assert catalog.num_classes == 2
    assert [catalog.read_labels(number).tolist() for number in (1, 2, 3)] == [[0, 1, 0, 1]] * 3
    manifest = read_manifest(tmp_path / "d")
    assert manifest.class_names == ("cat", "dog")
    assert manifest.recipe["source"]["images"] == {"cat": 6, "dog": 6}


def test_other_images_are_another_source(write: Write, photos: Path) -> None:
    write("a/1.png", grey(0))
    before = ImageFolder(photos).describe()
    assert ImageFolder(photos).describe() == before
    write("a/1.png", grey(1))
    assert ImageFolder(photos).describe() != before
