import pickle
from pathlib import Path

import pytest

from leyden.errors import (
    ConfigError,
    DataError,
    DiscoveryError,
    FormatError,
    LeydenError,
    MissingExtraError,
    MissingPathError,
    ResumeError,
    ShardError,
    check_version,
    suggest,
    suggest_beside,
)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (ConfigError, ValueError),
        (MissingExtraError, ImportError),
        (MissingPathError, FileNotFoundError),
        (DataError, ValueError),
        (DiscoveryError, DataError),
        (FormatError, DataError),
        (ShardError, DataError),
        (ResumeError, RuntimeError),
    ],
)
def test_every_error_is_also_what_a_stranger_would_catch(
    error: type[LeydenError], builtin: type[Exception]
) -> None:
    assert issubclass(error, LeydenError)
    with pytest.raises(builtin, match="the message"):
        raise error("the message")


def test_a_shard_error_says_which_set_and_which_file() -> None:
    error = ShardError("Expected rows.", path=Path("d/a7.npy"), set_number=7)
    assert str(error) == "Set 7: Expected rows. (d/a7.npy)"


def test_a_shard_error_says_only_what_is_known() -> None:
    error = ShardError("Expected rows.")
    assert str(error) == "Expected rows."
    error.set_number = 0
    assert str(error) == "Set 0: Expected rows."


def test_a_shard_error_survives_the_way_out_of_a_worker() -> None:
    error = ShardError("Expected rows.", path=Path("d/a7.npy"), set_number=7)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.path, copy.set_number) == (str(error), Path("d/a7.npy"), 7)


def test_suggest_names_the_nearest_and_all_known() -> None:
    assert suggest("trian", ["test", "train"]) == "Did you mean 'train'? Known: test, train."


def test_suggest_does_not_guess_wildly() -> None:
    assert suggest("zzz", ["test", "train"]) == "Known: test, train."
    assert suggest("zzz", []) == "Known: none."


def test_suggest_lists_twenty_names_of_many() -> None:
    names = [f"n{i:02}" for i in range(100)]
    listed = ", ".join(names[:20])
    assert suggest("zzz", names) == f"Known: {listed} and 80 more."


def test_state_of_another_version_is_refused() -> None:
    check_version({"version": 2}, 2)
    older: dict[str, int] = {"version": 1}
    for state in (older, {}):
        with pytest.raises(ResumeError, match=r"state to be 2, but got (1|None)"):
            check_version(state, 2)


def test_neighbours_of_a_path_that_does_not_exist_are_suggested(tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    assert suggest_beside(tmp_path / "digit") == "Did you mean 'digits'? Known: digits."
    assert suggest_beside(tmp_path / "nowhere" / "digit") == "Known: none."
