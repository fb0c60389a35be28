"""A progress bar that costs nothing noticeable."""

from __future__ import annotations

import sys
import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar


class ProgressBar(TQDMProgressBar):
    """Lightning's progress bar, drawn at most five times a second.

    Lightning draws after every batch, which takes longer than a step of a small network. Into a file or a
    pipe, where nothing can be drawn over, it writes lines: one an epoch, and one in ten seconds of a long one.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines = not sys.stdout.isatty() and "ipykernel" not in sys.modules  # a notebook draws by itself
        self._seconds = 10.0 if self._lines else 0.2
        self._drawn = self._began = 0.0

    @property
    def is_disabled(self) -> bool:
        """Whether bars are not drawn."""
        return self._lines or super().is_disabled

    def on_train_epoch_start(self, trainer: Trainer, *args: Any) -> None:
        """Starts the bar, and the clock."""
        super().on_train_epoch_start(trainer, *args)
        if self._lines:
            self._drawn = self._began = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draws the bar, or writes a line, when it is time."""
        if not self._lines:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        elif self._should_update(batch_idx + 1, -1):
            self._write(trainer, pl_module, f"batch {batch_idx + 1} of {self.total_train_batches}")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draws the bar, or writes the epoch's line."""
        super().on_train_epoch_end(trainer, pl_module)
        if self._lines and self.is_enabled:
            self._write(trainer, pl_module, f"{time.monotonic() - self._began:.1f} s")

    def _write(self, trainer: Trainer, pl_module: LightningModule, progress: str) -> None:
        metrics = self.get_metrics(trainer, pl_module).items()
        values = [f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}" for name, value in metrics]
        sys.stdout.write(f"Epoch {trainer.current_epoch}: {', '.join([progress, *values])}\n")
        sys.stdout.flush()

    def _should_update(self, current: int, total: int) -> bool:
        now = time.monotonic()
        if not self.is_enabled or (current != total and now - self._drawn < self._seconds):
            return False
        self._drawn = now
        return True

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """The logged metrics, without the run's number."""
        items: dict[str, Any] = super().get_metrics(trainer, pl_module)
        items.pop("v_num", None)
        return items
