"""Floor 5: what is done with models and data beside training them; plain functions, usable from Python."""

from fulmen.workflows.batch_size import SizeSearch, SizeTrial, find_batch_size
from fulmen.workflows.collecting import collect_predictions
from fulmen.workflows.grad_cam import GradCam, grad_cam, overlay
from fulmen.workflows.learning_rate import RateSweep, find_learning_rate
from fulmen.workflows.mistakes import Mistake, Mistakes, worst_mistakes

__all__ = [
    "GradCam",
    "Mistake",
    "Mistakes",
    "RateSweep",
    "SizeSearch",
    "SizeTrial",
    "collect_predictions",
    "find_batch_size",
    "find_learning_rate",
    "grad_cam",
    "overlay",
    "worst_mistakes",
]
