"""A trainer for trials: what a run would have, without what it writes and shows."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher
from lightning.pytorch.utilities.seed import isolate_rng

from fulmen.core.errors import ConfigError

_LEFT_OUT: dict[str, Any] = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "limit_val_batches": 0,
    "num_sanity_val_steps": 0,
    "fast_dev_run": False,
    "max_time": None,
    "min_epochs": None,
    "min_steps": None,
    "profiler": None,
}


def run_trial(
    module: LightningModule, data: LightningDataModule, options: Mapping[str, Any] | None, callback: Callback
) -> None:
    """Trains a module for a trial, quietly; random states are afterwards as they were before.

    Args:
        module: A copy that may be thrown away.
        data: Its data.
        options: Of the run's ``Trainer``.
        callback: Says when the trial ends, and keeps what it finds.

    Raises:
        ConfigError: If the strategy trains in processes that cannot hand over what they find.
    """
    made = {"max_epochs": 1, **(options or {}), **_LEFT_OUT, "callbacks": [callback]}
    with isolate_rng(), silence():
        trainer = Trainer(**made)
        if isinstance(trainer.strategy.launcher, _MultiProcessingLauncher):
            raise ConfigError(
                "trainer.strategy: trials in processes that are spawned or forked hand over nothing; write ddp, or "
                "`--trainer.devices 1`"
            )
        trainer.fit(module, datamodule=data)


def train_for(trainer: Trainer, steps: int) -> None:
    """Makes a training that begins as long as a number of steps, whatever its epochs, and lets its schedules rest.

    Args:
        trainer: About to fit.
        steps: Optimizer steps.
    """
    trainer.strategy.lr_scheduler_configs = []
    trainer.fit_loop.max_epochs = -1
    trainer.fit_loop.epoch_loop.max_steps = steps


@contextmanager
def silence(name: str = "lightning.pytorch.utilities.rank_zero") -> Iterator[None]:
    """Keeps Lightning from telling what devices there are, and why it stopped.

    Args:
        name: Of the logger that says it; ``lightning.fabric.utilities.seed`` tells the seed.
    """
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
