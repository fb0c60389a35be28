"""Classes that are rare, missing, or written in two ways; constant targets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.data.checks.conftest import by_check

from fulmen.data import ArrayData
from fulmen.data.findings import Finding

RNG = np.random.default_rng(0)


def check(targets: Any, **arguments: Any) -> dict[str, Finding]:
    return by_check(ArrayData(RNG.random((len(targets), 3)), targets, **arguments).check())


def test_clean_classes_give_nothing() -> None:
    assert check(np.arange(200) % 4) == {}
    assert check(np.repeat([0, 1], [900, 100])) == {}
    assert check(RNG.random(200)) == {}
    assert check(RNG.integers(0, 2, (200, 3))) == {}


def test_classes_that_differ_in_case_and_blanks() -> None:
    spelling = check(np.array(["cat", "Cat ", "dog", "dog"] * 30))["spelling"]
    assert spelling.where == ("'Cat ' = 'cat'",)
    assert (spelling.severity, spelling.count) == ("warning", 1)


def test_a_class_of_one_sample() -> None:
    found = check(np.array(["a", "b"] * 50 + ["bb"]), val_fraction=0, test_fraction=0)
    assert found.keys() == {"rare_classes"}
    assert found["rare_classes"].where == ("bb (1 training, 1 in all)",)
    assert "one sample in all" in found["rare_classes"].what


def test_a_class_that_is_missing_from_validation() -> None:
    targets = np.repeat([0, 1, 2], [50, 50, 6])
    found = check(targets, class_names=["a", "b", "c"], val_fraction=0.05, test_fraction=0)
    assert found.keys() == {"missing_classes"}
    assert found["missing_classes"].where == ("c",)
    assert "validation split has no sample of 1 of 3 classes" in found["missing_classes"].what


@pytest.mark.parametrize(("rare", "expected"), [(45, False), (15, True)])
def test_extreme_imbalance(rare: int, expected: bool) -> None:
    targets = np.repeat([0, 1], [600, rare])
    found = check(targets, class_names=["ham", "spam"])
    assert ("imbalance" in found) == expected
    if expected:
        assert found["imbalance"].where == ("spam (11 of 431)",)
        assert "imbalance" not in check(targets, balance="sampler")


def test_labels_that_no_training_sample_has() -> None:
    targets = np.zeros((100, 3), np.int64)
    targets[:, 0], targets[::2, 1] = 1, 1
    found = check(targets, class_names=["red", "green", "blue"])
    assert found["rare_classes"].where == ("blue (0 training, 0 in all)",)


def test_constant_targets_are_an_error() -> None:
    found = check(np.full(100, 3.5))
    assert found["constant_target"].severity == "error"
    assert "3.5" in found["constant_target"].what
