"""What one column tells of the target, against decision trees and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.tree import DecisionTreeClassifier

from fulmen.data.checks.giveaways import (
    LEFT,
    _correlation,
    _mistakes,
    _ranks,
    category_tells_class,
    category_tells_number,
    number_tells_class,
    number_tells_number,
    one_to_one,
)

RNG = np.random.default_rng(0)
CLASSES = RNG.integers(0, 3, 300)


@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer])
def test_no_measure_of_real_sets_tells_the_class(load: object) -> None:
    found = load()  # type: ignore[operator]
    assert not any(number_tells_class(column, found.target) for column in found.data.T)


def test_no_measure_of_diabetes_tells_the_progression() -> None:
    found = load_diabetes()
    assert not any(number_tells_number(column, found.target) for column in found.data.T)


def test_intervals_of_a_number() -> None:
    order = np.array([1, 2, 0])
    values = order[CLASSES] * 10 + RNG.random(300)  # class 2 lies between the others
    assert number_tells_class(values, CLASSES)
    values[0] = 99  # one mistake of 200
    assert number_tells_class(values, CLASSES)
    values[:20] = RNG.random(20) * 30
    assert not number_tells_class(values, CLASSES)


def test_a_number_tells_a_class_where_a_tree_of_few_leaves_does() -> None:
    for noise in (0.05, 0.2, 0.5, 1.0, 2.0):
        values = CLASSES + RNG.normal(0, noise, 300)
        tree = DecisionTreeClassifier(max_leaf_nodes=3).fit(values[:, None], CLASSES)
        mistakes = (tree.predict(values[:, None]) != CLASSES).sum()
        blind = 300 - np.bincount(CLASSES).max()
        assert number_tells_class(values, CLASSES) == (mistakes <= LEFT * blind)


def test_what_is_missing_may_tell() -> None:
    died = RNG.integers(0, 2, 300)
    year = np.where(died == 1, RNG.integers(1990, 2020, 300), np.nan)
    assert number_tells_class(year, died)
    assert not number_tells_class(np.where(RNG.random(300) < 0.5, year, np.nan), died)


@pytest.mark.parametrize(
    "values", [np.zeros(300), np.full(300, np.nan), RNG.integers(0, 3, 300).astype(float), RNG.random(300)]
)
def test_what_has_nothing_to_do_with_the_class_does_not_tell(values: NDArray[np.float64]) -> None:
    assert not number_tells_class(values, CLASSES)


def test_categories() -> None:
    assert category_tells_class(CLASSES * 2 + RNG.integers(0, 2, 300), CLASSES)
    assert not category_tells_class(RNG.integers(0, 6, 300), CLASSES)
    assert not category_tells_class(np.arange(300), CLASSES)  # each value once: no support
    mostly = np.where(RNG.random(300) < 0.1, RNG.integers(0, 3, 300), CLASSES)
    assert not category_tells_class(mostly, CLASSES)


def test_rare_classes_are_not_told_by_guessing_the_frequent_one() -> None:
    rare = (np.arange(2000) < 15).astype(np.int64)
    assert not category_tells_class(RNG.integers(0, 4, 2000), rare)
    assert not number_tells_class(RNG.random(2000), rare)
    assert category_tells_class(rare, rare)


def test_mistakes_are_those_of_the_most_frequent_class() -> None:
    groups = RNG.integers(0, 5, 300)
    expected = sum((groups == group).sum() - np.bincount(CLASSES[groups == group]).max() for group in np.unique(groups))
    assert _mistakes(groups, CLASSES) == expected


def test_numbers_of_numbers() -> None:
    celsius = RNG.normal(10, 8, 200)
    assert number_tells_number(np.round(celsius * 9 / 5 + 32, 1), celsius)
    assert number_tells_number(-np.exp(celsius), celsius)
    assert not number_tells_number(celsius + RNG.normal(0, 2, 200), celsius)
    assert not number_tells_number(np.ones(200), celsius)
    few = np.where(np.arange(200) < 60, celsius, np.nan)
    assert not number_tells_number(few, celsius)


def test_ranks_and_correlation_are_those_of_scipy() -> None:
    x = RNG.integers(0, 9, 80).astype(float)
    y = RNG.random(80)
    assert np.array_equal(_ranks(x), stats.rankdata(x))
    assert _correlation(x, y) == pytest.approx(stats.pearsonr(x, y).statistic)
    assert _correlation(_ranks(x), _ranks(y)) == pytest.approx(stats.spearmanr(x, y).statistic)


def test_categories_of_numbers() -> None:
    model = RNG.integers(0, 8, 200)
    price = np.array([3.0, 9.5, 1.0, 7.0, 5.5, 2.0, 8.0, 4.0])[model]
    assert category_tells_number(model, price)
    assert not category_tells_number(model, price + RNG.normal(0, 1, 200))
    assert not category_tells_number(np.arange(200), price)


def test_one_to_one() -> None:
    assert one_to_one(10 - CLASSES, CLASSES)
    assert not one_to_one(np.minimum(CLASSES, 1), CLASSES)
    assert not one_to_one(CLASSES + 5 * (np.arange(300) < 10), CLASSES)
