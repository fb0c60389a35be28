"""Search of hyperparameters: spaces, studies that any number of processes work on, and what came of them."""

from fulmen.workflows.tuning.results import SearchResult, TrialResult
from fulmen.workflows.tuning.search import Attempt, Pruned, SearchError, tune, work
from fulmen.workflows.tuning.space import Choices, Range, Space
from fulmen.workflows.tuning.space_reading import read_space
from fulmen.workflows.tuning.study import SAMPLERS, Study
from fulmen.workflows.tuning.workers import open_alone

__all__ = [
    "SAMPLERS",
    "Attempt",
    "Choices",
    "Pruned",
    "Range",
    "SearchError",
    "SearchResult",
    "Space",
    "Study",
    "TrialResult",
    "open_alone",
    "read_space",
    "tune",
    "work",
]
