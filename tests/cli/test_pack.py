"""``leyden pack`` and ``leyden inspect --verify``."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leyden.cli import main
from leyden.cli import pack as pack_module
from leyden.shards import discover, pack


@pytest.fixture
def call(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> "Call":
    return Call(monkeypatch, capsys)


class Call:
    """Run the command in this process: its exit code and what it prints."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capsys = monkeypatch, capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self.monkeypatch.setattr(sys, "argv", ["leyden", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = self.capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, printed.out, printed.err


def write_table() -> None:
    lines = [f"{i},{'odd' if i % 2 else 'even'}" for i in range(10)]
    Path("t.csv").write_text("a,kind\n" + "\n".join(lines) + "\n")


def test_a_table_is_packed(call: Call) -> None:
    write_table()
    command = ["pack", "t.csv", "d", "--label-column", "kind", "--rows-per-shard", "4"]
    expected = "d: 10 rows in 3 shards, float64 (1,), 2 classes: even, odd\n"
    hint = "Whole shards are held out, so 10 at least are better: --rows-per-shard 1, and another"
    code, out, err = call(*command)
    assert (code, out) == (0, expected)
    assert err.startswith(hint)
    assert call(*command) == (code, out, err)  # nothing is left to do
    command = [*command, "--base", "row_", "--shuffle-seed", "0", "--oversample-last"]
    assert call(*command)[0] == 2
    Path("d").rename("old")
    assert call(*command)[:2] == (0, expected.replace("10", "12"))
    assert discover("d").lengths == {1: 4, 2: 4, 3: 4}
    assert Path("d/row_1.npy").is_file()


def test_columns_of_a_table_are_left_out(call: Call) -> None:
    Path("t.csv").write_text("id,day,a,y\nx,2000-01-01,1,0\ny,2000-01-02,2,1\n")
    assert call("pack", "t.csv", "d")[0] == 2
    assert call("pack", "t.csv", "d", "--drop", "id", "day")[0] == 0
    assert discover("d").sample_shape == (1,)
    assert discover("d").column_names == ("a",)
    code, _, err = call("pack", ".", "e", "--drop", "id")
    assert (code, err) == (2, "Expected a table for --drop, but got '.'. Leave --drop out.\n")


def test_enough_shards_need_no_advice(call: Call) -> None:
    np.save("x.npy", np.zeros((20, 2)))
    assert call("pack", "x.npy", "d", "--rows-per-shard", "2")[2] == ""


def test_images_are_packed(call: Call) -> None:
    for name in "abcdefg":
        Path("photos", name).mkdir(parents=True)
        Image.new("RGB", (5, 4)).save(Path("photos", name, "1.png"))
    code, out, _ = call("pack", "photos", "d", "--size", "8x6", "--color", "grayscale")
    assert code == 0
    assert out == "d: 7 rows in 1 shards, uint8 (1, 8, 6), 7 classes: a, b, c, d, e and 2 more\n"


