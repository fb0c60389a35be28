"""How well one column alone tells the target: pure functions of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SUPPORT = 5
"""A value that occurs less often says nothing."""
LEFT = 0.02
"""A column gives classes away if at most this share of the mistakes of a blind guess is left with it."""
UNEXPLAINED = 1e-3
"""A column gives numbers away if at most this share of their variance is left with it (1 - R^2)."""
_FEW = 10
"""Fewer mistakes of a blind guess than this are too few to judge by."""


def category_tells_class(codes: NDArray[np.int64], classes: NDArray[np.int64]) -> bool:
    """Whether a column's values stand for the classes: one class a value, or nearly.

    Values that are rarer than ``SUPPORT`` are left out; where they are most rows, nothing is told.

    Args:
        codes: ``(N,)`` the column's values by number.
        classes: ``(N,)`` the targets.

    >>> codes = np.arange(100) % 4
    >>> category_tells_class(codes, codes // 2), category_tells_class(codes, np.arange(100) // 50)
    (True, False)
    """
    rows = _supported(codes)
    if 2 * len(rows) < len(codes):
        return False
    blind = _mistakes(np.zeros(len(rows), np.int64), classes[rows])
    return blind >= _FEW and _mistakes(codes[rows], classes[rows]) <= LEFT * blind


def number_tells_class(values: NDArray[np.float64], classes: NDArray[np.int64]) -> bool:
    """Whether cuts between a column's values separate the classes, with one interval a class, or nearly.

    Missing values count as an interval of their own.

    Args:
        values: ``(N,)``; NaN where there is none.
        classes: ``(N,)`` the targets.

    >>> values = np.arange(100.0)
    >>> number_tells_class(values, (values > 30).astype(int)), number_tells_class(values, np.arange(100) % 2)
    (True, False)
    """
    distinct, places = np.unique(values, return_inverse=True)  # all NaN are one
    places = places.ravel()
    blind = _mistakes(np.zeros(len(values), np.int64), classes)
    if blind < _FEW:
        return False
    majority = _majority(places, classes)
    numbers = majority[: len(distinct) - int(np.isnan(distinct[-1]))]
    runs = 1 + int((numbers[1:] != numbers[:-1]).sum()) if len(numbers) else 0
    excess = max(runs - len(np.unique(numbers)), 0)
    return bool(len(np.unique(majority)) > 1 and _mistakes(places, classes) + excess / 2 <= LEFT * blind)


def number_tells_number(values: NDArray[np.float64], targets: NDArray[np.float64]) -> bool:
    """Whether the targets are a straight line of a column, or rise or fall with it throughout.

    Args:
        values: ``(N,)``; rows with NaN are left out, unless they are most.
        targets: ``(N,)``.

    >>> values = np.linspace(1, 9, 99)
    >>> number_tells_number(values, np.exp(values)), number_tells_number(values, np.sin(values))
    (True, False)
    """
    rows = np.isfinite(values) & np.isfinite(targets)
    if 2 * rows.sum() < len(values) or rows.sum() < _FEW:
        return False
    x, y = values[rows], targets[rows]
    return max(_correlation(x, y) ** 2, _correlation(_ranks(x), _ranks(y)) ** 2) >= 1 - UNEXPLAINED


def category_tells_number(codes: NDArray[np.int64], targets: NDArray[np.float64]) -> bool:
    """Whether the targets are the same wherever a column's value is (the correlation ratio is 1, or nearly).

    Args:
        codes: ``(N,)`` the column's values by number.
        targets: ``(N,)``.
    """
    rows = _supported(codes)
    if 2 * len(rows) < len(codes) or len(rows) < _FEW:
        return False
    _, group = np.unique(codes[rows], return_inverse=True)
    group, y = group.ravel(), targets[rows]
    means = np.bincount(group, y) / np.bincount(group)
    total = float(((y - y.mean()) ** 2).sum())
    return bool(total > 0 and float(((y - means[group]) ** 2).sum()) <= UNEXPLAINED * total)


def one_to_one(codes: NDArray[Any], classes: NDArray[np.int64]) -> bool:
    """Whether each value is one class and each class one value: the target under another name.

    >>> one_to_one(np.array(["y", "n", "y"]), np.array([1, 0, 1])), one_to_one(np.array([1, 2, 3]), np.array([1, 0, 1]))
    (True, False)
    """
    first = np.unique(codes, return_inverse=True)[1].ravel()
    second = np.unique(classes, return_inverse=True)[1].ravel()
    pairs = len(np.unique(first * (int(second.max()) + 1) + second))
    return pairs == int(first.max()) + 1 == int(second.max()) + 1


def _supported(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    _, group, counts = np.unique(codes, return_inverse=True, return_counts=True)
    return np.flatnonzero(counts[group.ravel()] >= SUPPORT)


def _table(groups: NDArray[np.int64], classes: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """Group, class and count of each pair of them that occurs, by group and then by count."""
    width = int(classes.max()) + 1
    pairs, counts = np.unique(groups * width + classes, return_counts=True)
    order = np.lexsort((counts, pairs // width))
    return pairs[order] // width, pairs[order] % width, counts[order]


def _majority(groups: NDArray[np.int64], classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The most frequent class of each group, by group."""
    group, found, _ = _table(groups, classes)
    return np.asarray(found[np.append(group[1:] != group[:-1], True)])


def _mistakes(groups: NDArray[np.int64], classes: NDArray[np.int64]) -> int:
    """Rows that are not of the most frequent class of their group."""
    group, _, counts = _table(groups, classes)
    return int(counts.sum() - counts[np.append(group[1:] != group[:-1], True)].sum())


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks; equal values share the mean of theirs."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[group.ravel()])


def _correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    x, y = x - x.mean(), y - y.mean()
    norm = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / norm if norm > 0 else 0.0
