"""Metrics whose defaults differ from torchmetrics': per-class scores are averaged over classes.

torchmetrics averages precision, recall and F1 over samples ("micro"), which for classes is accuracy
under another name; here they are averaged over classes ("macro"), as scikit-learn's reports do.
"""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, get_type_hints

import torchmetrics
from torchmetrics import Metric


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


balanced_accuracy = _with_defaults(torchmetrics.Accuracy, average="macro")
precision = _with_defaults(torchmetrics.Precision, average="macro")
recall = _with_defaults(torchmetrics.Recall, average="macro")
specificity = _with_defaults(torchmetrics.Specificity, average="macro")
f1 = _with_defaults(torchmetrics.F1Score, average="macro")
rmse = _with_defaults(torchmetrics.MeanSquaredError, squared=False)
