"""What every task is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from fulmen.core.errors import ConfigError, DataError
from fulmen.core.spec import at, build, read

TaskName = Literal["multiclass", "binary", "multilabel", "regression"]
TARGET_TYPES: tuple[str, ...] = get_args(TaskName)


class Task(nn.Module, ABC):
    """The loss, the metrics and the decoding of one kind of target.

    Args:
        num_outputs: Number of outputs that the data declare.
        class_names: Name of each class or label, in order.
        loss: Spec of the loss; ``None`` for :attr:`default_loss`.
        metrics: Specs of the metrics; ``None`` for :attr:`default_metrics`.

    Attributes:
        num_outputs: Width of the network's output.
        class_names: Name of each class, label or output.
    """

    name: TaskName
    default_loss: str
    default_metrics: tuple[str, ...]
    num_outputs: int

    def __init__(
        self,
        num_outputs: int,
        class_names: list[str] | None = None,
        loss: object = None,
        metrics: list[object] | None = None,
    ) -> None:
        super().__init__()
        self.num_outputs = self.width(num_outputs, class_names)
        self.class_names = list(class_names) if class_names is not None else self.default_names()
        with at("loss"):
            self.criterion: nn.Module = build("losses", self.default_loss if loss is None else loss)
        self._metrics = list(self.default_metrics) if metrics is None else metrics
        self.metrics()  # a wrong spec is found now, not at the first epoch's end

    def width(self, num_outputs: int, class_names: list[str] | None) -> int:
        """The network's width for what the data declare."""
        return num_outputs

    def default_names(self) -> list[str]:
        """Names where the data give none."""
        return [str(i) for i in range(self.num_outputs)]

    @abstractmethod
    def metric_arguments(self) -> dict[str, Any]:
        """What torchmetrics needs to know of the task (``task``, ``num_classes``, ...)."""

    def metrics(self) -> MetricCollection:
        """New metrics, by the name under which they are logged.

        Raises:
            ConfigError: If two have the same name, or one does not fit the task.
        """
        made: dict[str, Metric] = {}
        for i, spec in enumerate(self._metrics):
            with at(f"metrics[{i}]"):
                key, metric = self._metric(spec)
                if key in made:
                    raise ConfigError(f"the name {key!r} is taken; add `log_as: another_name` to one of them")
                made[key] = metric
        return MetricCollection(made)

    def _metric(self, spec: object) -> tuple[str, Metric]:
        metric: Metric = build("metrics", spec, **self.metric_arguments(), validate_args=False)
        if isinstance(spec, str | dict):
            name, options = read("metrics", spec)
            return str(options.get("log_as", name.rpartition(":")[2].rpartition(".")[2])), metric
        return type(metric).__name__, metric

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of a batch, a scalar.

        Args:
            logits: ``(N, num_outputs)``, as the network gives them.
            targets: As the data give them.
        """
        return self.criterion(*self.align(logits, targets))  # type: ignore[no-any-return]

    @abstractmethod
    def align(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Gives logits and targets the shapes and types that losses of this task take."""

    @abstractmethod
    def scores(self, logits: Tensor) -> Tensor:
        """What metrics and predictions read: probabilities, or the values of a regression."""

    @abstractmethod
    def decode(self, logits: Tensor) -> dict[str, Tensor]:
        """Predictions: ``prediction`` (class indices, 0/1 labels or values) and, for classes, ``probabilities``."""

    @abstractmethod
    def check_targets(self, targets: Tensor) -> None:
        """Checks all targets of a data set.

        Raises:
            DataError: If any is not a target of this task.
        """

    def check_logits(self, logits: Tensor, network: str) -> None:
        """Checks the shape of a network's output.

        Raises:
            ConfigError: If it is not ``(N, num_outputs)``.
        """
        expected = (len(logits), self.num_outputs)
        if tuple(logits.shape) != expected:
            raise ConfigError(
                f"{network} gives an output of shape {tuple(logits.shape)}; a {self.name} task with "
                f"{self.num_outputs} outputs needs {expected} (N samples, num_outputs)"
            )


def check_finite(targets: Tensor) -> None:
    """Raises :class:`DataError` if a target is NaN or infinite, and says which."""
    bad = ~torch.isfinite(targets.float())
    if bad.any():
        rows = bad.reshape(len(targets), -1).any(1).nonzero().flatten().tolist()
        raise DataError(f"{len(rows)} targets are NaN or infinite, the first in row {rows[0]}")
