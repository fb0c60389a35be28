"""Weighted sums over samples, for many sets of weights at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array  # type: ignore[import-untyped]

Weights = NDArray[np.float64]
"""``(N, B)``: how often each sample counts in each of ``B`` resamples; a column of ones is the data as they are."""


class Sums:
    """Named sums ``sum_i w_i x_i``, several a name, from one sparse product.

    >>> sums = Sums(3)
    >>> sums.add("size", np.zeros(3, int))
    >>> sums.add("by_class", np.array([0, 1, 1]), rows=2)
    >>> {name: found[:, 0].tolist() for name, found in sums(np.ones((3, 1))).items()}
    {'size': [3.0], 'by_class': [1.0, 2.0]}

    Args:
        samples: ``N``.
    """

    def __init__(self, samples: int) -> None:
        self._samples = samples
        self._names: list[tuple[str, int]] = []
        self._parts: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]] = []
        self._matrix: csr_array | None = None

    def add(
        self,
        name: str,
        row: NDArray[Any],
        values: NDArray[Any] | float = 1.0,
        rows: int = 1,
        samples: NDArray[Any] | None = None,
    ) -> None:
        """Adds sums under a name.

        Args:
            name: What they are called.
            row: ``(n,)``: to which of its sums an entry is added, from 0.
            values: ``(n,)``: what is added, times the sample's weight.
            rows: How many sums there are.
            samples: ``(n,)``: whose entries they are; ``None``: one of each sample.
        """
        offset = sum(count for _, count in self._names)
        of = np.arange(self._samples) if samples is None else samples
        self._parts.append((row + offset, of, np.broadcast_to(np.asarray(values, np.float64), of.shape)))
        self._names.append((name, rows))
        self._matrix = None

    def __call__(self, weights: Weights) -> dict[str, NDArray[np.float64]]:
        """``(rows, B)`` of each name.

        Args:
            weights: ``(N, B)``.
        """
        if self._matrix is None:
            row, samples, values = (np.concatenate(part) for part in zip(*self._parts, strict=True))
            shape = (sum(count for _, count in self._names), self._samples)
            self._matrix = csr_array((values, (row, samples)), shape=shape)
        found: NDArray[np.float64] = self._matrix @ weights
        ends = np.cumsum([count for _, count in self._names])
        parts = np.split(found, ends[:-1])
        return {name: part for (name, _), part in zip(self._names, parts, strict=True)}


def ratio(above: NDArray[Any], below: NDArray[Any]) -> NDArray[np.float64]:
    """``above / below``; what is divided by 0 is not a number."""
    above, below = np.broadcast_arrays(above, below)
    return np.asarray(np.divide(above, below, out=np.full(above.shape, np.nan), where=below != 0))


def mean_of_defined(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the first axis of what is a number; not a number where nothing is.

    >>> mean_of_defined(np.array([[1.0, np.nan], [3.0, np.nan]]))
    array([ 2., nan])
    """
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0).sum(0), defined.sum(0))
