"""Targets that are numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import ConcordanceCorrCoef, MeanSquaredError, Metric, PearsonCorrCoef, SpearmanCorrCoef

from fulmen.core.errors import ConfigError, DataError
from fulmen.tasks.base import Task, TaskName, check_finite

_ONE_EACH = (ConcordanceCorrCoef, PearsonCorrCoef, SpearmanCorrCoef)


class _RootMeanSquaredError(MeanSquaredError):
    """The root of each output's error, then their mean, as scikit-learn's and as in reports: units may differ."""

    def compute(self) -> Tensor:
        return super().compute().mean()


class Regression(Task):
    """One or more numbers. Targets: ``(N,)`` or ``(N, K)``.

    The network is asked for standardized values: its output is multiplied by the standard deviation of the training
    targets, and their mean is added (1 and 0 before :meth:`learn`). The loss is that of standardized values too, so
    that a learning rate suits prices as it suits shares. Predictions, targets and metrics are in the data's units.
    """

    target_mean: Tensor
    target_scale: Tensor

    name: TaskName = "regression"
    default_loss = "mse"
    default_metrics = ("mae", "rmse", "r2")

    def width(self, num_outputs: int, class_names: list[str] | None) -> int:
        """One output a value."""
        if class_names is not None and len(class_names) != num_outputs:
            raise ConfigError(
                f"task: regression needs one name a value; the data have {num_outputs} outputs and the classes "
                f"{', '.join(class_names)}. Are they classes? Then leave the task out"
            )
        return num_outputs

    def __init__(
        self,
        num_outputs: int,
        class_names: list[str] | None = None,
        loss: object = None,
        metrics: list[object] | None = None,
    ) -> None:
        super().__init__(num_outputs, class_names, loss, metrics)
        self.register_buffer("target_mean", torch.zeros(num_outputs))
        self.register_buffer("target_scale", torch.ones(num_outputs))

    def learn(self, targets: Tensor) -> None:
        """Takes mean and standard deviation of the training targets; a constant target keeps its unit.

        Args:
            targets: ``(N,)`` or ``(N, K)``.
        """
        values = targets.double().reshape(-1, self.num_outputs)
        scale, mean = torch.std_mean(values, dim=0, correction=0)
        self.target_mean.copy_(mean)
        self.target_scale.copy_(torch.where(scale > 0, scale, 1))

    def outputs(self, raw: Tensor) -> Tensor:
        """``(N, K)`` in the units of the data."""
        return raw.float() * self.target_scale + self.target_mean

    def default_names(self) -> list[str]:
        """``value``, or ``value_0`` to ``value_{K-1}``."""
        return ["value"] if self.num_outputs == 1 else [f"value_{i}" for i in range(self.num_outputs)]

    def metric_arguments(self) -> dict[str, Any]:
        """``task``, so that metrics of classes are refused; most others average over outputs by themselves."""
        return {"task": "regression"}

    def _metric(self, spec: object) -> tuple[str, Metric]:
        key, metric = super()._metric(spec)
        if self.num_outputs > 1 and isinstance(metric, _ONE_EACH) and metric.num_outputs == 1:
            # these do not average: they give one number an output, if they know how many there are
            metric = type(metric)(num_outputs=self.num_outputs)
        if self.num_outputs > 1 and type(metric) is MeanSquaredError and not metric.squared:
            metric = _RootMeanSquaredError(squared=False, num_outputs=self.num_outputs)
        return key, metric

    def example(self) -> tuple[Tensor, Tensor]:
        """Predictions and targets ``(N, K)``."""
        values = torch.linspace(1, 2, 16 * self.num_outputs).reshape(16, -1)
        return values, values.square()

    def align(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Both ``(N, K)``, or ``(N,)`` for one output; targets in the type of the predictions."""
        targets = targets.reshape(logits.shape).to(logits.dtype)
        return (logits.flatten(), targets.flatten()) if self.num_outputs == 1 else (logits, targets)

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of standardized values, a scalar."""
        shape = (-1, self.num_outputs)
        standardized = [(v.reshape(shape) - self.target_mean) / self.target_scale for v in self.align(logits, targets)]
        return super().loss(*standardized)

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
