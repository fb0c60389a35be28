"""Tests of whether two models differ, on the same samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fulmen.core.errors import DataError
from fulmen.evaluation import Interval, Predictions, bootstrap, scores
from fulmen.evaluation.bootstrap import interval

_FEW, _ROUNDING = 25, 1e-12


@dataclass(frozen=True)
class McNemar:
    """McNemar's test: samples on which one of two models is right and the other wrong.

    Attributes:
        first_only: Samples that the first alone gets right.
        second_only: Samples that the second alone gets right.
        p_value: How likely a split at least as uneven is where both are equally often right.
        exact: Whether it is that of the binomial distribution; otherwise of chi-square with continuity correction.
    """

    first_only: int
    second_only: int
    p_value: float
    exact: bool


@dataclass(frozen=True)
class Difference:
    """How a metric differs between two models, by the paired bootstrap.

    Attributes:
        interval: First minus second.
        standard_error: Standard deviation of the difference over the resamples.
        p_value: Two-sided.
    """

    interval: Interval
    standard_error: float
    p_value: float


def mcnemar(first_right: NDArray[Any], second_right: NDArray[Any]) -> McNemar:
    """McNemar's test (McNemar 1947): exact below 25 discordant samples, else chi-square corrected as by Edwards 1948.

    Args:
        first_right: ``(N,)`` booleans: whether the first model is right.
        second_right: ``(N,)`` of the second, on the same samples.

    >>> mcnemar(np.array([1, 1, 1, 1, 0], bool), np.array([1, 0, 0, 0, 0], bool))
    McNemar(first_only=3, second_only=0, p_value=0.25, exact=True)
    """
    first, second = np.asarray(first_right, bool), np.asarray(second_right, bool)
    b, c = int((first & ~second).sum()), int((~first & second).sum())
    n = b + c
    if n < _FEW:
        tail = sum(math.comb(n, k) for k in range(min(b, c) + 1)) / 2**n
        return McNemar(b, c, min(1.0, 2 * tail), exact=True)
    statistic = max(abs(b - c) - 1, 0) ** 2 / n
    return McNemar(b, c, math.erfc(math.sqrt(statistic / 2)), exact=False)  # chi-square's tail, one degree of freedom


def right(predictions: Predictions) -> NDArray[np.bool_]:
    """Whether each sample is predicted rightly, ``(N,)``; of several labels, all of them.

    Raises:
        DataError: For numbers, which are never simply right.
    """
    if predictions.task == "regression":
        raise DataError("a predicted number is not right or wrong; McNemar's test is for classes and labels")
    equal = predictions.predicted == predictions.targets
    found: NDArray[np.bool_] = equal.all(1) if equal.ndim > 1 else equal
    return found


def paired_bootstrap(
    first: Predictions, second: Predictions, metric: str, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> Difference:
    """How a metric differs between two models when both are scored on the same drawn samples.

    Args:
        first: Of one model.
        second: Of the other, the same samples in the same order.
        metric: A name of :func:`fulmen.evaluation.scores`.
        resamples: How many times the samples are drawn.
        seed: Of the draws.
        level: Of the interval.

    Raises:
        DataError: If the samples or their targets differ.
    """
    if first.samples != second.samples or not np.array_equal(first.targets, second.targets):
        raise DataError("the two models were scored on different samples, or with different targets")
    drawn = [bootstrap(part, resamples, seed)[metric] for part in (first, second)]
    return difference(scores(first)[metric] - scores(second)[metric], drawn[0] - drawn[1], level)


def difference(value: float, drawn: NDArray[np.float64], level: float = 0.95) -> Difference:
    """What resampled differences say.

    The p-value is twice the smaller share of resamples on one side of zero (Davison and Hinkley 1997, section 4.2.5),
    each share with 1 added above and below the line so that it is never 0. Two models of which every resample makes
    the same score have ``p = 1``.

    Args:
        value: The difference on all samples.
        drawn: ``(resamples,)``.
        level: Of the interval.
    """
    defined = drawn[~np.isnan(drawn)]
    n = len(defined)
    below, above = (  # what is nothing but rounding counts as no difference
        (1 + int((sign * defined <= _ROUNDING).sum())) / (1 + n) for sign in (1, -1)
    )
    error = float(defined.std(ddof=1)) if n > 1 else math.nan
    return Difference(interval(value, drawn, level), error, min(1.0, 2 * min(below, above)))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values that hold for several tests at once (Holm 1979), in the order given.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted
