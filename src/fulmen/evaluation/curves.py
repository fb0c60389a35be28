"""Points to draw: ROC, precision and recall, reliability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fulmen.evaluation.class_measures import BINS, calibration_bins
from fulmen.evaluation.predictions import Predictions

_POINTS = 400
"""More would not be seen."""


@dataclass(frozen=True)
class Curve:
    """What a threshold on a class's score trades.

    Attributes:
        false_positives: ``(M,)`` share of the negatives that are let in, rising from 0 to 1.
        recall: ``(M,)`` share of the positives that are found, rising from 0 to 1.
        precision: ``(M,)`` share of what is let in that is positive; 1 where nothing is let in.
    """

    false_positives: NDArray[np.float64]
    recall: NDArray[np.float64]
    precision: NDArray[np.float64]


def curve(scores: NDArray[Any], positive: NDArray[np.bool_]) -> Curve:
    """The curves of a class, one point a distinct score, at most a few hundred.

    Args:
        scores: ``(N,)``, higher is more positive.
        positive: ``(N,)``, with both kinds of samples.
    """
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # of samples with equal scores
    true = np.concatenate([[0], np.cumsum(positive[order])[last]])
    every = np.concatenate([[0], last + 1])
    false = every - true
    if len(true) > _POINTS:
        kept = np.unique(np.linspace(0, len(true) - 1, _POINTS).round().astype(int))
        true, false, every = true[kept], false[kept], every[kept]
    return Curve(
        false / max(false[-1], 1), true / max(true[-1], 1), np.where(every > 0, true / np.maximum(every, 1), 1)
    )


@dataclass(frozen=True)
class Reliability:
    """Samples by how sure the model is; ``(15,)`` each, empty bins are not numbers.

    Attributes:
        confidence: Mean probability.
        accuracy: How often that was right.
        samples: How many there are.
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    samples: NDArray[np.int64]


def reliability(predictions: Predictions) -> Reliability:
    """How often a model is right that says it is so sure.

    Of several classes, the probability of the predicted class counts; of yes/no targets, that of the second class; of
    labels, that of every label.

    Args:
        predictions: Of classes or labels.
    """
    if predictions.task == "multiclass":
        sure, right = predictions.scores.max(1), predictions.predicted == predictions.targets
    elif predictions.task == "binary":
        sure, right = predictions.scores[:, 1], predictions.targets == 1
    else:
        sure, right = predictions.scores.ravel(), predictions.targets.ravel() == 1
    bins = calibration_bins(sure)
    samples = np.bincount(bins, minlength=BINS)
    of = np.where(samples > 0, samples, np.nan)
    return Reliability(
        np.bincount(bins, sure.astype(np.float64), BINS) / of, np.bincount(bins, right, BINS) / of, samples
    )


def confusion(predictions: Predictions) -> NDArray[np.int64]:
    """``(C, C)``: how often samples of a class (row) are predicted as one (column).

    Args:
        predictions: Of classes.
    """
    classes = len(predictions.names)
    cells = predictions.targets * classes + predictions.predicted
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def most_confused(matrix: NDArray[np.int64], count: int = 10) -> list[tuple[int, int, int]]:
    """Target, prediction and number of the commonest mistakes.

    >>> most_confused(np.array([[5, 1], [3, 9]]))
    [(1, 0, 3), (0, 1, 1)]

    Args:
        matrix: See :func:`confusion`.
        count: How many, at most.
    """
    off = matrix.copy()
    np.fill_diagonal(off, 0)
    worst = np.argsort(-off, axis=None, kind="stable")[:count]
    pairs = [(int(i), int(j), int(off[i, j])) for i, j in zip(*np.unravel_index(worst, off.shape), strict=True)]
    return [pair for pair in pairs if pair[2]]
