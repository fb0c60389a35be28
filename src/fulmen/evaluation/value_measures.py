"""Scores of predicted numbers, for many sets of weights at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fulmen.evaluation.sums import Sums, Weights, ratio


class ValueMeasures:
    """Errors and correlations; of several values the mean over them, as scikit-learn's.

    Args:
        targets: ``(N, K)``.
        predicted: ``(N, K)``.
    """

    def __init__(self, targets: NDArray[Any], predicted: NDArray[Any]) -> None:
        targets, predicted = targets.astype(np.float64), predicted.astype(np.float64)
        error = targets - predicted
        n, values = error.shape
        centred, around = targets - targets.mean(0), predicted - predicted.mean(0)  # sums of squares keep their digits
        self._values = values
        self._sums = sums = Sums(n)
        sums.add("size", np.zeros(n, int))
        shift = error.mean(0)
        columns = {
            "absolute": np.abs(error),
            "squared": np.square(error),
            "error": error - shift,
            "error_squared": np.square(error - shift),
            "target": centred,
            "target_squared": np.square(centred),
            "prediction": around,
            "prediction_squared": np.square(around),
            "both": centred * around,
        }
        if (targets != 0).all():
            columns["relative"] = np.abs(error / targets)
        row, samples = np.tile(np.arange(values), n), np.repeat(np.arange(n), values)
        for name, column in columns.items():
            sums.add(name, row, column.ravel(), rows=values, samples=samples)
        self._medians = [WeightedMedian(np.abs(error[:, i])) for i in range(values)]

    def __call__(self, weights: Weights) -> dict[str, NDArray[np.float64]]:
        """The measures, ``(B,)`` each; not a number where one is not defined.

        Args:
            weights: ``(N, B)``, whole numbers.
        """
        sums = self._sums(weights)
        size = sums.pop("size")[0]
        mean = {name: found / size for name, found in sums.items()}
        spread = _spread(mean["target_squared"], mean["target"])
        spread_of_predictions = _spread(mean["prediction_squared"], mean["prediction"])
        spread_of_errors = _spread(mean["error_squared"], mean["error"])
        both = mean["both"] - mean["target"] * mean["prediction"]
        found = {
            "mae": mean["absolute"].mean(0),
            "rmse": np.sqrt(mean["squared"]).mean(0),
            "r2": (1 - ratio(mean["squared"], spread)).mean(0),
            "explained_variance": (1 - ratio(spread_of_errors, spread)).mean(0),
            "pearson": ratio(both, np.sqrt(spread * spread_of_predictions)).mean(0),
            "median_absolute_error": np.stack([median(weights) for median in self._medians]).mean(0),
        }
        return found | ({"mape": mean["relative"].mean(0)} if "relative" in mean else {})


class WeightedMedian:
    """Medians of one list of numbers under many sets of weights.

    >>> median = WeightedMedian(np.array([3.0, 1.0, 2.0]))
    >>> median(np.array([[1, 2], [1, 0], [1, 2]]))
    array([2. , 2.5])

    Args:
        values: ``(N,)``.
    """

    def __init__(self, values: NDArray[np.float64]) -> None:
        self._order = np.argsort(values, kind="stable")
        self._sorted = values[self._order]

    def __call__(self, weights: NDArray[Any]) -> NDArray[np.float64]:
        """``(B,)``: the middle one, or the mean of the two in the middle, where each value stands ``w`` times.

        Args:
            weights: ``(N, B)``, whole numbers.
        """
        reached = np.cumsum(weights[self._order], 0)
        size = reached[-1]
        last = len(self._sorted) - 1
        low, high = (
            np.minimum((reached <= middle).sum(0), last) for middle in (np.ceil(size / 2) - 1, np.floor(size / 2))
        )
        return np.asarray((self._sorted[low] + self._sorted[high]) / 2)


def _spread(squares: NDArray[Any], mean: NDArray[Any]) -> NDArray[np.float64]:
    """The variance; what rounding leaves of none is none."""
    found = squares - np.square(mean)
    return np.where(found > 1e-13 * squares, found, 0.0)