def test_an_array_is_packed(call: Call) -> None:
    np.save("x.npy", np.zeros((5, 2), np.float32))
    np.save("y.npy", np.arange(5))
    code, out, _ = call("pack", "x.npy", "d")
    assert (code, out) == (0, "d: 5 rows in 1 shards, float32 (2,), no labels\n")
    code, out, _ = call("pack", "x.npy", "e", "--labels", "y.npy")
    assert (code, out) == (0, "e: 5 rows in 1 shards, float32 (2,), labels int64\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "d"], "Expected `source` to exist, but got 'nowhere'."),
        (["t.csv", "d", "--rows-per-shard", "0"], "Expected `rows_per_shard` to be at least 1"),
        (["t.csv", "d"], "Expected numbers in every column of t.csv but that of the labels"),
        (["t.csv", "d", "--label-column", "knd"], "Did you mean 'kind'?"),
        (["t.csv", "d", "--size", "3x3"], "a folder of images for --size, but got 't.csv'"),
        (
            ["t.csv", "d", "--label-column", "kind", "--color", "rgb"],
            "Expected a folder of images for --color, but got 't.csv'. Leave --color out.",
        ),
        (["p", "d", "--label-column", "y"], "Expected a table for --label-column, but got 'p'."),
        (
            ["t.csv", "d", "--labels", "y.npy"],
            "an array (.npy) for --labels, but got 't.csv'. Name the column of labels instead:",
        ),
        (["p", "d", "--labels", "y.npy"], "for --labels, but got 'p'. Leave --labels out."),
        (
            ["t.csv", "t.csv/d", "--label-column", "kind"],
            "t.csv' is a file. Choose another",
        ),
        (["t.csv", "t.csv", "--label-column", "kind"], "which has content without a manifest"),
        (["p", "p/shards"], "Expected a place beside '"),
        (["t.csv", "x" * 300, "--label-column", "kind"], "x': the name is too long. Choose"),
        (["t.csv", "/proc/leyden/d", "--label-column", "kind"], "no folder can be made there"),
        (["x" * 300, "d"], "Expected files that can be read and written, but got"),
    ],
)
def test_a_slip_is_one_line_and_exit_code_2(call: Call, arguments: list[str], message: str) -> None:
    write_table()
    Path("p/ant").mkdir(parents=True)
    Image.new("L", (3, 3)).save("p/ant/1.png")
    table = Path("t.csv").read_bytes()
    code, out, err = call("pack", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert {path.name for path in Path().iterdir()} == {"p", "t.csv"}
    assert Path("t.csv").read_bytes() == table
    assert [path.name for path in Path("p").iterdir()] == ["ant"]


@pytest.mark.parametrize("size", ["64", "0x3", "axb"])
def test_a_wrong_size_is_exit_code_2(call: Call, size: str) -> None:
    code, _, err = call("pack", "p", "d", "--size", size)
    assert code == 2
    assert f"Expected height and width such as 64x48, but got '{size}'. See" in err


def test_ctrl_c_says_how_to_go_on(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pack_module, "pack", interrupt)
    write_table()
    code, _, err = call("pack", "t.csv", "d")
    assert (code, err) == (130, "Interrupted. Run the same command again to go on.\n")


def test_progress_is_shown_on_a_terminal(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    np.save("x.npy", np.zeros((5, 2)))
    code, _, err = call("pack", "x.npy", "d", "--rows-per-shard", "2")
    assert code == 0
    assert "5/5" in err


def test_help_explains_sources(call: Call) -> None:
    code, out, _ = call("pack", "--help")
    assert code == 0
    assert "a folder with a folder of images for each class" in out


def test_inspect_verifies_what_was_packed(call: Call) -> None:
    pack(np.zeros((10, 2)), "d", rows_per_shard=4)
    code, out, _ = call("inspect", "d", "--verify")
    assert code == 0
    assert out.endswith("verified: d is as it was packed\n")
    Path("d/sample__2.npy").unlink()
    code, out, err = call("inspect", "d", "--verify")
    assert (code, out) == (2, "")
    assert "sample__2.npy: missing" in err
    code, out, err = call("inspect", "d")
    assert (code, out) == (2, "")
    assert "that were packed, but some are missing:\nsample__2.npy\n" in err


def test_names_of_files_may_be_any_bytes(
    workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name = os.fsdecode(b"\xe9t\xe9")
    np.save("x.npy", np.zeros((5, 2)))
    command = [sys.executable, "-c", "from leyden.cli import main; main()", "pack", "x.npy", name]
    subprocess.run(command, check=True)
    assert "\\udce9t\\udce9: 5 rows in 1 shards" in capfd.readouterr().out


def test_inspect_verifies_each_phase(call: Call) -> None:
    pack(np.zeros((10, 2)), "d/train", rows_per_shard=4)
    pack(np.zeros((4, 2)), "d/test", rows_per_shard=4)
    code, out, _ = call("inspect", "d", "--verify")
    assert code == 0
    assert out.splitlines()[-2:] == [
        "verified: d/test is as it was packed",
        "verified: d/train is as it was packed",
    ]


def test_inspect_verifies_what_was_packed_within_a_pack_too(call: Call) -> None:
    pack(np.zeros((10, 2)), "d", rows_per_shard=4)
    pack(np.zeros((4, 2)), "d/val", rows_per_shard=4)
    Path("d/other").mkdir()
    Path("d/other/manifest.json").write_text('{"name": "app"}')
    code, out, _ = call("inspect", "d", "--verify")
    expected = [f"verified: {part} is as it was packed" for part in ("d", "d/val")]
    assert (code, out.splitlines()[-2:]) == (0, expected)
    np.save("d/val/sample__1.npy", np.ones((4, 2)))
    code, out, err = call("inspect", "d", "--verify")
    assert (code, out) == (2, "")
    assert "files of d/val to be as they were packed, but:\nsample__1.npy: other content" in err


def test_a_name_of_an_input_is_given_once(call: Call) -> None:
    Path("t.csv").write_text("a,b\n1,2\n3,4\n")
    code, out, err = call("inspect", "t.csv", "--inputs", "pos=a", "pos=b")
    assert (code, out) == (2, "")
    assert "Expected each name in `--inputs` once, but got 'pos' twice." in err


def test_only_what_has_a_manifest_can_be_verified(call: Call) -> None:
    Path("d").mkdir()
    code, _, err = call("inspect", "d", "--verify")
    assert code == 2
    assert "Expected a manifest.json in d, but there is none." in err
