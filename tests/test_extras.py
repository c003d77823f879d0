import pickle
import sys
from pathlib import Path

import pytest

from leyden._extras import require
from leyden.errors import MissingExtraError


def test_a_module_that_is_there_is_returned() -> None:
    assert require("json.decoder", extra="none", needed_for="a test") is sys.modules["json.decoder"]


@pytest.mark.parametrize("module", ["no_such_package", "no_such_package.inner"])
def test_a_missing_package_is_named_with_its_extra_and_its_use(module: str) -> None:
    expected = (
        r"^Expected the package `no_such_package` to be installed for 'a1\.xyz', but got: No module"
        r" named 'no_such_package'\. Run `pip install leyden\[xyz\]`\.$"
    )
    with pytest.raises(MissingExtraError, match=expected) as caught:
        require(module, extra="xyz", needed_for="'a1.xyz'")
    assert isinstance(caught.value, ImportError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_package_that_is_hidden_counts_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    require("email.mime", extra="none", needed_for="a test")
    monkeypatch.setitem(sys.modules, "email", None)  # though email.mime is still loaded
    with pytest.raises(MissingExtraError, match="the package `email` to be installed for a test"):
        require("email.mime", extra="none", needed_for="a test")


def test_a_broken_package_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "leyden_broken.py").write_text("raise ImportError('built for another NumPy')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError, match=r"but got: built for another NumPy\. Run `pip"):
        require("leyden_broken", extra="none", needed_for="a test")
