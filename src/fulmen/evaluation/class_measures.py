"""Scores of predicted classes and labels, for many sets of weights at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fulmen.evaluation.ranking import Ranking
from fulmen.evaluation.sums import Sums, Weights, mean_of_defined, ratio

BINS = 15
"""Of equal width, for the calibration error; as torchmetrics."""

Measured = dict[str, NDArray[np.float64]]


class ClassMeasures:
    """Of samples that have one class each.

    Args:
        targets: ``(N,)``, class numbers.
        predicted: ``(N,)``.
        probabilities: ``(N, C)``.
        binary: Whether the second of two classes is the one that is looked for: ``precision``, ``recall`` and ``f1``
            are of it, and calibration is that of its probability.
    """

    def __init__(
        self, targets: NDArray[Any], predicted: NDArray[Any], probabilities: NDArray[Any], binary: bool
    ) -> None:
        n, classes = probabilities.shape
        self._binary = binary
        right = predicted == targets
        self._sums = sums = Sums(n)
        sums.add("size", np.zeros(n, int))
        sums.add("targets", targets, rows=classes)
        sums.add("predicted", predicted, rows=classes)
        sums.add("hits", targets[right], rows=classes, samples=np.flatnonzero(right))
        sums.add("log_loss", np.zeros(n, int), -np.log(clipped(probabilities[np.arange(n), targets])))
        sums.add("brier", np.zeros(n, int), _brier(targets, probabilities))
        if binary:
            sums.add("gaps", *calibration_gaps(probabilities[:, 1], targets), rows=BINS)
        else:
            sums.add("gaps", *calibration_gaps(probabilities.max(1), right), rows=BINS)
        ranked = [1] if binary else range(classes)
        self._rankings = [Ranking(probabilities[:, c], targets == c) for c in ranked]

    def __call__(self, weights: Weights) -> Measured:
        """The measures, ``(B,)`` each; not a number where one is not defined.

        Args:
            weights: ``(N, B)``.
        """
        sums = self._sums(weights)
        size = sums["size"][0]
        by_class = of_classes(sums["hits"], sums["targets"], sums["predicted"])
        share = sums["targets"] / size
        occurs = sums["targets"] + sums["predicted"] > 0
        macro = {name: mean_of_defined(np.where(occurs, values, np.nan)) for name, values in by_class.items()}
        found = {
            "accuracy": sums["hits"].sum(0) / size,
            "balanced_accuracy": mean_of_defined(ratio(sums["hits"], sums["targets"])),
            **({name: values[1] for name, values in by_class.items()} if self._binary else macro),
            **({f"{name}_macro": values for name, values in macro.items()} if self._binary else {}),
            **{f"{name}_weighted": (share * values).sum(0) for name, values in by_class.items()},
        }
        ranks = [ranking(weights) for ranking in self._rankings]
        return found | {
            "auroc": mean_of_defined(np.stack([area for area, _ in ranks])),
            "average_precision": mean_of_defined(np.stack([precision for _, precision in ranks])),
            "matthews": _matthews(sums["hits"], sums["targets"], sums["predicted"], size),
            "log_loss": sums["log_loss"][0] / size,
            "brier": sums["brier"][0] / size,
            "calibration_error": np.abs(sums["gaps"]).sum(0) / size,
        }


class LabelMeasures:
    """Of samples that have any of several labels.

    Args:
        targets: ``(N, L)`` of 0 and 1.
        predicted: ``(N, L)`` of 0 and 1.
        probabilities: ``(N, L)``.
    """

    def __init__(self, targets: NDArray[Any], predicted: NDArray[Any], probabilities: NDArray[Any]) -> None:
        n, labels = targets.shape
        self._labels = labels
        self._sums = sums = Sums(n)
        sums.add("size", np.zeros(n, int))
        for name, on in (("targets", targets), ("predicted", predicted), ("hits", targets * predicted)):
            samples, label = np.nonzero(on)
            sums.add(name, label, rows=labels, samples=samples)
        sums.add("exact", np.zeros(n, int), (targets == predicted).all(1))
        said = np.where(targets == 1, clipped(probabilities), clipped(1 - probabilities))
        sums.add("log_loss", np.zeros(n, int), -np.log(said).mean(1))
        sums.add("brier", np.zeros(n, int), np.square(probabilities.astype(np.float64) - targets).mean(1))
        gaps = [calibration_gaps(probabilities[:, i], targets[:, i]) for i in range(labels)]
        places = np.concatenate([place + i * BINS for i, (place, _) in enumerate(gaps)])
        values = np.concatenate([gap for _, gap in gaps])
        sums.add("gaps", places, values, rows=labels * BINS, samples=np.tile(np.arange(n), labels))
        self._rankings = [Ranking(probabilities[:, i], targets[:, i] == 1) for i in range(labels)]

    def __call__(self, weights: Weights) -> Measured:
        """The measures, ``(B,)`` each; not a number where one is not defined.

        Args:
            weights: ``(N, B)``.
        """
        sums = self._sums(weights)
        size, hits, targets, predicted = sums["size"][0], sums["hits"], sums["targets"], sums["predicted"]
        by_label = of_classes(hits, targets, predicted)
        pooled = of_classes(*(part.sum(0) for part in (hits, targets, predicted)))
        right = size - targets - predicted + 2 * hits  # yes and yes, or no and no
        both = np.stack([ratio(hits, targets), ratio(right - hits, size - targets)])
        ranks = [ranking(weights) for ranking in self._rankings]
        return {
            "accuracy": right.mean(0) / size,
            "exact_match": sums["exact"][0] / size,
            "hamming_distance": 1 - right.mean(0) / size,
            "balanced_accuracy": mean_of_defined(both).mean(0),
            **{name: values.mean(0) for name, values in by_label.items()},
            **{f"{name}_micro": values for name, values in pooled.items()},
            **{
                f"{name}_weighted": np.nan_to_num(ratio((targets * values).sum(0), targets.sum(0)))
                for name, values in by_label.items()
            },
            "auroc": mean_of_defined(np.stack([area for area, _ in ranks])),
            "average_precision": mean_of_defined(np.stack([precision for _, precision in ranks])),
            "log_loss": sums["log_loss"][0] / size,
            "brier": sums["brier"][0] / size,
            "calibration_error": np.abs(sums["gaps"]).sum(0) / size / self._labels,
        }


def of_classes(hits: NDArray[Any], targets: NDArray[Any], predicted: NDArray[Any]) -> Measured:
    """Precision, recall and F1, 0 where they would divide by 0.

    Args:
        hits: How often a class is predicted where it is right, of any shape.
        targets: How often it is right.
        predicted: How often it is predicted.
    """
    return {
        "precision": np.nan_to_num(ratio(hits, predicted)),
        "recall": np.nan_to_num(ratio(hits, targets)),
        "f1": np.nan_to_num(ratio(2 * hits, targets + predicted)),
    }


def clipped(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    """Probabilities away from 0 and 1 by the step of their type, so that one sure mistake costs no infinite log loss.

    As scikit-learn's ``log_loss`` does.
    """
    step = np.finfo(probabilities.dtype).eps
    return np.asarray(np.clip(probabilities, step, 1 - step), np.float64)


def calibration_bins(confidence: NDArray[Any]) -> NDArray[np.int64]:
    """In which of 15 bins of [0, 1] a probability lies; an upper end belongs to the next bin.

    >>> calibration_bins(np.array([0.0, 0.05, 0.07, 1.0]))
    array([ 0,  0,  1, 14])
    """
    edges = np.linspace(0, 1, BINS + 1, dtype=np.float32)
    return np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, BINS - 1)


def calibration_gaps(confidence: NDArray[Any], right: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The bin of each sample, and by how much it is less sure than right.

    The expected calibration error is the sum over the bins of ``|sum of gaps|``, by the number of samples (Guo et al.
    2017, https://arxiv.org/abs/1706.04599, equation 3).
    """
    return calibration_bins(confidence), right.astype(np.float64) - confidence


def _brier(targets: NDArray[Any], probabilities: NDArray[Any]) -> NDArray[np.float64]:
    """Squared distance of the probabilities from the truth: in [0, 1] of two classes, in [0, 2] of more."""
    gap = probabilities.astype(np.float64)
    gap[np.arange(len(targets)), targets] -= 1
    return np.asarray(np.square(gap[:, 1]) if gap.shape[1] == 2 else np.square(gap).sum(1))


def _matthews(
    hits: NDArray[Any], targets: NDArray[Any], predicted: NDArray[Any], size: NDArray[Any]
) -> NDArray[np.float64]:
    """Matthews' correlation coefficient (Gorodkin 2004); 0 where only one class is right, or is predicted."""
    both = hits.sum(0) * size - (targets * predicted).sum(0)
    spreads = [np.square(size) - np.square(counts).sum(0) for counts in (targets, predicted)]
    return np.nan_to_num(ratio(both, np.sqrt(spreads[0] * spreads[1])))
