"""What the checks of activations know of an activation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fulmen.testing.kit import Subject

FEATURES = 12
"""Features that come out; as many times ``divides`` go in."""
EDGES = (0.0, -0.0, 1e-6, -1e-6, 0.5, -0.5, 1.0, -1.0, 3.0, -3.0, 6.0, -6.0, 20.0, -20.0, 100.0, -100.0, 1e4, -1e4)
"""Where formulas bend, overflow or divide by zero."""


@dataclass(frozen=True)
class Activation(Subject):
    """An activation that is checked.

    Attributes:
        divides: It gives ``1 / divides`` of the features of dimension 1.
        stochastic: It draws random numbers in training.
    """

    divides: int = 1
    stochastic: bool = False

    @property
    def features(self) -> int:
        """How many features go in."""
        return FEATURES * self.divides

    def sample(self, *shape: int, scale: float = 2.0) -> Tensor:
        """Normal inputs ``(N, features, *shape)`` with N = 5."""
        return scale * torch.randn(5, self.features, *shape)

    def mixed(self, values: Tensor) -> Tensor:
        """Rows in which every feature takes each of some values, each feature in an order of its own."""
        return torch.stack([values[torch.randperm(len(values))] for _ in range(self.features)], 1)

    def evaluating(self) -> nn.Module:
        """One that is in evaluation, where none may draw random numbers."""
        module: nn.Module = self.make()
        return module.eval()
