from pathlib import Path

import pytest

from leyden.errors import DiscoveryError, ShardError
from leyden.shards.readers.base import reading


def test_reading_adds_the_set_number_once(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"^Set 3: no \(x\)$"), reading(tmp_path, set_number=3):
        raise ShardError("no", path=Path("x"))
    with pytest.raises(ShardError, match=r"^Set 1: no$"), reading(tmp_path, set_number=3):
        raise ShardError("no", set_number=1)


def test_reading_lets_other_errors_of_ours_pass(tmp_path: Path) -> None:
    with pytest.raises(DiscoveryError, match=r"^two of them$"), reading(tmp_path):
        raise DiscoveryError("two of them")


def test_reading_explains_what_the_system_says(tmp_path: Path) -> None:
    path = tmp_path / "gone"
    with pytest.raises(ShardError, match="a readable file, but got: No such file"), reading(path):
        path.read_bytes()
