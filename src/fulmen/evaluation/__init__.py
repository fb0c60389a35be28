"""Floor 2: what is made of predictions: metrics with intervals, calibration, curves, pages. No models, no data sets."""

from fulmen.evaluation.bootstrap import Interval, bootstrap, interval, intervals
from fulmen.evaluation.evaluation import Evaluation
from fulmen.evaluation.learning import Curves, Verdict, verdict
from fulmen.evaluation.metrics import HEADLINE, higher_is_better, per_class, scores, undefined
from fulmen.evaluation.page import Page
from fulmen.evaluation.predictions import Predictions
from fulmen.evaluation.report_page import About
from fulmen.evaluation.writing import describe, write_report

__all__ = [
    "HEADLINE",
    "About",
    "Curves",
    "Evaluation",
    "Interval",
    "Page",
    "Predictions",
    "Verdict",
    "bootstrap",
    "describe",
    "higher_is_better",
    "interval",
    "intervals",
    "per_class",
    "scores",
    "undefined",
    "verdict",
    "write_report",
]
