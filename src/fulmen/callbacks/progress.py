"""A progress bar that costs nothing noticeable."""

from __future__ import annotations

import sys
import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar


class ProgressBar(TQDMProgressBar):
    """Lightning's progress bar, drawn at most ten times a second.

    Lightning draws after every batch, which takes longer than a step of a small network. Into a file or a
    pipe, where nothing can be drawn over, it writes at most one line in ten seconds and one an epoch.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seconds = 0.1 if sys.stderr.isatty() else 10.0
        self._drawn = 0.0

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
