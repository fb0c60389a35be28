"""Targets that are numbers."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from fulmen.core.errors import DataError
from fulmen.tasks.base import Task, TaskName, check_finite


class Regression(Task):
    """One or more numbers. Targets: ``(N,)`` or ``(N, K)``."""

    name: TaskName = "regression"
    default_loss = "mse"
    default_metrics = ("mae", "rmse", "r2")

    def default_names(self) -> list[str]:
        """``value``, or ``value_0`` to ``value_{K-1}``."""
        return ["value"] if self.num_outputs == 1 else [f"value_{i}" for i in range(self.num_outputs)]

    def metric_arguments(self) -> dict[str, Any]:
        """Nothing: torchmetrics' regression metrics average over outputs by themselves."""
        return {}

    def align(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Both ``(N, K)``, or ``(N,)`` for one output; targets in the type of the predictions."""
        targets = targets.reshape(logits.shape).to(logits.dtype)
        return (logits.flatten(), targets.flatten()) if self.num_outputs == 1 else (logits, targets)

    def scores(self, logits: Tensor) -> Tensor:
        """The values."""
        values = logits.float()
        return values.flatten() if self.num_outputs == 1 else values

    def decode(self, logits: Tensor) -> dict[str, Tensor]:
        """``prediction`` ``(N, K)``."""
        return {"prediction": logits.float()}

    def check_targets(self, targets: Tensor) -> None:
        """Raises :class:`DataError` if a target is not finite, or there are not K a sample."""
        if targets.numel() != len(targets) * self.num_outputs:
            raise DataError(f"targets of this regression are (N, {self.num_outputs}); got {tuple(targets.shape)}")
        check_finite(targets)
