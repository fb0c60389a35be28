"""What each epoch scored."""

from __future__ import annotations

import math
import time

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn


class History(Callback):
    """Keeps the logged values of each epoch of ``fit``, and how long the training took.

    Attributes:
        scored: Logged name -> value, one mapping a validation (an epoch, where nothing validates), with its ``epoch``.
        seconds: From the first batch to the end of the training.
    """

    def __init__(self) -> None:
        self.scored: list[dict[str, float]] = []
        self.seconds = 0.0
        self._began = 0.0
        self._epoch: list[dict[str, float]] = []

    @property
    def epochs(self) -> int:
        """How many came to their end."""
        return len({values["epoch"] for values in self.scored})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock."""
        self.scored, self._epoch, self._began = [], [], time.monotonic()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keeps what the epoch before logged."""
        self._keep(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keeps what this validation says."""
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._epoch.append({"epoch": float(trainer.current_epoch), **_values(trainer, "val/")})

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes an epoch without validation; the module logs its training later than this."""
        if not self._epoch:
            self._epoch = [{"epoch": float(trainer.current_epoch)}]

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stops the clock, and keeps what the last epoch logged."""
        self.seconds = time.monotonic() - self._began
        self._keep(trainer)

    def _keep(self, trainer: Trainer) -> None:
        rest = _values(trainer) if self._epoch else {}
        self.scored += [{**rest, **values} for values in self._epoch]
        self._epoch = []

    def best(self, monitor: str, mode: str) -> dict[str, float]:
        """The values where one of them was best, the first of equals; empty where none has it.

        Args:
            monitor: Logged name.
            mode: ``min`` or ``max``.
        """
        scored = [values for values in self.scored if not math.isnan(values.get(monitor, math.nan))]
        if not scored:
            return {}
        return (min if mode == "min" else max)(scored, key=lambda values: values[monitor])


def _values(trainer: Trainer, prefix: str = "") -> dict[str, float]:
    return {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith(prefix)}
