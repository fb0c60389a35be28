"""Search of hyperparameters: spaces, studies that any number of processes work on, and what came of them."""

from fulmen.workflows.tuning.results import SearchResult, TrialResult
from fulmen.workflows.tuning.search import Attempt, Pruned, SearchError, tune, work
from fulmen.workflows.tuning.space import Choices, Range, Space, read_space
from fulmen.workflows.tuning.study import SAMPLERS, Study, open_alone

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
