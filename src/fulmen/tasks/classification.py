"""Targets that are classes or labels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fulmen.core.errors import ConfigError, DataError
from fulmen.tasks.base import Task, TaskName

_EXAMPLES = 16  # samples in a made-up batch


def _check_one_each(targets: Tensor, what: str) -> None:
    if targets.numel() != len(targets):
        raise DataError(f"targets of a {what} task are (N,), one class a sample; got {tuple(targets.shape)}")


def _check_classes(targets: Tensor, count: int, what: str) -> None:
    if targets.is_floating_point() and not torch.equal(targets, targets.round()):
        raise DataError(f"targets of a {what} task are whole numbers 0 to {count - 1}; got {targets.dtype} fractions")
    bad = (targets < 0) | (targets >= count)
    if bad.any():
        flat = bad.reshape(len(targets), -1)
        row = int(flat.any(1).nonzero()[0])
        value = targets.reshape(len(targets), -1)[row][flat[row]][0].item()
        raise DataError(
            f"{int(bad.sum())} targets are out of range: {value} in row {row}; allowed: 0 to {count - 1} "
            f"({count} classes)"
        )


class Multiclass(Task):
    """One of C classes. Targets: ``(N,)``, whole numbers 0 to C - 1."""

    name: TaskName = "multiclass"
    default_loss = "cross_entropy"
    default_metrics = ("accuracy", "f1")

    def width(self, num_outputs: int, class_names: list[str] | None) -> int:
        """One output a class; data that declare one yes/no output have two classes."""
        width = len(class_names) if class_names else num_outputs
        if num_outputs not in (1, width):
            raise ConfigError(f"class_names: {width} names for {num_outputs} outputs")
        if width < 2:
            raise ConfigError(f"task: multiclass needs at least 2 classes, the data have {width}")
        return width

    def metric_arguments(self) -> dict[str, Any]:
        """``task`` and ``num_classes``."""
        return {"task": "multiclass", "num_classes": self.num_outputs}

    def class_weights(self, counts: Tensor) -> dict[str, Any]:
        """``N / (C * N_c)``, as scikit-learn's ``class_weight="balanced"``."""
        return {"class_weights": (counts.sum() / (len(counts) * counts)).tolist()}

    def example(self) -> tuple[Tensor, Tensor]:
        """Logits ``(N, C)`` and targets ``(N,)`` of all classes in turn."""
        logits = torch.linspace(-1, 1, _EXAMPLES * self.num_outputs).reshape(_EXAMPLES, -1)
        return logits, torch.arange(_EXAMPLES) % self.num_outputs

    def align(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``(N, C)``, targets ``(N,)`` int64."""
        return logits, targets.flatten().long()

    def scores(self, logits: Tensor) -> Tensor:
        """Probabilities ``(N, C)``."""
        return logits.float().softmax(1)

    def decode(self, logits: Tensor) -> dict[str, Tensor]:
        """``prediction`` ``(N,)`` and ``probabilities`` ``(N, C)``."""
        return {"prediction": logits.argmax(1), "probabilities": self.scores(logits)}

    def check_targets(self, targets: Tensor) -> None:
        """Raises :class:`DataError` if a target is no class."""
        _check_one_each(targets, self.name)
        _check_classes(targets, self.num_outputs, self.name)


class Binary(Task):
    """Yes or no. Targets: ``(N,)``, 0 or 1; the network has one output, the logit of 1."""

    name: TaskName = "binary"
    default_loss = "binary_cross_entropy"
    default_metrics = ("accuracy", "f1", "auroc")

    def width(self, num_outputs: int, class_names: list[str] | None) -> int:
        """One output."""
        classes = len(class_names) if class_names else 2
        if num_outputs > 2 or classes != 2:
            raise ConfigError(f"task: binary needs 2 classes, the data have {max(classes, num_outputs)}")
        return 1

    def default_names(self) -> list[str]:
        """``0`` and ``1``."""
        return ["0", "1"]

    def metric_arguments(self) -> dict[str, Any]:
        """``task``."""
        return {"task": "binary"}

    def class_weights(self, counts: Tensor) -> dict[str, Any]:
        """The weight of the positive class, ``N_0 / N_1``."""
        return {"positive_weight": float(counts[0] / counts[1])}

    def example(self) -> tuple[Tensor, Tensor]:
        """Logits ``(N, 1)`` and targets ``(N,)``, 0 and 1 in turn."""
        return torch.linspace(-1, 1, _EXAMPLES)[:, None], torch.arange(_EXAMPLES) % 2

    def align(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Both ``(N,)``; targets int64."""
        return logits.flatten(), targets.flatten().long()

    def scores(self, logits: Tensor) -> Tensor:
        """Probability of class 1, ``(N,)``."""
        return logits.float().flatten().sigmoid()

    def decode(self, logits: Tensor) -> dict[str, Tensor]:
        """``prediction`` ``(N,)`` and ``probabilities`` ``(N, 2)``, of class 0 and of class 1."""
        p = self.scores(logits)
        return {"prediction": (p > 0.5).long(), "probabilities": torch.stack([1 - p, p], 1)}

    def check_targets(self, targets: Tensor) -> None:
        """Raises :class:`DataError` if a target is neither 0 nor 1."""
        _check_one_each(targets, self.name)
        _check_classes(targets, 2, self.name)


class Multilabel(Task):
    """Any of L labels. Targets: ``(N, L)``, 0 or 1."""

    name: TaskName = "multilabel"
    default_loss = "binary_cross_entropy"
    default_metrics = ("accuracy", "f1")

    def width(self, num_outputs: int, class_names: list[str] | None) -> int:
        """One output a label."""
        if class_names is not None and len(class_names) != num_outputs:
            raise ConfigError(f"class_names: {len(class_names)} names for {num_outputs} labels")
        return num_outputs

    def metric_arguments(self) -> dict[str, Any]:
        """``task`` and ``num_labels``."""
        return {"task": "multilabel", "num_labels": self.num_outputs}

    def example(self) -> tuple[Tensor, Tensor]:
        """Logits and targets ``(N, L)``, 0 and 1 in turn."""
        places = torch.arange(_EXAMPLES)[:, None] + torch.arange(self.num_outputs)
        return places.float() / len(places) - 1, places % 2

    def align(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Both ``(N, L)``; targets int64."""
        return logits, targets.reshape(logits.shape).long()

    def scores(self, logits: Tensor) -> Tensor:
        """Probability of each label, ``(N, L)``."""
        return logits.float().sigmoid()

    def decode(self, logits: Tensor) -> dict[str, Tensor]:
        """``prediction`` and ``probabilities``, both ``(N, L)``."""
        p = self.scores(logits)
        return {"prediction": (p > 0.5).long(), "probabilities": p}

    def check_targets(self, targets: Tensor) -> None:
        """Raises :class:`DataError` if targets are not ``(N, L)`` of 0 and 1."""
        if targets.ndim != 2 or targets.shape[1] != self.num_outputs:
            raise DataError(
                f"targets of a multilabel task are (N, {self.num_outputs}), one column a label; "
                f"got {tuple(targets.shape)}"
            )
        _check_classes(targets, 2, self.name)
