"""Lines of the user's code that draw on something that cannot be brought back."""

import ast
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Suspect", "find_suspects", "lines_that_call", "show_line"]

_OWN = "makes a random generator of its own"
_MAKERS = {"default_rng", "RandomState", "Random", "Generator", "SeedSequence", "PCG64", "MT19937"}
_ENTROPY = {
    "urandom": "draws from the operating system",
    "SystemRandom": "draws from the operating system",
    "token_bytes": "draws from the operating system",
    "token_hex": "draws from the operating system",
    "randbits": "draws from the operating system",
    "uuid4": "draws from the operating system",
    "uuid1": "depends on the time",
    "time": "depends on the time",
    "time_ns": "depends on the time",
    "perf_counter": "depends on the time",
    "perf_counter_ns": "depends on the time",
    "monotonic": "depends on the time",
    "now": "depends on the time",
    "getpid": "depends on the process",
}
_SEEDED = {"seed": "seeds a generator anew", "initial_seed": "depends on the process"}


@dataclass(frozen=True, slots=True)
class Suspect:
    """A line that may be why two starts of a program differ.

    Attributes:
        file: Its file.
        line: Its number.
        text: What is written there.
        reason: What it does, as a part of a sentence.
        is_seeded: Whether the generator that it makes is given a seed.
    """

    file: str
    line: int
    text: str
    reason: str
    is_seeded: bool

    @property
    def place(self) -> str:
        """File and line, as editors have it."""
        return f"{_short(self.file)}:{self.line}"


def find_suspects(files: Iterable[str], near: Iterable[Mapping[str, Any] | None]) -> list[Suspect]:
    """Find lines that draw on the clock, the system's entropy or a generator of their own.

    Args:
        files: Where to look.
        near: Places in the code that are likelier than others, the likeliest first.

    Returns:
        Those within a place that is named, or all if there are none; the likeliest first.
    """
    places = [place for place in near if place is not None]
    found = [one for file in files for one in _in_file(file)]

    def rank(one: Suspect) -> tuple[int, bool, str, int]:
        return _distance(one, places), one.is_seeded, one.file, one.line

    inside = [one for one in found if _distance(one, places) < len(places)]
    return sorted(inside or found, key=rank)


def lines_that_call(files: Iterable[str], name: str) -> list[str]:
    """Find the lines that call a function or method of a name; as ``file:line: text``."""
    found = []
    for file in files:
        lines, tree = _parse(file)
        calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
        numbers = sorted({call.lineno for call in calls if _name(call)[-1:] == [name]})
        found += [f"{_short(file)}:{number}: {lines[number - 1].strip()}" for number in numbers]
    return found


def show_line(place: Mapping[str, Any] | None) -> str | None:
    """Name a place in the user's own code: ``name (file:line)``; ``None`` if it is not theirs."""
    if place is None or not place.get("users"):
        return None
    where = f"{_short(place['file'])}:{place['line']}"
    return where if place["name"].startswith("<") else f"{place['name']} ({where})"


def _in_file(file: str) -> Iterator[Suspect]:
    lines, tree = _parse(file)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (reason := _reason(node)):
            seeded = bool(node.args or node.keywords) and reason == _OWN
            yield Suspect(file, node.lineno, lines[node.lineno - 1].strip(), reason, seeded)


def _reason(call: ast.Call) -> str | None:
    names = _name(call)
    if not names:
        return None
    if names[-1] in _MAKERS and names[0] not in ("typing", "collections"):
        return _OWN
    if names[-1] in _SEEDED and not call.args and not call.keywords and len(names) > 1:
        return _SEEDED[names[-1]]
    return _ENTROPY.get(names[-1])


def _name(call: ast.Call) -> list[str]:
    """The parts of ``a.b.c(...)``."""
    names: list[str] = []
    node: ast.expr = call.func
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    return [node.id, *names] if isinstance(node, ast.Name) else ["", *names] if names else []


def _parse(file: str) -> tuple[list[str], ast.Module]:
    try:
        text = Path(file).read_text(encoding="utf-8")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of strings in the user's code
            return text.splitlines(), ast.parse(text)
    except (OSError, SyntaxError, ValueError):
        return [], ast.Module([], [])  # it is not Python, or not there any more


def _distance(one: Suspect, places: list[Mapping[str, Any]]) -> int:
    for index, place in enumerate(places):
        if one.file == place["file"] and place["line"] <= one.line <= place["end"]:
            return index
    same_file = (index for index, place in enumerate(places) if one.file == place["file"])
    return len(places) + next(same_file, len(places))


def _short(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
