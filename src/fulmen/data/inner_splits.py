"""What validates where a fold is scored: a part of the samples that the fold leaves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fulmen.core.errors import DataError


def part_of_training(
    positions: NDArray[np.float64], labels: NDArray[Any] | None, fraction: float, seed: Sequence[int]
) -> NDArray[np.bool_]:
    """Which samples validate, of those that a scored fold leaves: a share of them, and of each class, at random.

    Samples in the order of their classes, and at random in each, are drawn at equal distances (systematic sampling:
    Cochran 1977, Sampling Techniques, chapter 8), so that the size differs from the share by less than one sample, and
    so does that of each class. Samples with the same position (those of a group) stay together; sizes then differ by
    about half a group. A class's only sample or group trains, unless all are so.

    Args:
        positions: ``(N,)`` numbers that say who belongs together.
        labels: ``(N,)`` class of each; ``None``: no classes. A group counts as of the class of its first sample.
        fraction: Share, in (0, 1).
        seed: Numbers that the draws depend on.

    Raises:
        DataError: If there is nobody to spare.
    """
    _, first, number, sizes = np.unique(positions, return_index=True, return_inverse=True, return_counts=True)
    classes = np.zeros(len(sizes), np.int64) if labels is None else np.unique(labels[first], return_inverse=True)[1]
    rng = np.random.default_rng(list(seed))
    order = np.lexsort((rng.random(len(sizes)), classes))
    start = rng.random()
    if len(order) < 2:
        raise DataError(
            f"val_fraction: a fold leaves {_units(sizes)} to train on, and none to spare for validation; take fewer "
            "folds, or set val_fraction to 0 and train a fixed number of epochs (`early_stopping: null`, "
            "`checkpoint.monitor: null`)"
        )
    spare = np.bincount(classes)[classes[order]] > 1  # more than one of the class
    order = order[spare] if spare.any() else order
    chosen = _systematic(sizes[order], fraction, start)
    if not chosen.any():
        chosen[rng.integers(len(order))] = True
    if chosen.all():
        chosen[rng.integers(len(order))] = False
    result: NDArray[np.bool_] = np.zeros(len(sizes), bool)
    result[order[chosen]] = True
    return result[number.ravel()]


def _units(sizes: NDArray[np.int64]) -> str:
    kind = "sample" if sizes.max(initial=1) == 1 else "group"
    return f"{len(sizes)} {kind}{'' if len(sizes) == 1 else 's'}"


def _systematic(sizes: NDArray[np.int64], fraction: float, start: float) -> NDArray[np.bool_]:
    """Which units are drawn, so that after each one the share of what has been drawn is as near as can be."""
    wanted = sizes.cumsum() * fraction + start * sizes.mean()
    if sizes.max() == 1:
        return np.asarray(np.floor(wanted) > np.floor(wanted - fraction))
    drawn, chosen = sizes.mean() / 2, np.zeros(len(sizes), bool)
    for i, (size, limit) in enumerate(zip(sizes.tolist(), wanted.tolist(), strict=True)):
        if drawn + size / 2 <= limit:
            chosen[i], drawn = True, drawn + size
    return chosen


def newest(positions: NDArray[np.float64], fraction: float) -> NDArray[np.bool_]:
    """Which samples are the newest share of all; equal times stay together.

    Args:
        positions: ``(N,)`` small for new samples, large for old ones.
        fraction: Share, in (0, 1).

    Raises:
        DataError: If all have the same time.

    >>> newest(np.array([0.9, 0.7, 0.5, 0.3]), 0.25)
    array([False, False, False,  True])
    """
    times, number, sizes = np.unique(positions, return_inverse=True, return_counts=True)
    if len(times) < 2:
        raise DataError(
            "val_fraction: what is older than a fold has one time alone, and nothing newer to validate on; take fewer "
            "folds, or set val_fraction to 0 and train a fixed number of epochs (`early_stopping: null`, "
            "`checkpoint.monitor: null`)"
        )
    chosen = (sizes.cumsum() - sizes / 2) < fraction * len(positions)
    chosen[0], chosen[-1] = True, False
    return chosen[number.ravel()]
