"""Names that tell what is trained."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from leyden.runs import build_name, claim_dir, encode_best, encode_value, next_number


@pytest.mark.parametrize(
    ("key", "alias", "value", "expected"),
    [
        ("a", None, 0.5, "-a.5"),
        ("lr", "lr", [2e-4] * 3 + [1e-4], "-lr2e-4x3_1e-4"),
        ("et", "et", (0.9, 1.1, 2), "-et.9_1.1_2"),
        ("timesteps", "", 13500, "-13.5k"),
        ("name", None, "whatever", "-name"),
        ("optimizer", "", torch.optim.Adam, "-Adam"),
        ("optimizer", "", torch.optim.SGD([torch.zeros(1)], lr=1.0), "-SGD"),
        ("optimizer", "", "torch.optim.AdamW", "-AdamW"),
        ("version", "v", "1.5", "-v1.5"),
        ("filt", "filt", [6, 12, 2, 6, 12], "-filt6_12_2_6_12"),
        ("bias", None, True, "-biasTrue"),
        ("x", None, 2.0, "-x2."),
        ("x", None, np.float32(0.25), "-x.25"),
        ("x", None, 1.25e-5, "-x1.25e-5"),
        ("x", None, 0.0, "-x0."),
        ("x", None, None, "-xNone"),
    ],
)
def test_values_are_encoded(key: str, alias: str | None, value: Any, expected: str) -> None:
    assert build_name("AE", {key: value}, {key: alias}) == f"AE{expected}"


def test_golden_name() -> None:
    values = {"datagen": SimpleNamespace(batch_size=32), "filters": [32, 64], "lr": 2e-4}
    fields = {"datagen.batch_size": "BS", "filters": None, "optimizer": "", "lr": ""}
    best: Any = {"number": 8, "best": 0.97512, "higher_is_better": True}
    expected = "M8__AutoEncoder-BS32-filters32_64-SGD-2e-4__max.975"
    assert build_name("AutoEncoder", {**values, "optimizer": torch.optim.SGD}, fields, **best) == (
        expected
    )


def test_keys_with_dots_lead_inwards_and_missing_ones_are_left_out() -> None:
    values = {"data": {"batch_size": 32}, "data.whole": 1}
    fields = {"data.batch_size": "BS", "data.whole": None, "data.none.deeper": None, "no": "x"}
    assert build_name("AE", values, fields) == "AE-BS32-whole1"


def test_best_value_loses_one_zero_only() -> None:
    texts = [encode_best(value) for value in (0.91, 10.5, 20.0, 0.0, -0.05, 100.0)]
    assert texts == [".910", "10.500", "20.000", ".000", "-.050", "100.000"]
    assert build_name("a", {}, {}, best=0.91, higher_is_better=True) == "a__max.910"
    assert build_name("a", {}, {}, best=0.2) == "a__min.200"


def test_names_are_safe_and_of_bounded_length() -> None:
    name = build_name("my model/x", {"p": "a b:c*?", "long": ["w", *range(200)]}, {"p": ""})
    assert name == "my_model_x-a_b_c_"
    long = build_name("m", {"long": list(range(200))}, {"long": ""}, number=3, best=0.5)
    assert len(long) == 120
    assert long.startswith("M3__m-0_1_2")
    assert long.endswith("__min.500")


def make_run(parent: Path) -> int:
    with next_number(parent) as number:
        return int(claim_dir(parent / "today", f"09-00-00-M{number}__cnn").name[10:-5])


def test_number_is_one_more_than_the_greatest(tmp_path: Path) -> None:
    for name in ("09-00-00-M3__cnn", "09-00-00-M12__cnn-lr.5", "09-00-00-Mine", "M", "Mx__y"):
        (tmp_path / "2026-11-21" / name).mkdir(parents=True)
    assert [make_run(tmp_path) for _ in range(2)] == [13, 14]
    assert not list(tmp_path.glob(".M*"))  # nothing is left but the runs


def test_number_that_is_not_used_is_given_again(tmp_path: Path) -> None:
    with pytest.raises(KeyError), next_number(tmp_path) as number:
        raise KeyError(number)
    assert make_run(tmp_path) == 1


def test_number_is_nobody_elses(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(make_run, [tmp_path] * 40))
    assert sorted(numbers) == list(range(1, 41))


def test_long_lists_stay_readable() -> None:
    assert encode_value([8] * 4 + [16] * 2 + [8]) == "8x4_16x2_8"
