"""Paired tests against scipy and a plain loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fulmen.core.errors import DataError
from fulmen.evaluation import Predictions
from fulmen.workflows.paired_tests import difference, holm, mcnemar, paired_bootstrap, right


def pair(both: int, first: int, second: int, neither: int = 0) -> tuple[np.ndarray, np.ndarray]:
    a = np.repeat([True, True, False, False], [both, first, second, neither])
    b = np.repeat([True, False, True, False], [both, first, second, neither])
    return a, b


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 24), st.integers(0, 24))
def test_few_discordant_samples_are_tested_exactly(first: int, second: int) -> None:
    found = mcnemar(*pair(5, first, second, 3))
    if first + second < 25:
        expected = stats.binomtest(first, first + second, 0.5).pvalue if first + second else 1.0
        assert found.exact
        assert found.p_value == pytest.approx(expected, rel=1e-12)
    assert (found.first_only, found.second_only) == (first, second)


@pytest.mark.parametrize(("first", "second"), [(25, 0), (30, 12), (40, 41), (300, 250), (13, 13)])
def test_many_are_tested_by_chi_square_with_continuity_correction(first: int, second: int) -> None:
    found = mcnemar(*pair(100, first, second))
    statistic = max(abs(first - second) - 1, 0) ** 2 / (first + second)
    assert not found.exact
    assert found.p_value == pytest.approx(stats.chi2.sf(statistic, 1), rel=1e-10)


def test_mcnemar_does_not_depend_on_who_is_first() -> None:
    a, b = pair(10, 9, 2)
    assert mcnemar(a, b).p_value == mcnemar(b, a).p_value


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_its_definition(values: list[float]) -> None:
    order = np.argsort(values, kind="stable")
    expected = np.empty(len(values))
    for rank, i in enumerate(order):
        stepped = [min(1.0, (len(values) - k) * values[order[k]]) for k in range(rank + 1)]
        expected[i] = max(stepped)
    assert holm(values) == pytest.approx(expected.tolist())


def classes(predicted: np.ndarray, targets: np.ndarray) -> Predictions:
    scores = np.eye(2, dtype=np.float32)[predicted] * 0.8 + 0.1
    return Predictions("multiclass", ["a", "b"], [str(i) for i in range(len(targets))], targets, scores, predicted)


def test_paired_bootstrap_of_accuracy_is_that_of_a_plain_loop() -> None:
    random = np.random.default_rng(0)
    targets = random.integers(0, 2, 200)
    a = np.where(random.random(200) < 0.9, targets, 1 - targets)
    b = np.where(random.random(200) < 0.8, targets, 1 - targets)
    found = paired_bootstrap(classes(a, targets), classes(b, targets), "accuracy", resamples=4000)
    gain = (a == targets).astype(float) - (b == targets)
    draws = np.random.default_rng(1)
    drawn = np.array([gain[draws.integers(0, 200, 200)].mean() for _ in range(4000)])
    assert found.interval.value == pytest.approx(gain.mean())
    assert found.standard_error == pytest.approx(gain.std() / math.sqrt(200), rel=0.05)
    assert (found.interval.low, found.interval.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.01)
    assert found.p_value == pytest.approx(2 * min((drawn <= 0).mean(), (drawn >= 0).mean()), abs=0.03)


def test_a_model_does_not_differ_from_itself() -> None:
    targets = np.arange(40) % 2
    same = classes(targets, targets)
    found = paired_bootstrap(same, same, "accuracy", resamples=100)
    assert (found.interval.value, found.interval.low, found.interval.high, found.p_value) == (0, 0, 0, 1)


def test_p_values_are_uniform_where_nothing_differs() -> None:
    """At 5 %, about 5 % of pairs that are equally good are called different."""
    random = np.random.default_rng(0)
    called = 0
    for _ in range(300):
        gain = random.normal(size=100)
        drawn = gain[random.integers(0, 100, (400, 100))].mean(1)
        called += difference(float(gain.mean()), drawn).p_value < 0.05
    assert 0.02 < called / 300 < 0.09


def test_other_samples_are_refused() -> None:
    targets = np.arange(10) % 2
    with pytest.raises(DataError, match="different samples"):
        paired_bootstrap(classes(targets, targets), classes(targets[:8], targets[:8]), "accuracy")


def test_numbers_are_never_simply_right() -> None:
    values = np.ones((3, 1))
    made = Predictions("regression", ["y"], ["0", "1", "2"], values, values.astype(np.float32), values)
    with pytest.raises(DataError, match="classes and labels"):
        right(made)


def test_labels_are_right_where_all_are() -> None:
    targets, predicted = np.array([[1, 0], [1, 1]]), np.array([[1, 0], [1, 0]])
    made = Predictions("multilabel", ["a", "b"], ["0", "1"], targets, predicted.astype(np.float32), predicted)
    assert right(made).tolist() == [True, False]
