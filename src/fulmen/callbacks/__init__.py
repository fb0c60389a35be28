"""Floor 3: callbacks that Lightning does not have, and Lightning's own with our defaults."""

from fulmen.callbacks.defaults import Checkpoint, EarlyStopping
from fulmen.callbacks.predictions import PredictionWriter

__all__ = ["Checkpoint", "EarlyStopping", "PredictionWriter"]
