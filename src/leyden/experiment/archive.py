"""A file with numbers and words only: nothing in it is run when it is read."""

import json
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

import safetensors
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from leyden.errors import DataError, MissingPathError
from leyden.files import replacing

__all__ = ["Tensors", "read_archive", "write_archive"]

Tensors: TypeAlias = Mapping[str, Tensor]

_FORMAT = "leyden experiment"
_VERSION = 1
_SPEC = "experiment.json"
_WEIGHTS = "weights.safetensors"
_LEARNED = "preprocessors.safetensors"
_MEMBERS = (_SPEC, _WEIGHTS, _LEARNED)
_SPEC_BYTES = 64 << 20  # no description is longer
_PICKLES = (".ckpt", ".dill", ".joblib", ".pickle", ".pkl", ".pt", ".pth")
_TENSOR = "$tensor"  # which no attribute of Python's can be called


def write_archive(path: Path, spec: Mapping[str, Any], weights: Tensors) -> None:
    """Write a file, whole or not at all.

    Args:
        path: The file to make or replace.
        spec: Numbers, texts, lists and dictionaries, with tensors among them.
        weights: Tensors by name.

    Raises:
        WriteError: If no file can be there.
    """
    learned: dict[str, Tensor] = {}
    plain = {"format": _FORMAT, "version": _VERSION, **_without_tensors(spec, learned)}
    contents = {
        _SPEC: json.dumps(plain, indent=1).encode(),
        _WEIGHTS: save_tensors(_owned(weights)),
        _LEARNED: save_tensors(_owned(learned)),
    }
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, content in contents.items():
            # Of one time and not compressed: the same experiment makes the same file.
            archive.writestr(zipfile.ZipInfo(name), content)


def _owned(tensors: Tensors) -> dict[str, Tensor]:
    """Give each tensor memory of its own, as the format has it."""
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}


def _without_tensors(value: Any, found: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        name = str(len(found))
        found[name] = value
        return {_TENSOR: name}
    if isinstance(value, Mapping):
        return {key: _without_tensors(item, found) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_tensors(item, found) for item in value]
    return value


def _with_tensors(value: Any, found: Tensors) -> Any:
    if isinstance(value, dict):
        if value.keys() == {_TENSOR}:
            return found[value[_TENSOR]]
        return {key: _with_tensors(item, found) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_tensors(item, found) for item in value]
    return value


def read_archive(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read what ``write_archive`` wrote; nothing is unpacked to the disk.

    Args:
        path: The file.

    Returns:
        The description and the weights.

    Raises:
        MissingPathError: If there is no such file.
        DataError: If it is damaged, of another version, or holds what no experiment does.
    """
    if not path.is_file():
        raise MissingPathError(f"Expected a saved experiment, but there is no file {str(path)!r}.")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive, path)
            contents = {name: archive.read(name) for name in _MEMBERS}
        spec = json.loads(contents[_SPEC])
        _check_version(spec, path)
        spec = _with_tensors(spec, load_tensors(contents[_LEARNED]))
        return spec, load_tensors(contents[_WEIGHTS])
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError) as error:
        raise DataError(
            f"Expected an intact experiment, but {path} is damaged: {error}."
        ) from error
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        problem = f"Expected an experiment, but {path} holds something else"
        raise DataError(f"{problem}: {type(error).__name__}: {error}.") from error


def _check_version(spec: Any, path: Path) -> None:
    if not isinstance(spec, dict) or spec.get("format") != _FORMAT:
        raise DataError(f"Expected a saved experiment, but {path} is something else.")
    if spec.get("version") != _VERSION:
        problem = f"Expected an experiment of version {_VERSION}, but {path} has"
        raise DataError(f"{problem} {spec.get('version')!r}. Use the leyden that wrote it.")


def _check_members(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse whatever an experiment has not, before any of it is read."""
    members = archive.infolist()
    for member in members:
        if reason := _fault(member):
            problem = f"Expected {', '.join(_MEMBERS)} in {path}, but got {member.filename!r}"
            raise DataError(f"{problem}, {reason}. Do not use the file.")
    names = [member.filename for member in members]
    if sorted(names) != sorted(_MEMBERS):
        problem = f"Expected {', '.join(_MEMBERS)} in {path}, each once"
        raise DataError(f"{problem}, but got {', '.join(names) or 'nothing'}.")
    size, there = sum(member.file_size for member in members), path.stat().st_size
    if size > there:
        problem = f"Expected the parts of {path} to fit into its {there:,} bytes"
        raise DataError(f"{problem}, but they claim {size:,}. Do not use the file.")


def _fault(member: zipfile.ZipInfo) -> str | None:
    """Say what is wrong with a part of a file; ``None`` if nothing is."""
    name = member.filename.replace("\\", "/")
    faults = {
        "which is an absolute path": name.startswith("/") or name[1:2] == ":",
        "which leads out of the file": ".." in PurePosixPath(name).parts,
        "which is a link": stat.S_ISLNK(member.external_attr >> 16),
        "which is a pickle, and would be run": name.lower().endswith(_PICKLES),
        "which no experiment has": member.filename not in _MEMBERS,
        "which is encrypted": bool(member.flag_bits & 1),
        "which is compressed, and could fill the memory": (
            member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size
        ),
        "which is too long": member.filename == _SPEC and member.file_size > _SPEC_BYTES,
    }
    return next((reason for reason, holds in faults.items() if holds), None)
