"""Floor 3: callbacks that Lightning does not have, and Lightning's own with our defaults."""

from fulmen.callbacks.defaults import Checkpoint, EarlyStopping
from fulmen.callbacks.ema import EMA
from fulmen.callbacks.history import History
from fulmen.callbacks.predictions import PredictionWriter
from fulmen.callbacks.progress import ProgressBar
from fulmen.callbacks.recording import PredictionRecorder
from fulmen.callbacks.report import Report
from fulmen.callbacks.split import SplitWriter
from fulmen.callbacks.swa import SWA

__all__ = [
    "EMA",
    "SWA",
    "Checkpoint",
    "EarlyStopping",
    "History",
    "PredictionRecorder",
    "PredictionWriter",
    "ProgressBar",
    "Report",
    "SplitWriter",
]
