"""What the command line gives the trainer."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from jsonargparse import Namespace
from lightning.pytorch.accelerators import AcceleratorRegistry
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.strategies import StrategyRegistry

from fulmen.core.errors import ConfigError, nearest

LoggerName = Literal["auto", "csv", "tensorboard"]


def make_loggers(names: str | list[str] | None, folder: Path) -> list[Logger] | bool:
    """The loggers of a run.

    Args:
        names: ``csv``, ``tensorboard``, a list of them, ``auto`` (CSV, and TensorBoard if installed), or ``None``.
        folder: The run's folder.

    Returns:
        Loggers that write there; false for none.

    Raises:
        ConfigError: If TensorBoard is asked for and not installed.
    """
    if not names:
        return False
    tensorboard = find_spec("tensorboard") is not None
    if names == "auto":
        names = ["csv", "tensorboard"] if tensorboard else ["csv"]
    made: list[Logger] = []
    for name in [names] if isinstance(names, str) else names:
        place: dict[str, Any] = {
            "save_dir": str(folder.parent.parent),
            "name": folder.parent.name,
            "version": folder.name,
        }
        if name == "tensorboard" and not tensorboard:
            raise ConfigError("logger: tensorboard is not installed: pip install tensorboard, or use logger: csv")
        made.append(CSVLogger(**place) if name == "csv" else TensorBoardLogger(**place))
    return made


def nearest_name(trainer: Namespace) -> str:
    """What a misspelt strategy or accelerator may have meant."""
    known = {
        "strategy": {"auto", *StrategyRegistry.available_strategies()},
        "accelerator": {"auto", "gpu", *AcceleratorRegistry.available_accelerators()},
    }
    for key, names in known.items():
        if isinstance(trainer[key], str) and trainer[key] not in names:
            return f"{key}: did you mean {nearest(trainer[key], names)!r}? "
    return ""
