"""Metrics whose defaults differ from torchmetrics': per-class scores are averaged over classes.

torchmetrics averages precision, recall and F1 over samples ("micro"), which for classes is accuracy
under another name; here they are averaged over classes ("macro"), as scikit-learn's reports do.
"""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, Literal, get_type_hints

import torch
import torchmetrics
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import BinaryStatScores, MultilabelStatScores


def _with_defaults(metric: type[Metric], **defaults: Any) -> Callable[..., Metric]:
    """A metric with other defaults and the same signature, so that its options can still be checked."""

    @wraps(metric, assigned=("__doc__",), updated=())
    def make(**options: Any) -> Metric:
        return metric(**{**defaults, **options})

    signature = inspect.signature(metric)
    parameters = [p.replace(default=defaults.get(n, p.default)) for n, p in signature.parameters.items()]
    constructor = metric.__init__ if metric.__new__ is object.__new__ else metric.__new__
    make.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    make.__annotations__ = get_type_hints(constructor)
    return make


def _balanced(counts: Tensor) -> Tensor:
    """Mean of the recalls of yes and of no; of the one that occurs where the other does not.

    Args:
        counts: ``(..., 5)``: true positives, false positives, true negatives, false negatives, support.
    """
    tp, fp, tn, fn = counts[..., :4].float().unbind(-1)
    return torch.stack([tp / (tp + fn), tn / (tn + fp)]).nanmean(0)


class _BinaryBalancedAccuracy(BinaryStatScores):
    higher_is_better = True

    def compute(self) -> Tensor:
        return _balanced(super().compute())


class _MultilabelBalancedAccuracy(MultilabelStatScores):
    higher_is_better = True

    def compute(self) -> Tensor:
        return _balanced(super().compute()).mean()


def balanced_accuracy(
    task: Literal["binary", "multiclass", "multilabel"],
    num_classes: int | None = None,
    num_labels: int | None = None,
    threshold: float = 0.5,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Metric:
    """Mean of the recalls of all classes: what guessing reaches is 1 / classes, however rare some are.

    torchmetrics' ``Accuracy(average="macro")`` is that for several classes only; for yes/no targets and for
    labels it is plain accuracy. Labels are averaged.

    Args:
        task: What the targets are.
        num_classes: Number of classes of ``multiclass``.
        num_labels: Number of labels of ``multilabel``.
        threshold: From which probability on a yes/no target counts as yes.
        ignore_index: A target that does not count.
        validate_args: Whether torchmetrics checks every batch.
    """
    common: dict[str, Any] = {"ignore_index": ignore_index, "validate_args": validate_args}
    if task == "binary":
        return _BinaryBalancedAccuracy(threshold=threshold, **common)
    if task == "multilabel":
        assert num_labels is not None
        return _MultilabelBalancedAccuracy(num_labels, threshold=threshold, average="none", **common)
    return torchmetrics.Accuracy(task="multiclass", num_classes=num_classes, average="macro", **common)


precision = _with_defaults(torchmetrics.Precision, average="macro")
recall = _with_defaults(torchmetrics.Recall, average="macro")
specificity = _with_defaults(torchmetrics.Specificity, average="macro")
f1 = _with_defaults(torchmetrics.F1Score, average="macro")
rmse = _with_defaults(torchmetrics.MeanSquaredError, squared=False)
