"""How far a score would wander if other samples had been drawn: the bootstrap (Efron 1979)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fulmen.core.errors import ConfigError
from fulmen.evaluation.metrics import measures, scores
from fulmen.evaluation.predictions import Predictions

_VALUES = 2**18
"""Weights that are worked on at once: they should stay in the processor's cache."""


_BIASED = {"calibration_error"}
"""Higher in every resample than in the samples themselves: what chance adds in each bin is added twice."""


@dataclass(frozen=True)
class Interval:
    """A score, and the range that the true one is in with the chosen confidence.

    Attributes:
        value: Of the samples as they are.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float


def bootstrap(
    predictions: Predictions,
    resamples: int = 1000,
    seed: int = 0,
    groups: NDArray[Any] | None = None,
    size: int | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Every headline metric on samples that were drawn anew, with replacement.

    The draws depend on the seed and the number of samples (of groups) alone: two models on the same samples get the
    same ones, and the difference of what comes of them is a paired bootstrap. More resamples begin with those of fewer.

    Args:
        predictions: ``N`` samples.
        resamples: How many times ``N`` samples are drawn.
        seed: Of the draws.
        groups: ``(N,)``: samples with the same value are drawn together, as many groups as there are; for samples
            that are not independent of each other, such as several of one patient.
        size: How many samples (groups) are drawn each time; ``None``: as many as there are.

    Returns:
        Metric -> ``(resamples,)``; not a number where a resample does not define it (it has no sample of a class).

    Raises:
        ConfigError: If ``resamples`` is below 1.
        DataError: If there is no sample, or a prediction is not a number.
    """
    if resamples < 1:
        raise ConfigError(f"resamples: {resamples} is out of range; allowed: at least 1")
    measure, n = measures(predictions), len(predictions)
    group = None if groups is None else np.unique(groups, return_inverse=True)[1]
    units = n if group is None else int(group.max()) + 1
    chunk = max(1, min(resamples, _VALUES // n))
    random = np.random.default_rng(seed)
    parts = []
    for start in range(0, resamples, chunk):
        counts = _draw(random, units, min(chunk, resamples - start), size or units)
        parts.append(measure(counts if group is None else counts[group]))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def intervals(
    predictions: Predictions,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    groups: NDArray[Any] | None = None,
) -> dict[str, Interval]:
    """Every headline metric with its interval: the percentiles of the bootstrap.

    Those of the calibration error, which chance makes larger in every resample, are moved by the mean of what it adds.

    Args:
        predictions: See :func:`bootstrap`.
        resamples: See :func:`bootstrap`.
        seed: See :func:`bootstrap`.
        level: Share of the resamples that lie inside.
        groups: See :func:`bootstrap`.

    Raises:
        ConfigError: If ``level`` is not between 0 and 1, or ``resamples`` is below 1.
        DataError: If there is no sample, or a prediction is not a number.
    """
    if not 0 < level < 1:
        raise ConfigError(f"level: {level} is out of range; allowed: above 0 and below 1")
    drawn = bootstrap(predictions, resamples, seed, groups)
    found = scores(predictions)
    return {name: interval(value, drawn[name], level, name in _BIASED) for name, value in found.items()}


def interval(value: float, drawn: NDArray[np.float64], level: float = 0.95, biased: bool = False) -> Interval:
    """The percentile interval of what resamples gave; those that define no value are left out.

    Args:
        value: Of the samples as they are.
        drawn: ``(resamples,)``.
        level: Share of the resamples that lie inside.
        biased: Whether the resamples are moved so that their mean is the value; none becomes negative.

    >>> interval(0.5, np.linspace(0, 1, 5), 0.5)
    Interval(value=0.5, low=0.25, high=0.75)
    """
    defined = drawn[~np.isnan(drawn)]
    if not len(defined):
        return Interval(value, value, value)
    if biased:
        defined = np.maximum(defined - (defined.mean() - value), 0)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))


def _draw(random: np.random.Generator, units: int, resamples: int, size: int) -> NDArray[np.float64]:
    """``(units, resamples)``: how often each was drawn."""
    drawn = random.integers(0, units, (resamples, size), dtype=np.int64)
    drawn *= resamples
    drawn += np.arange(resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=units * resamples)
    return counts.reshape(units, resamples).astype(np.float64)
