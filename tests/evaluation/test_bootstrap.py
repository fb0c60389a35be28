"""Each resample scores as scikit-learn scores the drawn rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.evaluation.made import TASKS, predictions, sklearn_scores

from fulmen.core.errors import ConfigError
from fulmen.evaluation import bootstrap, intervals, scores
from fulmen.evaluation.bootstrap import interval


def drawn_rows(n: int, resamples: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, n, (resamples, n), dtype=np.int64)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("task", TASKS)
def test_a_resample_scores_as_its_rows_do(task: str, ties: bool) -> None:
    made = predictions(task, 50, ties=ties)
    found = bootstrap(made, 5, seed=3)
    for i, rows in enumerate(drawn_rows(50, 5, 3)):
        expected = sklearn_scores(made.take(rows))
        assert {name: values[i] for name, values in found.items()} == pytest.approx(expected, rel=1e-6, abs=1e-8)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(TASKS), st.integers(2, 9), st.integers(0, 10**6), st.booleans())
def test_also_where_classes_are_missing_and_values_constant(task: str, n: int, seed: int, ties: bool) -> None:
    made = predictions(task, n, seed, ties)
    found = bootstrap(made, 4, seed)
    for i, rows in enumerate(drawn_rows(n, 4, seed)):
        expected = sklearn_scores(made.take(rows))
        defined = {name: values[i] for name, values in found.items() if not np.isnan(values[i])}
        if "mape" in expected:
            assert defined == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_same_seed_same_draws_and_more_resamples_begin_with_fewer() -> None:
    made = predictions("multiclass", 3000)
    few, many, other = bootstrap(made, 20), bootstrap(made, 200), bootstrap(made, 20, seed=1)
    for name in few:
        np.testing.assert_array_equal(few[name], many[name][:20])
    assert not np.array_equal(few["accuracy"], other["accuracy"])


def test_two_models_on_the_same_samples_get_the_same_draws() -> None:
    one = predictions("multiclass", 200)
    same_targets = bootstrap(one.__class__(**{**vars(one), "predicted": one.targets}), 50)
    assert np.all(same_targets["accuracy"] == 1)
    wrong = one.__class__(**{**vars(one), "predicted": np.where(np.arange(200) < 100, one.targets, one.targets - 1)})
    share = (drawn_rows(200, 50, 0) < 100).mean(1)
    np.testing.assert_allclose(bootstrap(wrong, 50)["accuracy"], share)


def test_groups_are_drawn_whole() -> None:
    made = predictions("multiclass", 120)
    groups = np.arange(120) // 10
    found = bootstrap(made, 6, seed=2, groups=groups)
    for i, drawn in enumerate(drawn_rows(12, 6, 2)):
        rows = np.concatenate([np.flatnonzero(groups == g) for g in drawn])
        expected = sklearn_scores(made.take(rows))
        assert {name: values[i] for name, values in found.items()} == pytest.approx(expected, rel=1e-6, abs=1e-8)


def test_groups_of_like_samples_widen_the_interval() -> None:
    made = predictions("binary", 400)
    groups = np.arange(400) // 20
    alike = made.__class__(**{**vars(made), "predicted": np.where(groups % 2 == 0, made.targets, 1 - made.targets)})
    one, whole = intervals(alike)["accuracy"], intervals(alike, groups=groups)["accuracy"]
    assert whole.high - whole.low > 3 * (one.high - one.low)


def test_interval_of_an_accuracy_is_that_of_the_binomial() -> None:
    made = predictions("multiclass", 2000)
    found = intervals(made, 2000)["accuracy"]
    error = (found.value * (1 - found.value) / 2000) ** 0.5
    assert found.value == scores(made)["accuracy"]
    assert (found.low, found.high) == pytest.approx((found.value - 1.96 * error, found.value + 1.96 * error), abs=0.003)
    narrow = intervals(made, 2000, level=0.5)["accuracy"]
    assert found.low < narrow.low < narrow.value < narrow.high < found.high


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    base = predictions("binary", 300)
    covered = 0
    for _ in range(200):
        right = random.random(300) < 0.8
        made = base.__class__(**{**vars(base), "predicted": np.where(right, base.targets, 1 - base.targets)})
        found = intervals(made, 200, seed=1)["accuracy"]
        covered += found.low <= 0.8 <= found.high
    assert 0.9 <= covered / 200 <= 0.99


@pytest.mark.parametrize(("options", "message"), [({"resamples": 0}, "resamples: 0"), ({"level": 1.0}, "level: 1.0")])
def test_options_out_of_range(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        intervals(predictions("binary", 10), **options)  # type: ignore[arg-type]


def test_the_interval_of_a_calibration_error_holds_it() -> None:
    for seed in range(5):
        made = predictions("binary", 90, seed)
        drawn, found = bootstrap(made, 300)["calibration_error"], intervals(made, 300)["calibration_error"]
        assert drawn.mean() > found.value  # chance adds to it in every resample
        assert 0 <= found.low < found.value < found.high


def test_draws_of_another_size() -> None:
    made = predictions("binary", 40)
    rows = np.random.default_rng(0).integers(0, 40, (3, 7), dtype=np.int64)
    found = bootstrap(made, 3, size=7)["accuracy"]
    np.testing.assert_allclose(found, [(made.predicted == made.targets)[r].mean() for r in rows])


def test_an_interval_of_nothing_defined_is_the_value() -> None:
    found = interval(0.5, np.array([np.nan]))
    assert (found.low, found.high) == (0.5, 0.5)
