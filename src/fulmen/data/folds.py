"""Folds of a cross-validation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fulmen.core.errors import DataError


def stratified_folds(positions: NDArray[np.float64], labels: NDArray[Any] | None, folds: int) -> NDArray[np.int64]:
    """The fold of each sample; folds are equal in size, and in the share of each class.

    Samples with the same position (those of a group) stay together: the largest groups of each class are dealt
    first, each to the fold with the fewest samples of that class so far, as scikit-learn's ``GroupKFold`` deals
    groups. Where no two samples stay together, sizes and counts of each class differ by one at most.

    Args:
        positions: ``(N,)`` numbers that decide the order.
        labels: ``(N,)`` class of each; ``None``: no classes. A group counts as of the class of its first sample.
        folds: How many, 2 at least.

    Raises:
        DataError: If there are fewer samples or groups than folds.

    >>> stratified_folds(np.array([0.1, 0.9, 0.5, 0.3]), np.array(["a", "a", "b", "b"]), 2)
    array([0, 1, 1, 0])
    """
    units, first, number, sizes = np.unique(positions, return_index=True, return_inverse=True, return_counts=True)
    if len(units) < folds:
        what = "samples" if len(units) == len(positions) else "groups"
        raise DataError(f"folds: {folds} folds need as many {what} at least; there are {len(units)}")
    classes = np.zeros(len(units), np.int64) if labels is None else np.unique(labels[first], return_inverse=True)[1]
    order = np.lexsort((units, -sizes, classes))
    result = np.empty(len(units), np.int64)
    if sizes.max() == 1:
        result[order] = np.arange(len(units)) % folds
    else:
        result[order] = _deal(sizes[order].tolist(), classes[order].tolist(), folds)
    return result[number.ravel()]


def _deal(sizes: list[int], classes: list[int], folds: int) -> list[int]:
    """The fold of each group: that with the fewest samples of its class, then of all, then of groups."""
    total, groups, current = [0] * folds, [0] * folds, -1
    of_class = [0] * folds
    result = []
    for size, label in zip(sizes, classes, strict=True):
        if label != current:
            current, of_class = label, [0] * folds
        fold = min(range(folds), key=lambda f: (of_class[f], total[f], groups[f]))
        of_class[fold] += size
        total[fold] += size
        groups[fold] += 1
        result.append(fold)
    return result


def folds_by_time(positions: NDArray[np.float64], folds: int) -> NDArray[np.int64]:
    """The fold of each sample, from the oldest to the newest; -1 for the oldest part, which only trains.

    Fold ``k`` validates what follows on all that is older, as scikit-learn's ``TimeSeriesSplit``. Equal times
    stay together.

    Args:
        positions: ``(N,)`` small for new samples, large for old ones.
        folds: How many, 1 at least.

    Raises:
        DataError: If a fold gets nothing, for too few different times.

    >>> folds_by_time(np.array([0.9, 0.7, 0.5, 0.3]), 3)
    array([-1,  0,  1,  2])
    """
    times, number, sizes = np.unique(positions, return_inverse=True, return_counts=True)
    middle = sizes.cumsum() - sizes / 2  # of each time's samples, from the newest
    parts = folds - 1 - (middle * (folds + 1) // max(len(positions), 1)).astype(np.int64)
    missing = np.setdiff1d(np.arange(-1, folds), parts)
    if len(missing):
        raise DataError(
            f"folds: {len(times)} different times do not fill {folds} folds and the part before them; take fewer folds"
        )
    return parts[number.ravel()]
