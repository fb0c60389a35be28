"""What the checks of regularizers know of a regularizer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from fulmen.data import ArrayData
from fulmen.modules import MLPModule
from fulmen.nn import Regularizer
from fulmen.testing.kit import Subject
from fulmen.testing.training import facts, fit, points, weights

OF_BATCHES = ("before_forward", "loss", "batch_penalty")


@dataclass(frozen=True)
class RegularizerSubject(Subject):
    """A regularizer that is checked.

    Attributes:
        activation: Spec of the activation of the networks that it is checked with.
    """

    activation: Any = "relu"

    def overrides(self, *methods: str) -> bool:
        """Whether it has one of these methods of its own."""
        return any(getattr(type(self.make()), m) is not getattr(Regularizer, m) for m in methods)

    def module(self, regularizer: Any = None, **options: Any) -> MLPModule:
        """A small MLP, always with the same weights, with a regularizer or without."""
        torch.manual_seed(0)
        settings = {"optimizer": {"name": "sgd", "lr": 0.05}, **facts(points()), **options}
        regularizers = [] if regularizer is None else [regularizer]
        return MLPModule([16, 8], self.activation, regularizers=regularizers, **settings)

    def trained(self, regularizer: Any = None, epochs: int = 2, **options: Any) -> MLPModule:
        """That MLP after some epochs."""
        module = self.module(regularizer)
        fit(module, whole(), **{"max_epochs": epochs, **options})
        return module

    def learned(self, regularizer: Any = None, **options: Any) -> Tensor:
        """The weights of :meth:`trained` in one row."""
        return weights(self.trained(regularizer, **options))

    @cached_property
    def plain(self) -> Tensor:
        """What is learned without it."""
        return self.learned()

    @cached_property
    def reference(self) -> Tensor:
        """What is learned with it."""
        return self.learned(self.make())


def whole(batch_size: int = 16) -> ArrayData:
    """48 training samples: whole batches of 16 and of 8, no validation."""
    return points(val_fraction=0.0, batch_size=batch_size)


def everything(times: int) -> ArrayData:
    """The same 16 training samples so many times in one batch, no validation."""
    once = points(samples=16)
    options: dict[str, Any] = {"val_fraction": 0.0, "test_fraction": 0.0, "batch_size": 16 * times}
    inputs, targets = once.inputs.repeat(times, 1), once.targets.repeat(times)
    return ArrayData(inputs, targets, class_names=once.class_names, standardize=False, **options)


@contextmanager
def attached(regularizer: Regularizer, module: MLPModule) -> Iterator[None]:
    """Hooks on the layers, as during a training."""
    handles = regularizer.attach(module)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
