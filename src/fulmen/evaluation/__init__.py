"""Floor 2: what is made of predictions: metrics with intervals, calibration, curves, pages. No models, no data sets."""

from fulmen.evaluation.bootstrap import Interval, bootstrap, intervals
from fulmen.evaluation.metrics import higher_is_better, per_class, scores, undefined
from fulmen.evaluation.page import Page
from fulmen.evaluation.predictions import Predictions

__all__ = [
    "Interval",
    "Page",
    "Predictions",
    "bootstrap",
    "higher_is_better",
    "intervals",
    "per_class",
    "scores",
    "undefined",
]
