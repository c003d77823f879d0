"""Names that are imported when they are asked for."""

import subprocess
import sys

import pytest

import leyden
from leyden._lazy import importer


def test_importing_leyden_does_not_import_torch() -> None:
    program = "import sys, leyden; assert 'torch' not in sys.modules; leyden.ExactResume"
    program += "; assert 'torch' in sys.modules; leyden.tracking.read_ledger"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_what_there_is_not_is_an_error() -> None:
    with pytest.raises(AttributeError, match="module 'leyden' has no attribute 'NoSuchName'"):
        leyden.NoSuchName  # type: ignore[attr-defined] # noqa: B018 - it is looked up
    with pytest.raises(AttributeError, match="has no attribute '__path_of_nothing__'"):
        importer("leyden", {})("__path_of_nothing__")
