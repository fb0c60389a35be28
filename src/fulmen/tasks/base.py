"""What every task is."""

from __future__ import annotations

import inspect
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
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
        metric_names: Under which names the metrics give their values: ``f1``, or ``f1/cat`` and ``f1/dog``.
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
            self._loss = self.default_loss if loss is None else loss
            self.criterion: nn.Module = build("losses", self._loss)
        self._weighted: list[nn.Module] = []  # a list: its weights are the data's, not the model's
        self._metrics = list(self.default_metrics) if metrics is None else metrics
        self.metric_names = self._try_metrics()

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
                if key in made or key == "loss":
                    raise ConfigError(f"the name {key!r} is taken; add `log_as: another_name` to one of them")
                made[key] = metric
        try:
            return MetricCollection({**made}, compute_groups=compute_groups(made))
        except KeyError as error:  # nn.Module's: it has a dot, or is one of the collection's own attributes
            raise ConfigError(f"metrics: a name cannot be used, take another `log_as`: {error.args[0]}") from error

    def _try_metrics(self) -> list[str]:
        """Runs the metrics on a made-up batch, so that one that cannot work is found before training.

        Returns:
            The names of their values.
        """
        with torch.device("cpu"), warnings.catch_warnings():
            logits, targets = self.align(*self.example())
            names = []
            for key, metric in self.metrics().items():
                warnings.simplefilter("ignore")  # of a batch that is not real
                try:
                    metric.update(self.scores(logits), targets)
                    names += list(self.named_values(str(key), metric.compute()))
                except ConfigError:
                    raise
                except (RuntimeError, ValueError, TypeError, IndexError) as error:
                    raise ConfigError(f"metrics: {key!r} does not fit a {self.name} task: {error}") from error
        return names

    def named_values(self, key: str, value: Tensor) -> dict[str, Tensor]:
        """A metric's result under the names by which it is logged: one, or one a class.

        Raises:
            ConfigError: If it is neither a number nor one a class.
        """
        if isinstance(value, Tensor) and value.ndim == 0:
            return {key: value}
        if isinstance(value, Tensor) and value.shape == (len(self.class_names),):
            return {f"{key}/{name}": number for name, number in zip(self.class_names, value, strict=True)}
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ConfigError(f"metrics: {key!r} gives a result of shape {shape}, not a number or one a class")

    def _metric(self, spec: object) -> tuple[str, Metric]:
        metric: Metric = build("metrics", spec, **self.metric_arguments(), validate_args=False)
        if isinstance(spec, str | dict):
            name, options = read("metrics", spec)
            return str(options.get("log_as", name.rpartition(":")[2].rpartition(".")[2])), metric
        # an object is copied: training, validation and test each count for themselves
        return type(metric).__name__, metric.clone() if metric is spec else metric

    def learn(self, targets: Tensor) -> None:
        """Takes from the training targets what the task has to know of them.

        Args:
            targets: Of all training samples.
        """

    def outputs(self, raw: Tensor) -> Tensor:
        """What a model gives for what its network gives: the same, but for numbers in the units of the data.

        Args:
            raw: ``(N, num_outputs)``.
        """
        return raw

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of a batch, a scalar.

        Args:
            logits: ``(N, num_outputs)``, as the network gives them.
            targets: As the data give them.
        """
        if not (self.training and self._weighted):
            return self.criterion(*self.align(logits, targets))  # type: ignore[no-any-return]
        logits = logits if logits.dtype == torch.float64 else logits.float()  # weights have the logits' precision
        return self._weighted[0].to(logits)(*self.align(logits, targets))  # type: ignore[no-any-return]

    def class_weights(self, counts: Tensor) -> dict[str, Any]:
        """The option of the loss that makes every class weigh the same in sum, and its value.

        Args:
            counts: ``(C,)`` training samples of each class.

        Raises:
            ConfigError: If the targets are no classes.
        """
        raise ConfigError(f"balance: targets of a {self.name} task are no classes; leave it out")

    def weigh(self, counts: Tensor | None) -> None:
        """Lets samples of rare classes weigh more in the loss of training; validation and test stay as they are.

        Args:
            counts: ``(C,)`` training samples of each class; ``None`` where the data do not know.

        Raises:
            ConfigError: If the targets are no classes, or the loss takes no such weights, or was given some.
            DataError: If a class has no sample.
        """
        if counts is None:
            raise ConfigError("balance: class_weights needs targets that are classes, which these data have not")
        missing = [name for name, count in zip(self.class_names, counts.tolist(), strict=False) if not count]
        if missing:
            raise DataError(f"balance: class {missing[0]!r} has no training sample to weigh")
        [(option, value)] = self.class_weights(counts).items()
        if not isinstance(self._loss, str | dict):
            raise ConfigError(
                f"balance: class_weights needs a loss by its name, such as {self.default_loss}, and got the object "
                f"{type(self._loss).__name__}; write `balance: sampler`"
            )
        name, given = read("losses", self._loss)
        if option in given:
            raise ConfigError(f"balance: class_weights: the loss was given {option!r} too; leave one of them out")
        with at("loss"):
            made = build("losses", self._loss, **{option: value})
        if getattr(made, option, None) is None:
            raise ConfigError(
                f"balance: class_weights needs a loss with the option {option!r} (such as {self.default_loss}), which "
                f"{name!r} lacks; write `balance: sampler`"
            )
        self._weighted = [made]

    def unweigh(self) -> None:
        """Lets all samples weigh the same again."""
        self._weighted = []

    @abstractmethod
    def example(self) -> tuple[Tensor, Tensor]:
        """Logits ``(N, num_outputs)`` and targets of a made-up batch, as network and data would give them."""

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


def compute_groups(metrics: Mapping[str, Metric]) -> list[list[str]]:
    """Names of metrics that gather the same states, which need to be gathered only once.

    torchmetrics finds such groups by comparing states after the first batch, where metrics that differ (by a
    threshold, by ``top_k``) may agree by chance and would then share one state for good. Here those form a
    group that run the same ``update`` with the same options of the class that defines it.

    >>> from torchmetrics.classification import BinaryF1Score, BinaryPrecision
    >>> compute_groups({"f1": BinaryF1Score(), "p": BinaryPrecision(), "p9": BinaryPrecision(threshold=0.9)})
    [['f1', 'p'], ['p9']]
    """
    groups: dict[object, list[str]] = {}
    for name, metric in metrics.items():
        owner = next(c for c in type(metric).__mro__ if "update" in vars(c))
        options = [p.name for p in inspect.signature(owner).parameters.values() if p.kind is not p.VAR_KEYWORD]
        known = all(hasattr(metric, option) for option in options)
        key = (owner, *(repr(getattr(metric, option)) for option in options)) if known else name
        groups.setdefault(key, []).append(name)
    return list(groups.values())


def check_finite(targets: Tensor) -> None:
    """Raises :class:`DataError` if a target is NaN or infinite, and says which."""
    bad = ~torch.isfinite(targets.float())
    if bad.any():
        rows = bad.reshape(len(targets), -1).any(1).nonzero().flatten().tolist()
        raise DataError(f"{len(rows)} targets are NaN or infinite, the first in row {rows[0]}")
