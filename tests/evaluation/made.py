"""Predictions that are made up, and scikit-learn's scores of them."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

from fulmen.evaluation import Predictions

TASKS = ("multiclass", "binary", "multilabel", "regression", "regression_of_two")


def predictions(task: str, n: int = 60, seed: int = 0, ties: bool = False, classes: int = 4) -> Predictions:
    """Some samples that are predicted a little better than by chance.

    Args:
        task: One of ``TASKS``.
        n: How many.
        seed: Of the numbers.
        ties: Whether many scores are equal.
        classes: Of ``multiclass``, or labels.
    """
    random = np.random.default_rng(seed)
    samples = [f"s{i}" for i in range(n)]
    if task.startswith("regression"):
        width = 2 if task == "regression_of_two" else 1
        targets = random.normal(3, 2, (n, width))
        values = (targets + random.normal(size=(n, width))).astype(np.float32)
        values = values.round() if ties else values
        return Predictions("regression", [f"v{i}" for i in range(width)], samples, targets, values, values)
    if task == "multilabel":
        targets = (random.random((n, classes)) < np.linspace(0.2, 0.6, classes)).astype(np.int64)
        p = (1 / (1 + np.exp(-random.normal(2 * targets - 1, 1.5)))).astype(np.float32)
        p = p.round(1) if ties else p
        return Predictions(task, [f"l{i}" for i in range(classes)], samples, targets, p, (p > 0.5).astype(np.int64))
    count = 2 if task == "binary" else classes
    targets = random.integers(0, count, n)
    z = random.normal(size=(n, count))
    z[np.arange(n), targets] += 1
    p = (np.exp(z) / np.exp(z).sum(1, keepdims=True)).astype(np.float32)
    if ties:
        p = (p * 8).round().astype(np.float32) + np.float32(0.5)
        p /= p.sum(1, keepdims=True)
    return Predictions(task, [f"c{i}" for i in range(count)], samples, targets, p, p.argmax(1))


def sklearn_scores(p: Predictions) -> dict[str, float]:
    """Every headline metric of scikit-learn; what it does not define is left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that do not occur
        found = {"multilabel": _of_labels, "regression": _of_values}.get(p.task, _of_classes)(p)
    return {name: float(value) for name, value in found.items() if value == value}


def calibration_error(confidence: NDArray[np.float32], right: NDArray[np.int64]) -> float:
    """The loop that stands in Guo et al. 2017, with the bins of torchmetrics."""
    edges, total = np.linspace(0, 1, 16, dtype=np.float32), 0.0
    for i in range(15):
        inside = (confidence >= edges[i]) & ((confidence < edges[i + 1]) | (i == 14))
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean(dtype=np.float64))
    return float(total)


def _area(y: NDArray[np.int64], s: NDArray[np.float32]) -> tuple[float, float]:
    area = sk.roc_auc_score(y, s) if 0 < y.sum() < len(y) else np.nan
    return float(area), float(sk.average_precision_score(y, s)) if y.any() else np.nan


def _averages(p: Predictions, average: str, suffix: str) -> dict[str, float]:
    found = sk.precision_recall_fscore_support(p.targets, p.predicted, average=average, zero_division=0)
    return {f"{name}{suffix}": value for name, value in zip(("precision", "recall", "f1"), found, strict=False)}


def _of_classes(p: Predictions) -> dict[str, float]:
    t, s, c = p.targets, p.scores, len(p.names)
    binary = p.task == "binary"
    areas = [_area((t == i).astype(int), s[:, i]) for i in ([1] if binary else range(c))]
    one_hot = np.eye(c)[t]
    return {
        "accuracy": sk.accuracy_score(t, p.predicted),
        "balanced_accuracy": sk.balanced_accuracy_score(t, p.predicted),
        **_averages(p, "binary" if binary else "macro", ""),
        **(_averages(p, "macro", "_macro") if binary else {}),
        **_averages(p, "weighted", "_weighted"),
        "auroc": _mean([a for a, _ in areas]),
        "average_precision": _mean([a for _, a in areas]),
        "matthews": sk.matthews_corrcoef(t, p.predicted),
        "log_loss": sk.log_loss(t, s, labels=list(range(c))),
        "brier": np.square(s[:, 1] - t).mean() if binary else np.square(s - one_hot).sum(1).mean(),
        "calibration_error": calibration_error(s[:, 1], t)
        if binary
        else calibration_error(s.max(1), (p.predicted == t).astype(int)),
    }


def _of_labels(p: Predictions) -> dict[str, float]:
    t, s, y = p.targets, p.scores, p.predicted
    labels = range(t.shape[1])
    areas = [_area(t[:, i], s[:, i]) for i in labels]
    return {
        "accuracy": 1 - sk.hamming_loss(t, y),
        "exact_match": sk.accuracy_score(t, y),
        "hamming_distance": sk.hamming_loss(t, y),
        "balanced_accuracy": np.mean([sk.balanced_accuracy_score(t[:, i], y[:, i]) for i in labels]),
        **_averages(p, "macro", ""),
        **_averages(p, "micro", "_micro"),
        **_averages(p, "weighted", "_weighted"),
        "auroc": _mean([a for a, _ in areas]),
        "average_precision": _mean([a for _, a in areas]),
        "log_loss": np.mean([sk.log_loss(t[:, i], s[:, i], labels=[0, 1]) for i in labels]),
        "brier": np.mean([np.square(s[:, i] - t[:, i]).mean() for i in labels]),
        "calibration_error": np.mean([calibration_error(s[:, i], t[:, i]) for i in labels]),
    }


def _of_values(p: Predictions) -> dict[str, float]:
    t, y = p.targets, p.predicted.astype(float)
    spread = bool((t.std(0) > 0).all())
    both = spread and bool((y.std(0) > 0).all())
    return {
        "mae": sk.mean_absolute_error(t, y),
        "rmse": sk.root_mean_squared_error(t, y),
        "r2": sk.r2_score(t, y) if spread else np.nan,
        "explained_variance": sk.explained_variance_score(t, y) if spread else np.nan,
        "pearson": np.mean([np.corrcoef(t[:, i], y[:, i])[0, 1] for i in range(t.shape[1])]) if both else np.nan,
        "median_absolute_error": sk.median_absolute_error(t, y),
        "mape": sk.mean_absolute_percentage_error(t, y) if (t != 0).all() else np.nan,
    }


def _mean(values: list[float]) -> float:
    defined = [v for v in values if v == v]
    return float(np.mean(defined)) if defined else np.nan
