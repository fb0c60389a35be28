"""The samples that a model is most wrong about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fulmen.evaluation.class_measures import clipped
from fulmen.evaluation.predictions import Predictions


@dataclass(frozen=True)
class Mistake:
    """A sample with a high loss.

    Attributes:
        row: Its row in the data set of the split; of :func:`worst` its place in the predictions.
        sample: What the data call it: a path, or a row's number.
        target: Its class, its labels joined by ``;``, or its value.
        prediction: The same of the prediction.
        probability: Of the class that is predicted, in [0, 1]; ``None`` where there is no such.
        loss: Its loss.
        wrong: Whether the prediction is another than the target; ``None`` of a regression.
    """

    row: int
    sample: object
    target: str
    prediction: str
    probability: float | None
    loss: float
    wrong: bool | None

    @property
    def answer(self) -> str:
        """The prediction, and how sure the model is of it.

        >>> Mistake(0, "a.png", "ants", "bees", 0.734, 1.3, True).answer
        'bees (73%)'
        """
        return self.prediction if self.probability is None else f"{self.prediction} ({self.probability:.0%})"


def losses(predictions: Predictions) -> NDArray[np.float64]:
    """How wrong each prediction is, ``(N,)``.

    That is minus the logarithm of the probability of what is right (the mean over labels), or the absolute error in
    standard deviations of the targets (the mean over values).
    """
    targets, scores = predictions.targets, predictions.scores
    if predictions.task == "regression":
        spread = targets.std(0)
        return np.asarray((np.abs(scores - targets) / np.where(spread > 0, spread, 1)).mean(1))
    if predictions.task == "multilabel":
        return np.asarray(-np.log(np.where(targets == 1, clipped(scores), clipped(1 - scores))).mean(1))
    return np.asarray(-np.log(clipped(scores[np.arange(len(targets)), targets])))


def worst(predictions: Predictions, count: int = 24) -> list[Mistake]:
    """The samples of highest loss, the highest first.

    Mistaken labels and broken samples gather there, and what a model has not seen enough of.

    Args:
        predictions: At least one sample.
        count: How many are wanted, at most.
    """
    loss = losses(predictions)
    found = []
    for row in np.argsort(-loss, kind="stable")[:count].tolist():
        single = predictions.task in ("multiclass", "binary")
        chosen = predictions.predicted[row]
        found.append(
            Mistake(
                row,
                predictions.samples[row],
                said(predictions, predictions.targets[row]),
                said(predictions, chosen),
                float(predictions.scores[row, chosen]) if single else None,
                float(loss[row]),
                None if predictions.task == "regression" else bool(np.any(chosen != predictions.targets[row])),
            )
        )
    return found


def said(predictions: Predictions, value: NDArray[np.float64]) -> str:
    """A target or a prediction in words: names of classes or labels, or numbers."""
    if predictions.task == "regression":
        return ", ".join(f"{number:.4g}" for number in value.tolist())
    if predictions.task == "multilabel":
        return "; ".join(n for n, on in zip(predictions.names, value.tolist(), strict=True) if on) or "none"
    return predictions.names[int(value)]
