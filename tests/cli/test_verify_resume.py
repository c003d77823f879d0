"""``leyden verify-resume``: real commands, really interrupted."""

import json
import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from leyden.cli import main
from leyden.cli.verification import (
    Record,
    Start,
    cause_of,
    first_difference,
    plan_interruptions,
    requests_between,
)
from leyden.errors import ConfigError
from leyden.resume.rehearsal import How, Where

HERE = Path(__file__).parent
BORING, TRANSFORMER, BROKEN = (
    HERE / f"verify_{name}_script.py" for name in ("boring", "transformer", "broken")
)


class Verify:
    """Runs the command on one of the scripts, in an empty current directory."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.out = self.err = ""
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        monkeypatch.setenv("COLUMNS", "200")

    def __call__(self, script: Path | None, *arguments: str, options: str = "") -> int:
        command = [sys.executable, str(script)] if script else []
        words = ["verify-resume", "--output", "out.json", *options.split(), "--", *command]
        self._monkeypatch.setattr(sys, "argv", ["leyden", *words, *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        self.out, self.err = self._capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code

    @property
    def written(self) -> dict[str, Any]:
        """What was written as JSON."""
        content: dict[str, Any] = json.loads(Path("out.json").read_text())
        return content


@pytest.fixture
def verify(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Verify:
    return Verify(monkeypatch, capsys)


def line_of(script: Path, text: str) -> int:
    """Number of the first line of a script with this text."""
    lines = script.read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


@pytest.mark.slow
def test_a_good_training_gets_a_certificate(verify: Verify) -> None:
    assert verify(BORING, options="--steps 24 --interruptions 3 --seed 1") == 0
    assert "Certificate: the same bit for bit after 24 batches: 2 weights" in verify.out
    result = verify.written
    assert result["result"] == "same"
    hows = [leg["ended_by"]["how"] for leg in result["starts"][:-1]]
    assert sorted(hows) == ["SIGINT", "SIGKILL", "SIGTERM"]
    codes = {leg["ended_by"]["how"]: leg["exit_code"] for leg in result["starts"][:-1]}
    assert codes == {"SIGINT": 130, "SIGKILL": 137, "SIGTERM": 143}
    assert all(leg["same"] for leg in result["starts"])
    assert result["starts"][-1]["compared"]["end"] == 1
    assert {"python", "leyden", "torch", "lightning"} <= result["versions"].keys()
    # Real checkpoints are not touched, and the program ends with the training.
    assert sorted(path.name for path in Path().iterdir()) == ["logs", "out.json"]


@pytest.mark.slow
@pytest.mark.parametrize(("count", "arguments"), [(9, []), (6, ["--two-ranks"])])
def test_a_good_training_gets_a_certificate_after_all_kinds_of_interruptions(
    verify: Verify, count: int, arguments: list[str]
) -> None:
    options = f"--steps 28 --interruptions {count} --seed 2"
    assert verify(BORING, *arguments, options=options) == 0
    done = {
        (leg["ended_by"]["how"], leg["ended_by"]["where"]) for leg in verify.written["starts"][:-1]
    }
    assert done >= {
        ("SIGINT", "in the step"),
        ("SIGKILL", "at a random moment"),
        ("SIGKILL", "while a checkpoint is written"),
        ("SIGKILL", "in the validation"),
        ("exception", "in the step"),
    }


@pytest.mark.slow
def test_a_transformer_of_others_gets_a_certificate(verify: Verify) -> None:
    pytest.importorskip("requests")  # the demo asks for it, though it need not download
    assert verify(TRANSFORMER, options="--steps 30 --interruptions 5 --seed 3") == 0
    assert not Path("checkpoints").exists()


@pytest.mark.slow
def test_a_start_that_is_not_seeded_is_noted(verify: Verify) -> None:
    assert verify(BORING, "--unseeded", options="--steps 12 --interruptions 2 --seed 4") == 0
    assert "The start is not seeded" in verify.out
    assert len(verify.written["notes"]) == 1


@pytest.mark.slow
def test_an_order_drawn_anew_is_named_with_its_line(verify: Verify) -> None:
    assert verify(BROKEN, "order", options="--steps 10 --interruptions 1 --seed 5") == 1
    assert "Differs, first at batch 0: batch" in verify.out
    cause = verify.written["difference"]["cause"]
    assert cause["text"].startswith("The rows come in another order: Anew, of DataLoader for train")
    assert f":{line_of(BROKEN, 'loader = DataLoader')})" in cause["text"]
    assert f"{BROKEN.name}:{line_of(BROKEN, 'rng = np.random')}: rng =" in cause["lines"][0]
    assert "np.random.default_rng((seed, epoch))" in cause["remedy"]


@pytest.mark.slow
def test_a_dropout_with_a_generator_of_its_own_is_named_with_its_line(verify: Verify) -> None:
    assert verify(BROKEN, "dropout", options="--steps 10 --interruptions 1 --seed 6") == 1
    assert "Differs, first at batch 0: step, outputs['loss']" in verify.out
    cause = verify.written["difference"]["cause"]
    assert "what OwnDropout makes of it is not" in cause["text"]
    lines = [line.partition("_script.py:")[2].partition(":")[0] for line in cause["lines"]]
    assert {
        str(line_of(BROKEN, "torch.Generator()")),
        str(line_of(BROKEN, "source.seed()")),
    } <= set(lines)


@pytest.mark.slow
def test_a_seeded_generator_that_begins_again_is_found_after_the_interruption(
    verify: Verify,
) -> None:
    assert verify(BROKEN, "seeded-dropout", options="--steps 14 --interruptions 2 --seed 6") == 1
    difference = verify.written["difference"]
    assert difference["batch"] > 0
    assert "torch.Generator()" in difference["cause"]["lines"][0]
    assert [leg["same"] for leg in verify.written["starts"]][-1] is False


@pytest.mark.slow
def test_rows_with_noise_of_their_own_are_named_with_the_line(verify: Verify) -> None:
    assert verify(BROKEN, "rows", options="--steps 10 --interruptions 1") == 1
    cause = verify.written["difference"]["cause"]
    assert cause["text"].startswith("The rows are the same and in the same order")
    assert f"{BROKEN.name}:{line_of(BROKEN, 'noise = np.random')}:" in cause["lines"][0]


@pytest.mark.slow
def test_a_checkpoint_that_is_not_passed_is_told(verify: Verify) -> None:
    assert verify(BROKEN, "no-path", options="--steps 10 --interruptions 1") == 1
    assert "from step 0 again" in verify.out
    cause = verify.written["difference"]["cause"]
    assert "`leyden.latest_checkpoint` was never called" in cause["text"]
    assert f":{line_of(BROKEN, 'trainer.fit(module, loader)')}: trainer.fit(" in cause["lines"][0]
    assert "ckpt_path=leyden.latest_checkpoint('checkpoints')" in cause["remedy"]


@pytest.mark.slow
def test_a_checkpoint_looked_for_elsewhere_is_told(verify: Verify) -> None:
    assert verify(BROKEN, "other-folder", options="--steps 10 --interruptions 1") == 1
    text = verify.written["difference"]["cause"]["text"]
    assert text == (
        "`ExactResume` writes to 'checkpoints', but the checkpoint was looked for in 'elsewhere'"
    )


@pytest.mark.slow
def test_a_program_that_does_not_start_again_is_told(verify: Verify) -> None:
    assert verify(BROKEN, "fails-again", options="--steps 10 --interruptions 1") == 1
    difference = verify.written["difference"]
    assert difference["got"] == "exit code 1: ValueError: there is something already"
    assert difference["cause"]["text"] == "The command does not run when it is started again"


def test_a_training_without_the_callback_is_exit_code_2(verify: Verify) -> None:
    assert verify(BROKEN, "no-callback") == 2
    assert verify.err.startswith(
        "Expected COMMAND to train, but `ExactResume` was not among the callbacks of any `fit`. "
    )
    assert len(verify.err.splitlines()) == 1


def test_a_program_that_does_not_exist_is_exit_code_2(verify: Verify) -> None:
    assert verify(None, "no-such-program", "train.py") == 2
    assert verify.err == (
        "Expected COMMAND to be a program that can be run, but got 'no-such-program' (No such file "
        "or directory).\n"
    )


def test_a_program_that_fails_is_exit_code_2_with_its_last_line(verify: Verify) -> None:
    assert verify(None, sys.executable, "-c", "raise ValueError('there is no such data')") == 2
    assert verify.err == (
        "Expected COMMAND to train, but it ended with exit code 1: ValueError: there is no such "
        "data. Make it run without `leyden verify-resume` first.\n"
    )


@pytest.mark.slow
def test_a_run_that_is_too_short_is_exit_code_2(verify: Verify) -> None:
    assert verify(BROKEN, "good", options="--steps 3 --interruptions 2") == 2
    assert "at least 4 batches of training for 2 interruptions, but got 3" in verify.err


def test_a_program_that_hangs_is_ended(verify: Verify) -> None:
    hang = "import signal; signal.pause()"
    assert verify(None, sys.executable, "-c", hang, options="--patience 0.2") == 2
    assert "for too long nothing happened" in verify.err


def test_a_folder_that_holds_something_is_refused(verify: Verify) -> None:
    Path("mine").mkdir()
    Path("mine/thesis.txt").touch()
    assert verify(BROKEN, "good", options="--folder mine") == 2
    assert verify.err == "Expected --folder to be an empty folder, but got 'mine'. Pass another.\n"


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--folder thesis.txt", "'thesis.txt' is a file. Choose another place."),
        ("--folder thesis.txt/a", "'thesis.txt' is a file. Choose another place."),
        ("--output thesis.txt/a.json", "'thesis.txt' is a file. Choose another place."),
        ("--output .", "got '.': that is a folder. Choose another place."),
        (
            "--output thesis.txt",
            "exists. Choose a new name, or one that ends in .json.",
        ),
    ],
)
def test_a_place_for_nothing_is_told_before_anything_is_run(
    verify: Verify, option: str, told: str
) -> None:
    Path("thesis.txt").write_text("mine")
    run = ("import pathlib", "pathlib.Path('was-run').touch()")
    assert verify(None, sys.executable, "-c", "; ".join(run), options=option) == 2
    assert verify.err.endswith(f"{told}\n")
    assert len(verify.err.splitlines()) == 1
    assert Path("thesis.txt").read_text() == "mine"
    assert not Path("was-run").exists()


def records(*events: tuple[str, int, dict[str, str]]) -> list[Record]:
    """Events of one process, numbered."""
    return [
        Record(what, 0, number, batch, {name: [value, value] for name, value in items.items()}, {})
        for number, (what, batch, items) in enumerate(events)
    ]


def run_of(num_batches: int) -> Start:
    """A run with a validation of two batches after every fourth batch."""
    events: list[tuple[str, int, dict[str, str]]] = []
    for batch in range(num_batches):
        events += [("batch", batch, {"batch": f"b{batch}"}), ("step", batch, {"metrics['a']": "1"})]
        if batch % 4 == 3:
            events += [("validation batch", batch, {"batch": f"v{v}"}) for v in range(2)]
    return Start(0, [records(*events, ("end", num_batches - 1, {"weights['w']": "1"}))])


def after(reference: Start, number: int, *, resumed: bool = True) -> Start:
    """The same run, gone on with at an event."""
    facts = {"resumed": resumed, "begins_at": number}
    return Start(1, [reference.records[0][number:]], facts)


def test_interruptions_are_of_all_kinds_and_never_in_the_same_batch() -> None:
    planned = plan_interruptions(run_of(40), 5, random.Random(0))
    assert {one.how for one in planned} == set(How)
    batches = [one.batch for one in planned]
    assert batches == sorted(set(batches))
    assert 1 <= batches[0] < batches[-1] <= 38
    by_where = {one.where: one for one in planned}
    in_validation = by_where[Where.VALIDATION]
    record = run_of(40).records[0][in_validation.record]
    assert (record.what, record.batch) == ("validation batch", in_validation.batch)


def test_a_plan_is_the_same_for_the_same_seed() -> None:
    plans = [plan_interruptions(run_of(40), 7, random.Random(seed)) for seed in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]


def test_without_validation_its_interruptions_are_in_steps() -> None:
    planned = plan_interruptions(run_of(3 + 4), 5, random.Random(0))
    assert len(planned) == 5
    with pytest.raises(ConfigError, match=r"at least 8 batches .* but got 7"):
        plan_interruptions(run_of(7), 6, random.Random(0))


def test_a_checkpoint_is_asked_for_before_a_kill_and_not_before_a_signal() -> None:
    draw = random.Random(0)
    planned = plan_interruptions(run_of(40), 5, draw)
    assert len(planned) == 5
    for one in planned:
        requests = requests_between(0, one, draw)
        assert bool(requests) == (one.how in (How.SIGKILL, How.EXCEPTION))
        assert all(0 <= request < one.batch for request in requests)


def test_what_goes_on_as_the_other_run_does_is_the_same() -> None:
    reference = run_of(8)
    assert first_difference(reference, after(reference, 9)) is None


def test_another_value_is_found_with_both_values() -> None:
    reference, start = run_of(8), after(run_of(8), 9)
    start.records[0][1] = records(("batch", 4, {"batch": "x"}))[0]
    start.records[0][1] = replace(start.records[0][1], number=10)
    found = first_difference(reference, start)
    assert found is not None
    assert (found.kind, found.batch, found.where) == ("value", 4, "batch")
    assert (found.expected, found.got) == ("b4", "x")


def test_an_event_that_is_left_out_is_found() -> None:
    reference = run_of(8)
    start = after(reference, 9)
    del start.records[0][3]
    found = first_difference(reference, start)
    assert found is not None
    assert found.kind == "event"


def test_a_run_that_ends_too_early_is_found() -> None:
    reference, start = run_of(8), after(run_of(8), 9)
    start.records[0][5:] = records(("end", 7, {}))
    found = first_difference(reference, start)
    assert found is not None
    assert found.got == "end at batch 7"


def test_metrics_that_are_ignored_may_differ() -> None:
    reference, start = run_of(8), after(run_of(8), 9)
    steps = [one for one in start.records[0] if one.what == "step"]
    steps[0].items["metrics['a']"] = ["2", "2"]
    assert first_difference(reference, start, ["b*"]) is not None
    assert first_difference(reference, start, ["a*"]) is None


def test_a_checkpoint_that_was_found_but_not_passed_is_told() -> None:
    start = after(run_of(8), 0, resumed=False)
    start.facts |= {"files": [], "asked": {str(Path("run", "c").absolute()): "c"}}
    start.attached = {"dirpath": "c"}
    difference = first_difference(run_of(8), start)
    assert difference is not None
    cause = cause_of(difference, start, is_interrupted=False)
    assert cause.text == "`leyden.latest_checkpoint` found a checkpoint, but `fit` was not given it"
