"""Files that are there whole or not at all."""

import errno
from pathlib import Path

import pytest

from leyden.errors import WriteError
from leyden.files import check_place, placing, refuse_input, replacing


def test_file_appears_when_the_body_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "note.txt"
    with replacing(path) as temporary:
        temporary.write_text("done")
        assert not path.exists()
    assert path.read_text() == "done"
    assert list(path.parent.iterdir()) == [path]


def test_temporary_name_keeps_the_extension(tmp_path: Path) -> None:
    with replacing(tmp_path / "figure.png") as temporary:
        assert temporary.suffix == ".png"
        assert temporary.parent == tmp_path
        temporary.touch()


def write_half(path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt


def test_failure_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write_half(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("file/below", "'.*file' is a file"),
        ("file/a/b/below", "'.*file' is a file"),
        ("folder", "that is a folder"),
        ("nul\0", "no file can be called that"),
        ("x" * 300, "the name is too long"),
        (f"{'x' * 300}/below", "the name is too long"),
    ],
)
def test_a_place_where_no_file_can_be_is_refused_before_anything_is_done(
    tmp_path: Path, name: str, reason: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    problem = f"(?s)Expected a place that can be written to, but got '.*': {reason}. Choose another"
    with pytest.raises(WriteError, match=problem), replacing(tmp_path / name):
        pytest.fail("the body was begun")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_may_not_be_written_to_is_refused() -> None:
    with pytest.raises(WriteError, match=r"'/proc/leyden/x': no folder can be made there"):
        check_place(Path("/proc/leyden/x"))


def test_an_error_of_the_place_is_one_of_the_system_s_too(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="that is a folder") as caught:
        check_place(tmp_path)
    assert caught.value.errno == errno.EISDIR


def meet(path: Path, trouble: Exception) -> None:
    with placing(path):
        raise trouble


@pytest.mark.parametrize(
    "trouble", [OSError(errno.ENOSPC, "No space left"), RuntimeError("another reason")]
)
def test_trouble_that_is_not_of_the_place_is_handed_on(tmp_path: Path, trouble: Exception) -> None:
    with pytest.raises(type(trouble), match=r"No space left|another reason") as caught:
        meet(tmp_path / "note.txt", trouble)
    assert not isinstance(caught.value, WriteError)


@pytest.mark.parametrize(
    "trouble", [OSError(errno.ELOOP, "Too many links"), RuntimeError("Symlink loop from 'a'")]
)
def test_links_that_lead_in_a_circle_are_told(tmp_path: Path, trouble: Exception) -> None:
    with pytest.raises(
        WriteError, match=r"note\.txt': its links lead in a circle\. Choose another"
    ):
        meet(tmp_path / "note.txt", trouble)


@pytest.mark.parametrize("name", ["rows.csv", "./rows.csv", "link.csv", "shards/new.csv"])
def test_what_is_read_is_not_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / "rows.csv").touch()
    (tmp_path / "shards").mkdir()
    (tmp_path / "link.csv").symlink_to("rows.csv")
    with pytest.raises(WriteError, match=r"Expected a place beside '.*', which is read, but got"):
        refuse_input(tmp_path / name, tmp_path / "rows.csv", tmp_path / "shards")
    refuse_input(tmp_path / "new.csv", tmp_path / "rows.csv", tmp_path / "shards")
