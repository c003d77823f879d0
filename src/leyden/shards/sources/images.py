"""Folders of images to be packed, with a sub-folder for each class."""

import os
import struct
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageFile, ImageOps, TiffImagePlugin
from typing_extensions import override

from leyden.errors import ConfigError, DataError, MissingPathError
from leyden.shards.formats import split_name
from leyden.shards.phases import names_phase
from leyden.shards.sources.base import Block, IndexedSource, digest_files
from leyden.types import Array, Rows

__all__ = ["ImageFolder"]

_EXTENSIONS = (
    *(".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"),
)
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
_MODES = {"rgb": "RGB", "grayscale": "L"}
_SHOWN = 50  # broken images listed in one message


@dataclass(frozen=True)
class ImageFolder(IndexedSource):
    """Images in a folder that has a sub-folder for each class.

    Classes are numbered in alphabetical order. The images of a class are searched in its
    sub-folders too, in each folder once whatever links lead there; hidden files and files that are
    no images by their names are left out. Each class is spread evenly over the rows, so that every
    shard has its share of all of them.

    Args:
        path: The folder.
        size: Height and width to scale images to, pixels; ``None`` if all have one size already.
        color: ``"rgb"`` for three channels, ``"grayscale"`` for one.

    Raises:
        ConfigError: If ``size`` or ``color`` is none of these.
        MissingPathError: If there is no such folder.
        DataError: If it has no class folders, one of them has no images or a name that is no text,
            they are ``train``, ``val`` and the like with the class folders in them, or it holds
            shards.
    """

    path: Path
    size: tuple[int, int] | None = None
    color: Literal["rgb", "grayscale"] = "rgb"

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        if self.color not in _MODES:
            problem = "Expected `color` to be 'rgb' or 'grayscale'"
            raise ConfigError(f"{problem}, but got {self.color!r}.")
        if self.size is not None and not _is_size(self.size):
            problem = "Expected `size` to be (height, width) in pixels, or None"
            raise ConfigError(f"{problem}, but got {self.size!r}.")
        if not self.path.is_dir():
            raise MissingPathError(f"Expected a folder of images, but got {str(self.path)!r}.")
        self._check_classes()

    def _check_classes(self) -> None:
        if shard := self._find_shard():
            problem = f"Expected images in {self.path}, but got shards, such as {shard}."
            remedy = f"They are trained on as they are: leyden train data.path={self.path}"
            raise DataError(f"{problem} {remedy}, or written anew by leyden.shards.write_shards.")
        if empty := [name for name, files in self._by_class.items() if not files]:
            problem = f"Expected images in each folder of {self.path}, but got none in"
            known = f"Known formats: {' '.join(_EXTENSIONS)}."
            raise DataError(f"{problem} {', '.join(empty)}. {known} Remove the folders otherwise.")
        if not self._by_class:
            problem = f"Expected a folder for each class in {self.path}, but there is none."
            raise DataError(f"{problem} Move the images into folders named by their classes.")
        if parts := self._parts:
            listing = " and ".join(f"{name}/" for name in parts)
            problem = f"Expected a folder for each class in {self.path}, but got parts of the data"
            remedy = f"Pack each by itself: leyden pack {self.path / parts[0]} DIR/{parts[0]}."
            raise DataError(f"{problem} with folders of their own, {listing}. {remedy}")
        if wrong := [name for name in self._by_class if not _is_text(name)]:
            problem = f"Expected names of classes in UTF-8 in {self.path}, but got"
            raise DataError(f"{problem} {', '.join(map(repr, wrong))}. Rename the folders.")

    def _find_shard(self) -> str | None:
        """Find a numbered file of rows, if there are no images in the class folders."""
        if any(self._by_class.values()):
            return None
        folders = (self.path, *(self.path / name for name in self._by_class))
        names = sorted(entry.name for folder in folders for entry in folder.iterdir())
        split = ((name, *split_name(name)) for name in names)
        return next((n for n, stem, kind in split if kind and stem[-1:].isdecimal()), None)

    @property
    def _parts(self) -> list[str]:
        """Folders that are parts of the data, by their names and by the folders in them.

        One of them among others is a class: trains and cars have kinds that have folders.
        """
        parts = [name for name in self._by_class if names_phase(name) and self._is_nested(name)]
        return parts if len(parts) > 1 or len(parts) == len(self._by_class) else []

    def _is_nested(self, name: str) -> bool:
        return all(file.parent != self.path / name for file in self._by_class[name])

    @cached_property
    def _by_class(self) -> dict[str, list[Path]]:
        folders = (entry for entry in self.path.iterdir() if entry.is_dir())
        names = sorted(entry.name for entry in folders if not entry.name.startswith("."))
        return {name: _list_images(self.path / name) for name in names}

    @cached_property
    def _order(self) -> list[tuple[Path, int]]:
        """Files and their classes, each class spread evenly."""
        places = [
            ((position + 0.5) / len(files), label, file)
            for label, files in enumerate(self._by_class.values())
            for position, file in enumerate(files)
        ]
        return [(file, label) for _, label, file in sorted(places)]

    @property
    @override
    def num_rows(self) -> int:
        return len(self._order)

    @property
    @override
    def class_names(self) -> tuple[str, ...]:
        return tuple(self._by_class)

    @override
    def describe(self) -> dict[str, Any]:
        return {
            "kind": "image folder",
            "name": self.path.resolve().name,
            "size": list(self.size) if self.size else None,
            "color": self.color,
            "images": {name: len(files) for name, files in self._by_class.items()},
            "digest": digest_files([file for file, _ in self._order], self.path),
        }

    @override
    def check(self) -> None:
        broken: dict[Path, str] = {}
        sizes: dict[tuple[int, ...], list[Path]] = defaultdict(list)
        for file, _ in self._order:
            try:
                sizes[self._decode(file).shape[1:]].append(file)
            except _DAMAGE as error:
                broken[file] = str(error).splitlines()[0] if str(error) else type(error).__name__
        if broken:
            lines = [f"{self._name(file)}: {problem}" for file, problem in broken.items()]
            raise DataError(_list(f"Expected images in {self.path}, but cannot read", lines))
        if len(sizes) > 1:
            lines = [
                f"{height} x {width}: {len(files)}, such as {self._name(files[0])}"
                for (height, width), files in sorted(sizes.items())
            ]
            listing = _list(f"Expected images of one size in {self.path}, but got", lines)
            raise DataError(f"{listing}\nPass `size` as (height, width) to scale them.")

    def _name(self, file: Path) -> str:
        return file.relative_to(self.path).as_posix()

    @override
    def read(self, rows: Rows) -> Block:
        chosen = [self._order[row] for row in rows.tolist()]
        images = np.stack([self._decode(file) for file, _ in chosen])
        return Block(images, np.array([label for _, label in chosen], np.int64))

    def _decode(self, file: Path) -> Array:
        """Read an image, uint8 ``(channels, height, width)``, as it is looked at."""
        with Image.open(file) as opened:
            if _is_deep(opened):  # Pillow would clip or cut the values
                raise ValueError("more than 8 bits a channel")
            image = ImageOps.exif_transpose(opened).convert(_MODES[self.color])
        if self.size is not None and image.size != self.size[::-1]:
            image = image.resize(self.size[::-1], Image.Resampling.LANCZOS)
        pixels = np.asarray(image)
        return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)


