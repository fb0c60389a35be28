"""The headline metrics of each task, equal to scikit-learn's on the same predictions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fulmen.core.errors import DataError
from fulmen.evaluation.class_measures import ClassMeasures, LabelMeasures, Measured, of_classes
from fulmen.evaluation.predictions import Predictions
from fulmen.evaluation.ranking import Ranking
from fulmen.evaluation.sums import Weights
from fulmen.evaluation.value_measures import ValueMeasures

Measures = Callable[[Weights], Measured]

_LOWER = {
    "loss", "log_loss", "brier", "calibration_error", "hamming_distance", "mae", "mse", "rmse", "mape",
    "median_absolute_error", "seconds",
}  # fmt: skip

HEADLINE = {"multiclass": "accuracy", "binary": "accuracy", "multilabel": "f1", "regression": "mae"}
"""The one metric of a task that is said first."""


def higher_is_better(name: str) -> bool:
    """Whether more of a metric is better.

    Args:
        name: A metric, ``loss``, or either as it is logged: ``val/loss``.

    >>> higher_is_better("auroc"), higher_is_better("val/loss")
    (True, False)
    """
    return name.rpartition("/")[2] not in _LOWER


def measures(predictions: Predictions) -> Measures:
    """What gives every headline metric for weights ``(N, B)`` of the samples, ``(B,)`` each.

    A metric that is not defined for some weights (no sample of a class, say) is not a number there. Means over
    classes are over those for which it is defined.

    Args:
        predictions: At least one sample.

    Raises:
        DataError: If there is no sample, or a prediction is not a number.
    """
    if not len(predictions):
        raise DataError("there is no sample to score")
    broken = ~np.isfinite(predictions.scores).all(1)
    if broken.any():
        first = predictions.samples[int(broken.argmax())]
        raise DataError(
            f"{int(broken.sum())} of {len(predictions)} predictions are not finite (the first is of {first}); did the "
            "training diverge? Lower the learning rate, or take an earlier checkpoint"
        )
    targets, predicted, scores = predictions.targets, predictions.predicted, predictions.scores
    if predictions.task == "regression":
        return ValueMeasures(targets, predicted)
    if predictions.task == "multilabel":
        return LabelMeasures(targets, predicted, scores)
    return ClassMeasures(targets, predicted, scores, binary=predictions.task == "binary")


def scores(predictions: Predictions) -> dict[str, float]:
    """Every headline metric of the task; see :func:`undefined` for what is left out.

    - Classes: ``accuracy``, ``balanced_accuracy``; ``precision``, ``recall``, ``f1`` (means over the classes that
      occur; of the second class for ``binary``, with ``_macro`` for the mean), the same ``_weighted`` by how frequent
      classes are; ``auroc`` and ``average_precision`` (each class against the rest), ``matthews``, ``log_loss``,
      ``brier``, ``calibration_error`` (15 bins).
    - Labels: ``accuracy`` (of single labels), ``exact_match``, ``hamming_distance``, ``balanced_accuracy``;
      ``precision``, ``recall``, ``f1`` (means over labels), the same ``_micro`` and ``_weighted``; ``auroc``,
      ``average_precision``, ``log_loss``, ``brier``, ``calibration_error`` (means over labels).
    - Values: ``mae``, ``rmse``, ``r2``, ``explained_variance``, ``pearson``, ``median_absolute_error``, ``mape`` (a
      share, not per cent).

    Args:
        predictions: At least one sample.

    Raises:
        DataError: If there is no sample, or a prediction is not a number.
    """
    found = measures(predictions)(np.ones((len(predictions), 1)))
    return {name: float(value[0]) for name, value in found.items() if not np.isnan(value[0])}


def undefined(predictions: Predictions) -> dict[str, str]:
    """Headline metrics that :func:`scores` leaves out, and why."""
    names = measures(predictions)(np.ones((len(predictions), 1))) if len(predictions) else {}
    missing = [name for name, value in names.items() if np.isnan(value[0])]
    if predictions.task == "regression":
        constant = "the targets (or the predictions) are all the same"
        reasons = dict.fromkeys(missing, constant)
        return reasons if "mape" in names else {**reasons, "mape": "a target is 0, and an error has no share of it"}
    return dict.fromkeys(missing, "it needs samples of at least two classes, and there are of one alone")


def per_class(predictions: Predictions) -> dict[str, dict[str, float]]:
    """Precision, recall, F1, support, AUROC and average precision of each class or label.

    ``precision`` is 0 for a class that is never predicted; AUROC and average precision are left out for a class that
    no sample has, or that all have.

    Args:
        predictions: Of classes or labels; a regression has none.
    """
    if predictions.task == "regression":
        return {}
    ones = np.ones((len(predictions), 1))
    found: dict[str, dict[str, float]] = {}
    for i, name in enumerate(predictions.names):
        if predictions.task == "multilabel":
            true, said = predictions.targets[:, i] == 1, predictions.predicted[:, i] == 1
        else:
            true, said = predictions.targets == i, predictions.predicted == i
        counts = of_classes(*(np.asarray(float(part.sum())) for part in (true & said, true, said)))
        area, precision = (float(value[0]) for value in Ranking(predictions.scores[:, i], true)(ones))
        ranked = {"auroc": area, "average_precision": precision}
        found[name] = {
            **{key: float(value) for key, value in counts.items()},
            "support": float(true.sum()),
            **{key: value for key, value in ranked.items() if not np.isnan(value)},
        }
    return found
