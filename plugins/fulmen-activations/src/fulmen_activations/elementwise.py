"""What the layers share: the precision they compute in, and how they hold learnable numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fulmen.core.errors import ConfigError


class Elementwise(nn.Module):
    """Base of layers that change each element by itself.

    Half precision is computed in float32 and given back in its own type, as torch's own activations do inside
    their kernels: a chain of steps that each round to 8 or 11 bits would lose much more. This also keeps the
    type under autocast, which would otherwise turn some steps to float32 and leave the rest.
    """

    def __init__(self) -> None:  # torch's own takes anything, so that unknown options would not be found
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape and type."""
        return self.compute(x.to(torch.promote_types(x.dtype, torch.float32))).to(x.dtype)

    def compute(self, x: Tensor) -> Tensor:
        """The formula, on float32 or float64."""
        raise NotImplementedError


class Learnable(Elementwise):
    """Base of activations with numbers that are learned: one of each for the whole layer.

    They have the shape ``(1,)``: one dimension, so that weight decay can spare them like biases, and not none,
    because FSDP refuses to shard scalars.

    Args:
        learnable: Whether they are trained; if not, they are saved with the module all the same.
        **values: Name -> starting value.
    """

    def __init__(self, learnable: bool, **values: float) -> None:
        super().__init__()
        self.learnable = learnable
        self._starts = values
        for name, value in values.items():
            tensor = torch.full((1,), float(value))
            if learnable:
                self.register_parameter(name, nn.Parameter(tensor))
            else:
                self.register_buffer(name, tensor)

    def extra_repr(self) -> str:
        """The starting values, for ``print``; the current ones may be spread over devices."""
        starts = [f"{name}={value:.4g}" for name, value in self._starts.items()]
        return ", ".join([*starts, f"learnable={self.learnable}"])


def positive(**values: float) -> None:
    """Refuses values that are not above 0."""
    for name, value in values.items():
        if not value > 0:
            raise ConfigError(f"{name}: {value} is out of range; allowed: {name} > 0")
