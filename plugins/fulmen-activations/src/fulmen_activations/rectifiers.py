"""Rectifiers with learnable parameters: one of each for a layer, all of the shape (1,)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from fulmen.core.errors import ConfigError
from fulmen_activations import functional
from fulmen_activations.elementwise import Learnable, positive


class PELU(Learnable):
    """``a / b * x`` where x >= 0, ``a * (exp(x / b) - 1)`` below: an ELU whose shape is learned.

    Trottier et al. 2017, https://arxiv.org/abs/1605.09332. Both must stay positive: the logarithms are what is
    learned (``log_a``, ``log_b``), where the paper clips at 0.1.

    Args:
        a: Where the depth of the negative side starts, > 0.
        b: Where its width starts, > 0.
        learnable: Train them; ``false`` keeps them as they start.

    Raises:
        ConfigError: If one is not positive.

    >>> PELU(a=2.0, b=1.0)(torch.tensor([-torch.inf, 0.0, 1.0])).detach()
    tensor([-2.,  0.,  2.])
    """

    log_a: Tensor
    log_b: Tensor

    def __init__(self, a: float = 1.0, b: float = 1.0, learnable: bool = True) -> None:
        positive(a=a, b=b)
        super().__init__(learnable, log_a=math.log(a), log_b=math.log(b))

    def compute(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.pelu(x, self.log_a.exp(), self.log_b.exp())


class SReLU(Learnable):
    """Three straight lines: ``x`` between two thresholds, other slopes beyond them (S-shaped ReLU).

    Jin et al. 2016, https://arxiv.org/abs/1512.07030. The paper learns one set a channel and finds the right
    threshold from data; here it is one set a layer.

    Args:
        t_left: Where the lower threshold starts.
        a_left: Where the slope below it starts.
        t_right: Where the upper threshold starts, > t_left.
        a_right: Where the slope above it starts.
        learnable: Train them; ``false`` keeps them as they start.

    Raises:
        ConfigError: If the thresholds are not in order.

    >>> SReLU(a_left=0.5, t_right=2.0, a_right=0.0)(torch.tensor([-2.0, 1.0, torch.inf])).detach()
    tensor([-1.,  1.,  2.])
    """

    t_left: Tensor
    a_left: Tensor
    t_right: Tensor
    a_right: Tensor

    def __init__(
        self,
        t_left: float = 0.0,
        a_left: float = 0.2,
        t_right: float = 1.0,
        a_right: float = 1.0,
        learnable: bool = True,
    ) -> None:
        if not t_right > t_left:
            raise ConfigError(f"t_right: {t_right} is out of range; allowed: t_right > t_left, which is {t_left}")
        super().__init__(learnable, t_left=t_left, a_left=a_left, t_right=t_right, a_right=a_right)

    def compute(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.srelu(x, self.t_left, self.a_left, self.t_right, self.a_right)


class FlexibleReLU(Learnable):
    """``relu(x) + b``: lets each layer choose where its output starts (FReLU, Qiu et al. 2018).

    https://arxiv.org/abs/1706.08098. The funnel activation, which is called FReLU as well, is something else.

    Args:
        b: Where the offset starts.
        learnable: Train it; ``false`` keeps it as it starts.

    >>> FlexibleReLU(b=-0.5)(torch.tensor([-1.0, 2.0])).detach()
    tensor([-0.5000,  1.5000])
    """

    b: Tensor

    def __init__(self, b: float = 0.0, learnable: bool = True) -> None:
        super().__init__(learnable, b=b)

    def compute(self, x: Tensor) -> Tensor:
        """See the class."""
        return torch.relu(x) + self.b


class StarReLU(Learnable):
    """``scale * relu(x) ** 2 + bias`` (Yu et al. 2022, MetaFormer Baselines, https://arxiv.org/abs/2210.13452).

    The defaults are the paper's 2 / sqrt(5) and -1 / sqrt(5): normal inputs come out with mean 0 and variance 1.

    Args:
        scale: Where the factor starts.
        bias: Where the offset starts.
        learnable: Train them; ``false`` keeps them as they start.

    >>> StarReLU(scale=1.0, bias=0.5)(torch.tensor([-1.0, 2.0])).detach()
    tensor([0.5000, 4.5000])
    """

    scale: Tensor
    bias: Tensor

    def __init__(
        self, scale: float = 2 / math.sqrt(5), bias: float = -1 / math.sqrt(5), learnable: bool = True
    ) -> None:
        super().__init__(learnable, scale=scale, bias=bias)

    def compute(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.star_relu(x, self.scale, self.bias)


class XIELU(Learnable):
    """``alpha_p * x ** 2 + beta * x`` where x > 0, ``alpha_n * (exp(x) - 1 - x) + beta * x`` below.

    The expanded integral of ELU (Huang and Schlag 2024, https://arxiv.org/abs/2411.13010). alpha_p > 0 and
    alpha_n > beta hold throughout: what is learned stands inside a softplus (``raw_p``, ``raw_n``), as in the paper.

    Args:
        alpha_p: Where the curvature of the positive side starts, > 0.
        alpha_n: Where that of the negative side starts, > beta.
        beta: Slope at 0, not learned.
        learnable: Train alpha_p and alpha_n; ``false`` keeps them as they start.

    Raises:
        ConfigError: If alpha_p or alpha_n is out of its range.

    >>> XIELU()(torch.tensor([-torch.inf, 0.0, 1.0])).detach()
    tensor([   inf, 0.0000, 1.3000])
    """

    raw_p: Tensor
    raw_n: Tensor

    def __init__(self, alpha_p: float = 0.8, alpha_n: float = 0.8, beta: float = 0.5, learnable: bool = True) -> None:
        positive(alpha_p=alpha_p)
        if not alpha_n > beta:
            raise ConfigError(f"alpha_n: {alpha_n} is out of range; allowed: alpha_n > beta, which is {beta}")
        super().__init__(learnable, raw_p=_inverse_softplus(alpha_p), raw_n=_inverse_softplus(alpha_n - beta))
        self.beta = beta

    def compute(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.xielu(x, F.softplus(self.raw_p), self.beta + F.softplus(self.raw_n), self.beta)


def _inverse_softplus(y: float) -> float:
    """The x with ``log(1 + exp(x)) == y``, for y > 0."""
    return y + math.log(-math.expm1(-y))