def _is_deep(image: ImageFile.ImageFile) -> bool:
    """Say whether an image that is open, but not read, has more than 8 bits a channel.

    Several channels of 16 bits have no mode of their own. What tells is how Pillow means to read
    them: in a PNG file the mode within, in a PPM file the highest value, in a TIFF file its tag.
    """
    bits = getattr(image, "tag_v2", {}).get(TiffImagePlugin.BITSPERSAMPLE, ())
    is_wide = image.mode.startswith(("I", "F")) or max(bits, default=0) > 8
    return is_wide or any(_is_wide(tile[0], tile[3]) for tile in image.tile)


def _is_wide(decoder: str, arguments: object) -> bool:
    """Say whether a decoder is told of more than 8 bits a channel."""
    told = arguments if isinstance(arguments, tuple) else (arguments,)
    if any(isinstance(one, str) and one.endswith((";16B", ";16L", ";16N")) for one in told):
        return True
    return decoder.startswith("ppm") and any(isinstance(one, int) and one > 255 for one in told)


def _is_text(name: str) -> bool:
    """Say whether a name of a file can be written elsewhere; the system takes any bytes for one."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _is_size(size: object) -> bool:
    """Say whether this is a height and a width."""
    if not isinstance(size, (tuple, list)) or len(size) != 2:
        return False
    return all(isinstance(side, int) and side > 0 for side in size)


def _list_images(folder: Path) -> list[Path]:
    """Find images by their names, in the order of their paths."""
    found = []
    seen = {folder.parent.resolve()}  # links may lead in a circle
    for place, folders, names in os.walk(folder, followlinks=True):
        real = Path(place).resolve()
        folders[:] = sorted(name for name in folders if real not in seen and name[0] != ".")
        found += [
            Path(place, name)
            for name in names
            if real not in seen and name.lower().endswith(_EXTENSIONS) and name[0] != "."
        ]
        seen.add(real)
    return sorted(found, key=Path.as_posix)


def _list(problem: str, lines: list[str]) -> str:
    more = [f"... and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "\n".join([f"{problem}:", *lines[:_SHOWN], *more])
