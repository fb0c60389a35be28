"""Floor 5: what is done with models and data beside training them; plain functions, usable from Python.

A name is imported when it is asked for: predicting with an exported model needs no Lightning.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fulmen.workflows.batch_size import SizeSearch, SizeTrial, find_batch_size
    from fulmen.workflows.card import model_card
    from fulmen.workflows.card_facts import CardFacts
    from fulmen.workflows.collecting import collect_predictions
    from fulmen.workflows.compared import Comparison, Cost, Entry
    from fulmen.workflows.comparison import compare
    from fulmen.workflows.cross_validation import cross_validate
    from fulmen.workflows.exporting.export import export
    from fulmen.workflows.exporting.running import Answers, Exported, load_exported
    from fulmen.workflows.fold_results import CrossValidation
    from fulmen.workflows.gradient_maps import GradCam, grad_cam, overlay
    from fulmen.workflows.learning_rate import RateSweep, find_learning_rate
    from fulmen.workflows.mistakes import Mistake, Mistakes, worst_mistakes
    from fulmen.workflows.reporting import evaluate, report
    from fulmen.workflows.tuning import SearchResult, tune

_MODULES = {
    "batch_size": "SizeSearch SizeTrial find_batch_size",
    "card": "model_card",
    "card_facts": "CardFacts",
    "collecting": "collect_predictions",
    "compared": "Comparison Cost Entry",
    "comparison": "compare",
    "cross_validation": "cross_validate",
    "exporting.export": "export",
    "exporting.running": "Answers Exported load_exported",
    "fold_results": "CrossValidation",
    "gradient_maps": "GradCam grad_cam overlay",
    "learning_rate": "RateSweep find_learning_rate",
    "mistakes": "Mistake Mistakes worst_mistakes",
    "reporting": "evaluate report",
    "tuning": "SearchResult tune",
}
_HOME = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = [
    "Answers",
    "CardFacts",
    "Comparison",
    "Cost",
    "CrossValidation",
    "Entry",
    "Exported",
    "GradCam",
    "Mistake",
    "Mistakes",
    "RateSweep",
    "SearchResult",
    "SizeSearch",
    "SizeTrial",
    "collect_predictions",
    "compare",
    "cross_validate",
    "evaluate",
    "export",
    "find_batch_size",
    "find_learning_rate",
    "grad_cam",
    "load_exported",
    "model_card",
    "overlay",
    "report",
    "tune",
    "worst_mistakes",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"fulmen.workflows.{_HOME[name]}"), name)
    raise AttributeError(f"module 'fulmen.workflows' has no attribute {name!r}")
