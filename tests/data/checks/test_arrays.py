"""Arrays in memory: equal rows, a feature that is the target; toy sets are clean."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from tests.data.checks.conftest import by_check

import fulmen.data
from fulmen.data import ArrayData
from fulmen.data.findings import Finding


def check(inputs: Any, targets: Any, **arguments: Any) -> dict[str, Finding]:
    return by_check(ArrayData(inputs, targets, **arguments).check())


@pytest.mark.parametrize(
    "name", ["DigitsData", "WineData", "BreastCancerData", "DiabetesData", "MoonsData", "BlobsData", "SpiralsData"]
)
def test_toy_sets_are_clean(name: str) -> None:
    assert getattr(fulmen.data, name)().check() == []


@pytest.mark.parametrize("seed", range(5))
def test_iris_has_one_flower_twice_and_it_is_only_noted(seed: int) -> None:
    found = fulmen.data.IrisData(split_seed=seed).check()
    assert [finding.severity for finding in found] == ["note"]
    assert set(found[0].where[0].split(" = ")) == {"row 101", "row 142"}


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64])
def test_rows_that_are_in_two_splits(kind: Any) -> None:
    rng = np.random.default_rng(0)
    images = (rng.random((300, 1, 6, 6)) * 255).astype(kind)
    images[150:180] = images[:30]
    found = ArrayData(images, np.arange(300) % 2).check()
    assert {finding.check for finding in found} == {"leak", "duplicates"}
    assert sum(finding.count for finding in found) == 30
    pairs = [tuple(map(int, re.findall(r"\d+", place))) for finding in found for place in finding.where]
    assert {tuple(sorted(pair)) for pair in pairs} == {(i, 150 + i) for i in range(30)}


def test_half_of_the_test_split_in_training_is_an_error() -> None:
    rng = np.random.default_rng(0)
    inputs, targets = rng.random((300, 4)), rng.integers(0, 2, 300)
    data = ArrayData(inputs, targets, val_fraction=0)
    data.setup("fit")
    train, test = (np.asarray(data.datasets[split].rows) for split in ("train", "test"))  # type: ignore[attr-defined]
    half = test[: len(test) // 2 + 1]
    for label in (0, 1):  # targets stay, and with them the split
        ours = half[targets[half] == label]
        inputs[ours] = inputs[train[targets[train] == label][: len(ours)]]
    found = check(inputs, targets, val_fraction=0)
    assert found.keys() == {"leak"}
    assert (found["leak"].severity, found["leak"].count) == ("error", len(half))


def test_rows_that_are_equal_by_nature_are_no_leak() -> None:
    inputs = np.random.default_rng(0).integers(0, 2, (400, 3))  # a truth table, again and again
    found = check(inputs, inputs[:, 0] ^ inputs[:, 1])
    assert {finding.severity for finding in found.values()} == {"note"}
    assert found.keys() == {"duplicates"}


def test_a_feature_that_is_the_target_is_an_error() -> None:
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(200, 4)), rng.normal(size=200)
    inputs[:, 2] = 32 - 1.8 * targets
    found = check(inputs, targets)
    assert found.keys() == {"giveaway"}
    assert (found["giveaway"].severity, found["giveaway"].where) == ("error", ("feature 2",))
    assert check(np.delete(inputs, 2, axis=1), targets) == {}


def test_a_feature_that_is_nearly_the_target_is_its_owners_business() -> None:
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(3000, 4)), rng.integers(0, 2, 3000)
    inputs[:, 1] = targets
    inputs[2000:, 1] = 1 - targets[2000:]  # not in the rows that are looked at first
    assert check(inputs, targets, val_fraction=0, test_fraction=0) == {}


def test_constant_features_are_noted() -> None:
    inputs = np.random.default_rng(0).random((100, 4))
    inputs[:, 1] = 2
    found = check(inputs, np.arange(100) % 2)
    assert found["constant_features"].where == ("feature 1",)
    assert found["constant_features"].severity == "note"


def test_tensors_are_not_changed() -> None:
    inputs, targets = torch.rand(50, 3), torch.arange(50) % 2
    before = inputs.clone()
    check(inputs, targets)
    assert torch.equal(inputs, before)


def test_a_subclass_adds_its_own_checks() -> None:
    class Own(ArrayData):
        def checks(self) -> Any:
            yield from super().checks()
            yield Finding("night", "error", "1 sample is from the night", ("row 3",), 1, "take it at day")

    found = Own(np.random.default_rng(0).random((100, 2)), np.repeat([0, 1], [97, 3]), val_fraction=0).check()
    assert [finding.check for finding in found] == ["night", "rare_classes"]  # errors come first
