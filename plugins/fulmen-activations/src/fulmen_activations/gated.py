"""Layers that give fewer features than they take: gated linear units and maxout, over dimension 1.

The layer before a gated unit is its two linear maps in one: the first half of the features are the values, the
second half the gates. Where a hidden layer has as many inputs as outputs, 4 / 3 of the ordinary width keeps the
number of weights (Shazeer 2020: 2 / 3 of the width for each of the two maps).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fulmen.core.errors import ConfigError


class GatedLinearUnit(nn.Module):
    """Base: the first half of the features, each times what :meth:`gate` makes of its partner in the second half.

    Infinite features count as the largest number of their type: infinity times a closed gate would be NaN.
    """

    name: ClassVar[str]

    def __init__(self) -> None:  # torch's own takes anything, so that unknown options would not be found
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """``(N, 2 * C, ...)`` to ``(N, C, ...)``.

        Raises:
            ConfigError: If the features cannot be halved.
        """
        if x.shape[1] % 2:
            raise ConfigError(
                f"activation: {self.name!r} halves the features, and there are {x.shape[1]}; take an even width"
            )
        bounds = torch.finfo(x.dtype)
        values, gates = x.clamp(bounds.min, bounds.max).chunk(2, dim=1)
        return values * self.gate(gates)

    def gate(self, x: Tensor) -> Tensor:
        """How far each value passes."""
        raise NotImplementedError


class GLU(GatedLinearUnit):
    """Values times ``sigmoid`` of the gates (Dauphin et al. 2017, https://arxiv.org/abs/1612.08083).

    >>> GLU()(torch.tensor([[3.0, 0.0]]))
    tensor([[1.5000]])
    """

    name = "glu"

    def gate(self, x: Tensor) -> Tensor:
        """See the class."""
        return torch.sigmoid(x)


class ReGLU(GatedLinearUnit):
    """Values times ``relu`` of the gates (Shazeer 2020, https://arxiv.org/abs/2002.05202).

    >>> ReGLU()(torch.tensor([[3.0, 2.0]]))
    tensor([[6.]])
    """

    name = "reglu"

    def gate(self, x: Tensor) -> Tensor:
        """See the class."""
        return torch.relu(x)


class GEGLU(GatedLinearUnit):
    """Values times ``gelu`` of the gates (Shazeer 2020, https://arxiv.org/abs/2002.05202).

    >>> GEGLU()(torch.tensor([[2.0, 1.0]]))
    tensor([[1.6827]])
    """

    name = "geglu"

    def gate(self, x: Tensor) -> Tensor:
        """See the class."""
        return F.gelu(x)


class SwiGLU(GatedLinearUnit):
    """Values times ``silu`` of the gates (Shazeer 2020, https://arxiv.org/abs/2002.05202).

    >>> SwiGLU()(torch.tensor([[2.0, 1.0]]))
    tensor([[1.4621]])
    """

    name = "swiglu"

    def gate(self, x: Tensor) -> Tensor:
        """See the class."""
        return F.silu(x)


class Bilinear(GatedLinearUnit):
    """Values times the gates themselves (Shazeer 2020, https://arxiv.org/abs/2002.05202).

    >>> Bilinear()(torch.tensor([[3.0, -2.0]]))
    tensor([[-6.]])
    """

    name = "bilinear"

    def gate(self, x: Tensor) -> Tensor:
        """See the class."""
        return x


class Maxout(nn.Module):
    """The largest of each group of ``pieces`` neighbouring features (Goodfellow et al. 2013).

    https://arxiv.org/abs/1302.4389. With the layer before it, each output is a convex function of that many pieces.

    Args:
        pieces: Features in a group, >= 2; divides the width.

    Raises:
        ConfigError: If there are fewer than 2 pieces.

    >>> Maxout(pieces=3)(torch.tensor([[1.0, 5.0, 2.0, -3.0, -1.0, -2.0]]))
    tensor([[ 5., -1.]])
    """

    def __init__(self, pieces: int = 2) -> None:
        super().__init__()
        if pieces < 2:
            raise ConfigError(f"pieces: {pieces} is out of range; allowed: pieces >= 2")
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        """``(N, pieces * C, ...)`` to ``(N, C, ...)``.

        Raises:
            ConfigError: If the pieces do not divide the features.
        """
        if x.shape[1] % self.pieces:
            raise ConfigError(
                f"pieces: {self.pieces} does not divide {x.shape[1]} features; "
                f"take a width that is a multiple of {self.pieces}"
            )
        return torch.unflatten(x, 1, (-1, self.pieces)).amax(dim=2)

    def extra_repr(self) -> str:
        """The options, for ``print``."""
        return f"pieces={self.pieces}"
