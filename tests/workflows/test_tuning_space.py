"""Spaces: what a file may say, what it means, and what is said of all else."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fulmen.core.errors import ConfigError
from fulmen.workflows.tuning import Choices, Range, read_space
from fulmen.workflows.tuning.space import Parameter

SPECS = """
model.optimizer:
  - {name: adam, lr: {low: 1e-4, high: 1e-1, log: true}}
  - {name: sgd, lr: 0.1, momentum: {low: 0.5, high: 0.9, step: 0.2}}
model.regularizers: [[], [{name: l2, weight: {low: 0.1, high: 0.3, step: 0.1}}]]
"""


def test_ranges_know_what_they_are() -> None:
    space = read_space(
        yaml.safe_load("a: {low: 1, high: 8, log: true}\nb: {low: 1e-4, high: 1, log: true}\nc: [1e-3, 2]")
    )
    whole, real, choices = space.parameters.values()
    assert whole == Range(1, 8, log=True)
    assert isinstance(whole, Range)
    assert whole.whole
    assert real == Range(1e-4, 1.0, log=True)  # YAML reads 1e-4 as a text
    assert isinstance(real, Range)
    assert not real.whole
    assert isinstance(choices, Choices)
    assert list(choices.options.values()) == [0.001, 2]
    assert space.size is None


def test_a_step_that_does_not_fit_ends_below() -> None:
    found = read_space({"a": {"low": 16, "high": 50, "step": 16}, "b": {"low": 0, "high": 0.35, "step": 0.1}})
    assert [p.grid() for p in found.parameters.values() if isinstance(p, Range)] == [[16, 32, 48], [0, 0.1, 0.2, 0.3]]


def test_ranges_inside_of_choices_are_searched_where_they_are_chosen() -> None:
    space = read_space(yaml.safe_load(SPECS))
    assert list(space.inner()) == [
        "model.optimizer=adam: lr",
        "model.optimizer=sgd: momentum",
        "model.regularizers=[l2]: l2.weight",
    ]
    asked = []

    def pick(name: str, parameter: Parameter) -> Any:
        asked.append(name)
        return list(parameter.options)[-1] if isinstance(parameter, Choices) else parameter.high

    assert space.values(pick) == {
        "model.optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9},
        "model.regularizers": [{"name": "l2", "weight": 0.3}],
    }
    assert asked == ["model.optimizer", "model.optimizer=sgd: momentum", "model.regularizers",
                     "model.regularizers=[l2]: l2.weight"]  # fmt: skip


def test_cells_of_nested_ranges() -> None:
    space = read_space({"a": ["x", {"name": "y", "b": {"low": 1, "high": 3}}], "c": [True, None]})
    assert space.size == len(space.cells()) == 8
    assert {(cell["a"], cell.get("a=y: b"), cell["c"]) for cell in space.cells()} == {
        *product(["x"], [None], ["true", "null"]),
        *product(["y"], [1, 2, 3], ["true", "null"]),
    }


@settings(deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_cells_are_the_cartesian_product(sizes: list[int]) -> None:
    space = read_space({f"k{i}": list(range(size)) for i, size in enumerate(sizes)})
    cells = [tuple(int(value) for value in cell.values()) for cell in space.cells()]
    assert cells == list(product(*(range(size) for size in sizes)))


def test_samples_stand_for_all() -> None:
    space = read_space(yaml.safe_load(SPECS))
    assert space.samples()["model.optimizer"] == [
        {"name": "adam", "lr": 1e-4},
        {"name": "adam", "lr": 0.1},
        {"name": "sgd", "lr": 0.1, "momentum": 0.5},
        {"name": "sgd", "lr": 0.1, "momentum": 0.9},
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("[]", "write keys with their values"),
        ("a: []", "a: the list is empty"),
        ("a: relu", "a: 'relu' is one value, which leaves nothing to search; write a list [relu, ...]"),
        ("a: {b: [1, 2]}", "for a key inside write `a.b: ...`"),
        ("a: [1, 1]", "a: 1 stands in the list twice"),
        ("'a b': [1, 2]", "'a b' is no key"),
        ("{model.x: [1, 2], model.init_args.x: [1, 2]}", "model.x is given twice"),
        ("a: {low: 1}", "high is missing"),
        ("a: {low: 2, high: 1}", "low 2 is above high 1; write {low: 1, high: 2}"),
        ("a: {low: 1, high: 1}", "leaves nothing to search"),
        ("a: {low: 0, high: 1, log: true}", "log needs low > 0, not 0"),
        ("a: {low: 1, high: 2, stpe: 1}", "unknown word 'stpe' of a range; did you mean 'step'?"),
        ("a: {low: 1, high: 2, log: 1}", "log: 1 is not allowed"),
        ("a: {low: 1, high: 9, log: true, step: 2}", "a step or a log scale, not both"),
        ("a: {low: 1, high: 2, step: 3}", "step 3 is out of range"),
        ("a: {low: x, high: 2}", "low: 'x' is no number"),
        ("a: {low: true, high: 2}", "low: True is no number"),
        ("a: {low: 1, high: .inf}", "high: inf is no number"),
        ("a: [{name: x, b: {low: 2, high: 1}}]", r"a[0].b: low 2 is above high 1"),
    ],
)
def test_mistakes(given: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_space(yaml.safe_load(given))
    assert said in str(error.value)


def test_a_grid_needs_an_end() -> None:
    with pytest.raises(ConfigError, match="the range 0\\.\\.1 has none; add a step, write the values as a list"):
        read_space({"a": {"low": 0.0, "high": 1.0}}).cells()
