"""Comparing predictions, without runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, mean_squared_error

from fulmen.core.errors import ConfigError
from fulmen.evaluation import Predictions, intervals
from fulmen.workflows import Cost, Entry, compare
from fulmen.workflows.config_differences import config_differences
from fulmen.workflows.paired_tests import holm, mcnemar, paired_bootstrap, right


def predictions(share: float, seed: int = 0, n: int = 300, names: tuple[str, ...] = ("a", "b", "c")) -> Predictions:
    """Right on a share of the samples; the samples themselves are the same for each seed."""
    targets = np.random.default_rng(99).integers(0, len(names), n)
    random = np.random.default_rng(seed)
    wrong = random.random(n) > share
    predicted = np.where(wrong, (targets + 1) % len(names), targets)
    scores = (np.eye(len(names))[predicted] * 0.7 + 0.1).astype(np.float32)
    return Predictions("multiclass", list(names), [f"s{i}" for i in range(n)], targets, scores, predicted)


def entry(name: str, share: float, seed: int = 0, parameters: int = 100, **config: Any) -> Entry:
    return Entry(name, predictions(share, seed), Cost(parameters=parameters, seconds=1.0), config)


def test_leaderboard_and_tests_are_those_of_the_references() -> None:
    entries = [entry("low", 0.6, 1), entry("high", 0.9, 2), entry("middle", 0.85, 3)]
    found = compare(entries, "f1", resamples=300)
    by_name = {e.name: e.predictions for e in entries}
    expected = {n: f1_score(p.targets, p.predicted, average="macro") for n, p in by_name.items()}
    assert [row.name for row in found.rows] == sorted(expected, key=lambda n: -expected[n])
    for row in found.rows:
        assert row.score.value == pytest.approx(expected[row.name])
        assert row.scores["accuracy"] == pytest.approx(
            accuracy_score(by_name[row.name].targets, by_name[row.name].predicted)
        )
        assert row.score.low <= row.score.value <= row.score.high
    alone = [paired_bootstrap(by_name["high"], by_name[p.other], "f1", 300) for p in found.pairs]
    assert [p.difference for p in found.pairs] == alone
    assert [p.p_value for p in found.pairs] == holm([d.p_value for d in alone])
    tests = [mcnemar(right(by_name["high"]), right(by_name[p.other])) for p in found.pairs]
    assert [p.mcnemar for p in found.pairs] == tests
    assert [p.mcnemar_p for p in found.pairs] == holm([t.p_value for t in tests])


def test_the_smaller_of_two_that_cannot_be_told_apart_is_chosen() -> None:
    found = compare([entry("large", 0.9, 1, 10_000), entry("small", 0.89, 2, 10)])
    assert found.metric == "accuracy"
    assert found.choices[0].name == "small"
    far = compare([entry("large", 0.95, 1, 10_000), entry("small", 0.6, 2, 10)])
    assert far.choices[0].name == "large"


def test_samples_in_another_order_are_the_same_samples() -> None:
    first, second = entry("x", 0.9, 1), entry("y", 0.7, 2)
    shuffled = replace(second, predictions=second.predictions.take(np.random.default_rng(0).permutation(300)))
    plain, mixed = compare([first, second]), compare([first, shuffled])
    assert [p.mcnemar for p in plain.pairs] == [p.mcnemar for p in mixed.pairs]
    value = plain.pairs[0].difference.interval.value
    assert mixed.pairs[0].difference.interval.value == pytest.approx(value)
    assert len(mixed.groups) == 1
    assert mixed == compare([shuffled, first])


def test_intervals_are_those_of_the_run_alone() -> None:
    entries = [entry("x", 0.9, 1), entry("y", 0.7, 2)]
    found = compare(entries)
    for row in found.rows:
        made = next(e.predictions for e in entries if e.name == row.name)
        assert row.score == intervals(made)["accuracy"]


def test_other_samples_are_ranked_but_not_tested() -> None:
    other = replace(entry("other", 0.9, 3), predictions=predictions(0.9, 3, n=250))
    found = compare([entry("x", 0.8, 1), entry("y", 0.7, 2), other])
    assert {row.name: row.group for row in found.rows} == {"other": 0, "x": 1, "y": 1}
    assert [(p.best, p.other) for p in found.pairs] == [("x", "y")]
    assert set(found.choices) == {1}
    flipped = predictions(0.8, 1)
    flipped.targets[0] = (flipped.targets[0] + 1) % 3
    assert len(compare([entry("x", 0.8, 1), Entry("y", flipped)]).groups) == 2


def test_fewer_errors_lead_where_less_is_better() -> None:
    targets = np.random.default_rng(0).normal(size=(100, 1))
    noise = np.random.default_rng(1).normal(size=(100, 1))

    def made(scale: float) -> Predictions:
        values = (targets + scale * noise).astype(np.float32)
        return Predictions("regression", ["y"], [str(i) for i in range(100)], targets, values, values)

    found = compare([Entry("rough", made(0.5)), Entry("fine", made(0.1))], "rmse")
    assert [row.name for row in found.rows] == ["fine", "rough"]
    assert found.rows[0].score.value == pytest.approx(mean_squared_error(targets, made(0.1).predicted) ** 0.5, rel=1e-5)
    (pair,) = found.pairs
    assert pair.difference.interval.value > 0
    assert pair.p_value < 0.05
    assert pair.mcnemar is None


def test_runs_that_differ_in_their_seed_alone_are_repetitions() -> None:
    entries = [
        entry("a0", 0.9, 1, seed_everything=0, model={"dropout": 0.1}),
        entry("a1", 0.8, 2, seed_everything=1, model={"dropout": 0.1}, logger="csv"),
        entry("b0", 0.7, 3, seed_everything=0, model={"dropout": 0.5}),
    ]
    found = compare(entries)
    (same,) = found.replicates
    values = [row.score.value for row in found.rows if row.name in ("a0", "a1")]
    assert sorted(same.runs) == ["a0", "a1"]
    assert (same.mean, same.deviation) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert set(found.differences) == {"model.dropout", "seed_everything"}


@settings(deadline=None, max_examples=10)
@given(st.permutations(range(4)))
def test_the_order_of_the_runs_changes_nothing(order: list[int]) -> None:
    entries = [entry(f"run{i}", 0.6 + 0.08 * i, i, 10**i) for i in range(4)]
    assert compare([entries[i] for i in order], resamples=50) == compare(entries, resamples=50)


@pytest.mark.parametrize(
    ("entries", "options", "said"),
    [
        ([entry("x", 0.8)], {}, "at least two"),
        ([entry("x", 0.8), entry("x", 0.9)], {}, "'x' is given more than once"),
        ([entry("x", 0.8), entry("y", 0.9)], {"metric": "acuracy"}, "did you mean 'accuracy'"),
        ([entry("x", 0.8), Entry("y", predictions(0.9, names=("a", "b", "d")))], {}, "same targets"),
        ([entry("x", 0.8), Entry("y", replace(predictions(0.9), split="test"))], {}, "scored on val, y on test"),
        (
            [
                entry("x", 0.8),
                Entry(
                    "y", Predictions("regression", ["v"], ["0"], np.ones((1, 1)), np.ones((1, 1), "f"), np.ones((1, 1)))
                ),
            ],
            {},
            "multiclass task, y of a regression task",
        ),
    ],
)
def test_mistakes(entries: list[Entry], options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        compare(entries, **options)


def test_config_differences_leave_out_where_things_are_written() -> None:
    a = {
        "trainer": {"default_root_dir": "a", "max_epochs": 1},
        "logger": "csv",
        "report": {"samples": 5},
        "ckpt_path": None,
        "data": {"root": "x"},
    }
    b = {"trainer": {"default_root_dir": "b", "max_epochs": 1}, "logger": None, "ckpt_path": "p", "data": {"root": "y"}}
    assert config_differences([a, b]) == {"data.root": ["x", "y"]}


def test_a_section_that_is_switched_off_is_one_row() -> None:
    on = {"early_stopping": {"monitor": "val/loss", "patience": 10, "min_delta": None}}
    longer = {"early_stopping": {"monitor": "val/loss", "patience": 20, "min_delta": None}}
    off: dict[str, Any] = {"early_stopping": None}
    assert config_differences([on, off, on]) == {
        "early_stopping": [{"monitor": "val/loss", "patience": 10}, None, {"monitor": "val/loss", "patience": 10}]
    }
    assert config_differences([on, off, longer]) == {
        "early_stopping": [{"monitor": "val/loss"}, None, {"monitor": "val/loss"}],
        "early_stopping.patience": [10, "-", 20],
    }


def test_config_differences_know_missing_keys_and_short_specs() -> None:
    a = {"model": {"init_args": {"activation": "relu", "loss": None}}}
    b = {"model": {"init_args": {"activation": {"name": "leaky_relu", "slope": 0.1}, "loss": "mse"}}}
    assert config_differences([a, b]) == {
        "model.activation.name": ["relu", "leaky_relu"],
        "model.activation.slope": ["-", 0.1],
        "model.loss": [None, "mse"],
    }
    assert config_differences([a, a]) == {}
