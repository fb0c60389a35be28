"""Parts of the samples: where a model is better or worse than on the whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fulmen.evaluation.baseline import constant
from fulmen.evaluation.bootstrap import Interval, bootstrap, intervals
from fulmen.evaluation.metrics import scores
from fulmen.evaluation.predictions import Predictions

_BINS, _CATEGORIES = 4, 10
_FEWEST = 10
"""Samples below which a slice gets no interval: resamples of a few vary less than other samples would."""
_FEW = 1000
"""Samples below which a slice is also compared with random ones of its size."""
MISSING = "missing"


@dataclass(frozen=True)
class Slice:
    """The samples with some value of a column.

    Attributes:
        column: The column.
        value: What they have in common.
        samples: How many they are.
        scores: Their headline metrics.
        baseline: What the same answer for all of them would score, the best of its kind; ``None`` where that is not
            defined.
        interval: Of the metric that is said first; ``None`` where it is not defined for them, or they are very few.
        worse: Whether its interval lies wholly on the worse side of the whole's, and (where it is small) at most one
            of 40 random draws of as many samples is as bad.
        better: The same of the better side.
    """

    column: str
    value: str
    samples: int
    scores: Mapping[str, float]
    baseline: float | None
    interval: Interval | None
    worse: bool
    better: bool


def groups(values: NDArray[Any]) -> list[tuple[str, NDArray[np.bool_]]]:
    """Divides samples by a column.

    Numbers and times of more than ten different values are divided at their quartiles; anything else by value, the
    rarest of more than ten pooled. Missing values are a group of their own.

    Args:
        values: ``(N,)``.

    Returns:
        Name and mask ``(N,)`` of each group that has samples.

    >>> [(name, int(mask.sum())) for name, mask in groups(np.array(["a", "b", "a", None], object))]
    [('a', 2), ('b', 1), ('missing', 1)]
    """
    missing = _missing(values)
    present = values[~missing]
    ordered = present.dtype.kind in "iufM" and len(np.unique(present)) > _CATEGORIES
    found = _quartiles(values, present, missing) if ordered else _by_value(values, missing)
    return [*found, *([(MISSING, missing)] if missing.any() else [])]


def make_slices(
    predictions: Predictions,
    columns: Mapping[str, NDArray[Any]],
    metric: str,
    better_is_higher: bool,
    resamples: int = 1000,
    seed: int = 0,
) -> list[Slice]:
    """Scores the groups of each column.

    Args:
        predictions: ``N`` samples.
        columns: Name -> values ``(N,)``.
        metric: The one whose intervals are compared.
        better_is_higher: Whether more of it is better.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.
    """
    whole = intervals(predictions, resamples, seed).get(metric)
    found: list[Slice] = []
    for column, values in columns.items():
        for name, mask in groups(values):
            part = predictions.take(mask)
            own = intervals(part, resamples, seed).get(metric) if len(part) >= _FEWEST else None
            above = below = False
            if own is not None and whole is not None:
                above, below = own.low > whole.high, own.high < whole.low
            if own is not None and (above or below) and len(part) < _FEW:
                drawn = bootstrap(predictions, resamples, seed, size=len(part))[metric]
                above = above and bool((drawn >= own.value).mean() <= 0.025)
                below = below and bool((drawn <= own.value).mean() <= 0.025)
            worse, better = (below, above) if better_is_higher else (above, below)
            base = scores(constant(part)).get(metric)
            found.append(Slice(column, name, len(part), scores(part), base, own, worse, better))
    return found


def _missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    if values.dtype.kind in "fM":
        return np.asarray(values != values)
    if values.dtype.kind == "O":
        return np.array([value is None or value != value or value == "" for value in values.tolist()])
    return np.asarray(values == "") if values.dtype.kind == "U" else np.zeros(len(values), bool)


def _quartiles(
    values: NDArray[Any], present: NDArray[Any], missing: NDArray[np.bool_]
) -> list[tuple[str, NDArray[np.bool_]]]:
    ordered = np.sort(present)
    places = [len(ordered) * i // _BINS for i in range(1, _BINS)]
    edges = np.unique(ordered[places])
    edges = edges[edges > ordered[0]]
    where = np.searchsorted(edges, values, side="right")
    found = []
    for i in range(len(edges) + 1):
        mask = (where == i) & ~missing
        low = "" if i == 0 else f"{_said(edges[i - 1])} or more"
        high = "" if i == len(edges) else f"below {_said(edges[i])}"
        found.append((", ".join(filter(None, (low, high))), mask))
    return [(name, mask) for name, mask in found if mask.any()]


def _by_value(values: NDArray[Any], missing: NDArray[np.bool_]) -> list[tuple[str, NDArray[np.bool_]]]:
    texts = np.array([_said(value) for value in values[~missing].tolist()], object)
    names, numbers, counts = np.unique(texts, return_inverse=True, return_counts=True)
    codes = np.full(len(values), -1)
    codes[~missing] = numbers
    order = np.argsort(-counts, kind="stable")
    kept = order if len(order) <= _CATEGORIES else order[: _CATEGORIES - 1]
    found = [(str(names[i]), codes == i) for i in kept]
    if len(order) > len(kept):
        found.append((f"{len(order) - len(kept)} rarer values", ~missing & ~np.isin(codes, kept)))
    return found


def _said(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
