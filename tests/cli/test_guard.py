"""What a user is told when a run ends."""

import errno

import pytest

from leyden.cli.guard import answer


def test_a_folder_that_may_not_be_read_is_a_slip(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(PermissionError(errno.EACCES, "Permission denied", "shards/train")) == 2
    expected = "but got: [Errno 13] Permission denied: 'shards/train'.\n"
    assert capsys.readouterr().err == f"Expected files that can be read and written, {expected}"


def test_an_error_without_a_file_is_a_bug(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(PermissionError("no")) is None
    assert capsys.readouterr().err == ""
