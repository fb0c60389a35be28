"""A rational function whose coefficients are learned."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from fulmen.core.errors import ConfigError, unknown
from fulmen_activations import functional
from fulmen_activations.elementwise import Elementwise

Start = Literal["leaky_relu", "relu", "gelu", "silu", "tanh"]

_COEFFICIENTS: dict[str, tuple[list[float], list[float]]] = {
    "relu": ([0.056519, 0.499992, 1.001596, 0.715744, 0.203028, 0.01952], [-4.7e-05, 1.431528, -1.2e-05, 0.039042]),
    "leaky_relu": ([0.055954, 0.505001, 0.991598, 0.722914, 0.201001, 0.019716], [5e-06, 1.431509, 1e-06, 0.039041]),
    "gelu": ([-0.003417, 0.501273, 0.473446, 0.163937, 0.024637, 0.001352], [0.114855, 0.236254, 0.024214, 0.0006]),
    "silu": ([1.9e-05, 0.5, 0.249924, 0.052652, 0.005539, 0.000243], [0.0, 0.105304, 0.0, 0.000487]),
    "tanh": ([0.0, 0.999846, 0.0, 0.102295, 0.0, 0.000671], [0.0, 0.435166, 0.0, 0.012808]),
}
"""Start -> a_0 to a_5 and b_1 to b_4: least squares on [-5, 5], made by docs/fit_rational.py."""


class Rational(Elementwise):
    """``(a_0 + a_1 x + ... + a_5 x ** 5) / (1 + |b_1 x + ... + b_4 x ** 4|)``, ten numbers learned a layer.

    The safe Pade activation unit of Molina et al. 2020, https://arxiv.org/abs/1907.06732: the denominator is never
    below 1, so that there are no poles. Inputs beyond +-1e6 count as +-1e6.

    Args:
        start: What it starts as, fitted on [-5, 5] (largest error there: relu and leaky_relu 0.057 next to 0, gelu
            0.004, silu 0.0006, tanh 0.0001). Further out it turns to a straight line.

    Raises:
        ConfigError: If there is no such start.

    >>> Rational("silu")(torch.tensor([-1.0, 0.0, 1.0])).detach().round(decimals=2) + 0.0
    tensor([-0.2700,  0.0000,  0.7300])
    """

    def __init__(self, start: Start = "leaky_relu") -> None:
        super().__init__()
        if start not in _COEFFICIENTS:
            raise ConfigError(f"start: {unknown('start', start, _COEFFICIENTS)}")
        self.start = start
        numerator, denominator = _COEFFICIENTS[start]
        self.numerator = nn.Parameter(torch.tensor(numerator))
        self.denominator = nn.Parameter(torch.tensor(denominator))

    def compute(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.rational(x, self.numerator, self.denominator)

    def extra_repr(self) -> str:
        """The options, for ``print``."""
        return f"start={self.start!r}"
