"""How well scores rank the samples of a class before all others."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array  # type: ignore[import-untyped]

from fulmen.evaluation.sums import Weights, ratio


class Ranking:
    """Area under the ROC curve and average precision, for many sets of weights at once.

    Only scores that a positive sample has matter: between two of them, recall stands still. The negatives between two
    neighbours are therefore summed (one sparse product), and everything else is as long as the positives are many:
    over all classes together as long as the samples.

    Args:
        scores: ``(N,)``, higher is more positive.
        positive: ``(N,)`` bool.
    """

    def __init__(self, scores: NDArray[Any], positive: NDArray[np.bool_]) -> None:
        levels = np.unique(-scores[positive])  # the highest score first
        place = np.searchsorted(levels, -scores)  # of the last level that is not higher
        place_of_positive = place[positive]
        n, count = len(scores), len(levels)
        below = place == count  # negatives that no positive lets in
        negative = ~positive & ~below
        tied = negative.copy()
        tied[negative] = levels[place[negative]] == -scores[negative]
        self._positive = _rows(place_of_positive, np.flatnonzero(positive), count, n)
        self._negative = _rows(place[negative], np.flatnonzero(negative), count, n)
        self._below = _rows(np.zeros(below.sum(), int), np.flatnonzero(below), 1, n)
        self._tied = _rows(place[tied], np.flatnonzero(tied), count, n) if tied.any() else None

    def __call__(self, weights: Weights) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """AUROC and average precision, ``(B,)`` each; not a number where a side has no weight.

        AUROC is the share of pairs of a positive and a negative that are in order, ties counting half. Average
        precision is the mean over the positives of the precision at their score (no interpolation). Both as
        scikit-learn's ``roc_auc_score`` and ``average_precision_score``.

        Args:
            weights: ``(N, B)``.
        """
        hits = self._positive @ weights
        true, false = np.cumsum(hits, 0), np.cumsum(self._negative @ weights, 0)
        positives = true[-1] if len(true) else np.zeros(weights.shape[1])
        negatives = (self._below @ weights)[0] + (false[-1] if len(false) else 0)
        reached = true + false
        precision = np.divide(true, reached, out=np.zeros_like(reached), where=reached > 0)
        behind = negatives - false  # of a level: the negatives below it, and half of those on it
        if self._tied is not None:
            behind += 0.5 * (self._tied @ weights)
        pairs = np.einsum("lb,lb->b", hits, behind)
        area = np.einsum("lb,lb->b", hits, precision)
        return ratio(pairs, positives * negatives), ratio(area, positives)


def _rows(row: NDArray[Any], samples: NDArray[Any], rows: int, columns: int) -> csr_array:
    return csr_array((np.ones(len(row)), (row, samples)), shape=(rows, columns))
