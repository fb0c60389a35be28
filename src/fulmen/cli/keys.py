"""The keys of a config beside model, data and trainer."""

from __future__ import annotations

from typing import Any, Literal

from fulmen.callbacks import EMA, SWA, Checkpoint, EarlyStopping, Report
from fulmen.cli.check import CheckBeforeFit
from fulmen.cli.trainer import LoggerName

ScoredSplit = Literal["val", "test"]
_OPTIONAL: dict[str, tuple[type, dict[str, str] | None, str]] = {
    "early_stopping": (
        EarlyStopping,
        {"monitor": "val/loss"},
        "Stops when a metric no longer improves; null switches it off.",
    ),
    "checkpoint": (
        Checkpoint,
        {"monitor": "val/loss"},
        "Saves the best and the newest model; null switches it off.",
    ),
    "ema": (
        EMA,
        None,
        "Validates, saves and ends with an exponential moving average of the weights; {} for its defaults.",
    ),
    "swa": (
        SWA,
        None,
        "Validates, saves and ends with the average of the last epochs' weights; {} for its defaults.",
    ),
    "report": (
        Report,
        None,
        "Ends fit with a report of the best model, as `lightning report` writes it; {} for its defaults.",
    ),
}
_PLAIN: dict[str, tuple[Any, Any, str]] = {
    "logger": (
        LoggerName | list[LoggerName] | None,
        "auto",
        "Where metrics are written; auto: CSV, and TensorBoard where it is installed; null: nowhere.",
    ),
    "test_after_fit": (bool, True, "Score the best model when fit ends."),
    "keep_predictions": (
        list[ScoredSplit],
        [],
        "Splits whose predictions of the best model fit writes into the run's folder: val, test.",
    ),
    "check": (
        CheckBeforeFit,
        "stop",
        "What errors in the data do to fit: stop it, or are only reported; skip does not look.",
    ),
    "output": (str | None, None, "File for predict's table, .csv or .parquet."),
    "provenance": (list[dict[str, str | None]] | None, None, "What a saved run was made of."),
}


def add_keys(parser: Any) -> None:
    """Adds the keys.

    Args:
        parser: Of a command.
    """
    for name, (kind, default, said) in _OPTIONAL.items():
        parser.add_argument(f"--{name}", type=kind | None, default=default, help=said)
    for name, (kind, default, said) in _PLAIN.items():
        parser.add_argument(f"--{name}", type=kind, default=default, help=said)
