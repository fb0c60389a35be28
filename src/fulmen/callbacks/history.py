"""What each epoch scored."""

from __future__ import annotations

import time

from lightning.pytorch import Callback, LightningModule, Trainer


class History(Callback):
    """Keeps the logged values of each epoch of ``fit``, and how long the training took.

    Attributes:
        epochs: Logged name -> value, one mapping an epoch of validation (of training, where nothing validates).
        seconds: From the first batch to the end of the training.
    """

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []
        self.seconds = 0.0
        self._began = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock."""
        self.epochs, self._began = [], time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keeps the epoch's values."""
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.epochs.append({"epoch": float(trainer.current_epoch), **values})

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stops the clock."""
        self.seconds = time.monotonic() - self._began

    def best(self, monitor: str, mode: str) -> dict[str, float]:
        """The values of the epoch in which one of them was best, the first of equals; empty where none has it.

        Args:
            monitor: Logged name.
            mode: ``min`` or ``max``.
        """
        scored = [epoch for epoch in self.epochs if epoch.get(monitor, float("nan")) == epoch.get(monitor)]
        if not scored:
            return {}
        return (min if mode == "min" else max)(scored, key=lambda epoch: epoch[monitor])
