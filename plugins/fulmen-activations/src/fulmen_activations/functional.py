"""The formulas as pure functions of tensors; what each is and where it comes from stands on its layer.

They are written so that infinite inputs give the limit instead of NaN, and finite ones a finite gradient.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_TANH_IS_ONE = 4.0
"""tanh(exp(x)) is 1 in float64 from here on; exp would overflow later and its gradient become 0 * inf."""
_RATIONAL_RANGE = 1e6
"""Up to here float32 holds the fifth power, with room for the coefficients."""


def gated(x: Tensor, gate: Tensor) -> Tensor:
    """``x * gate`` for a gate that closes by saturating, with 0 for infinite ``x`` and a closed gate.

    Only for gates that are flat where they are 0: no gradient reaches a closed one.

    >>> gated(torch.tensor([2.0, -torch.inf]), torch.tensor([0.5, 0.0]))
    tensor([1., 0.])
    """
    return x.masked_fill(gate == 0, 0.0) * gate


def times(x: Tensor, factor: Tensor) -> Tensor:
    """``x * factor`` with any finite factor, and 0 instead of NaN for infinite ``x`` and a factor of 0.

    >>> times(torch.tensor([2.0, -torch.inf]), torch.tensor([0.5, 0.0]))
    tensor([1., 0.])
    """
    return x.masked_fill(x.isinf() & (factor == 0), 0.0) * factor


def sin(x: Tensor) -> Tensor:
    """``sin(x)``, and its mean 0 at +-inf, where there is no limit."""
    return torch.sin(torch.nan_to_num(x, nan=math.nan, posinf=0.0, neginf=0.0))


def telu(x: Tensor) -> Tensor:
    """``x * tanh(exp(x))``."""
    return gated(x, torch.tanh(torch.exp(x.clamp_max(_TANH_IS_ONE))))


def serf(x: Tensor) -> Tensor:
    """``x * erf(log(1 + exp(x)))``."""
    return gated(x, torch.erf(F.softplus(x)))


def logish(x: Tensor) -> Tensor:
    """``x * log(1 + sigmoid(x))``."""
    return gated(x, torch.log1p(torch.sigmoid(x)))


def smish(x: Tensor) -> Tensor:
    """``x * tanh(log(1 + sigmoid(x)))``, whose tanh(log(1 + s)) is u / (u + 2) with u = s * (s + 2)."""
    s = torch.sigmoid(x)
    u = s * (s + 2)
    return gated(x, u / (u + 2))


def lisht(x: Tensor) -> Tensor:
    """``x * tanh(x)``."""
    return x * torch.tanh(x)


def elish(x: Tensor) -> Tensor:
    """``sigmoid(x)`` times x where x >= 0, times exp(x) - 1 below."""
    return F.elu(x) * torch.sigmoid(x)


def gaussian(x: Tensor, sigma: float) -> Tensor:
    """``exp(-x ** 2 / (2 * sigma ** 2))``."""
    return torch.exp(-0.5 * (x / sigma).square())


def swish(x: Tensor, beta: Tensor) -> Tensor:
    """``x * sigmoid(beta * x)``."""
    return gated(x, torch.sigmoid(beta * x))


def acon(x: Tensor, p1: Tensor, p2: Tensor, beta: Tensor) -> Tensor:
    """``(p1 - p2) * x * sigmoid(beta * (p1 - p2) * x) + p2 * x``."""
    d = p1 - p2
    return times(x, d * torch.sigmoid(beta * d * x) + p2)


def aptx(x: Tensor, alpha: Tensor, beta: Tensor, gamma: Tensor) -> Tensor:
    """``(alpha + tanh(beta * x)) * gamma * x``."""
    return times(x, gamma * (alpha + torch.tanh(beta * x)))


def sinlu(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """``(x + a * sin(b * x)) * sigmoid(x)``."""
    return gated(x + a * sin(b * x), torch.sigmoid(x))


def snake(x: Tensor, alpha: Tensor) -> Tensor:
    """``x + sin(alpha * x) ** 2 / alpha``, and its limit ``x`` at alpha 0."""
    return x + sin(alpha * x).square() / alpha.masked_fill(alpha == 0, 1.0)


def pelu(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """``a / b * x`` where x >= 0, ``a * (exp(x / b) - 1)`` below: an ELU, stretched both ways."""
    return a * F.elu(x / b)


def srelu(x: Tensor, t_left: Tensor, a_left: Tensor, t_right: Tensor, a_right: Tensor) -> Tensor:
    """``x`` between the thresholds, straight lines with slopes ``a_left`` and ``a_right`` beyond."""
    below = t_left + times(x - t_left, a_left)
    above = t_right + times(x - t_right, a_right)
    return torch.where(x > t_right, above, torch.where(x < t_left, below, x))


def star_relu(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """``scale * relu(x) ** 2 + bias``."""
    return scale * F.relu(x).square() + bias


def xielu(x: Tensor, alpha_p: Tensor, alpha_n: Tensor, beta: float) -> Tensor:
    """``alpha_p * x ** 2 + beta * x`` where x > 0, ``alpha_n * (exp(x) - 1 - x) + beta * x`` below."""
    p, n = F.relu(x), x.masked_fill(x > 0, 0.0)  # no clamp: its gradient at 0 depends on torch's version
    return p * (alpha_p * p + beta) + alpha_n * torch.expm1(n) + (beta - alpha_n) * n


def rational(x: Tensor, numerator: Tensor, denominator: Tensor) -> Tensor:
    """``P(x) / (1 + |Q(x)|)`` with ``P = sum a_i x ** i`` and ``Q = sum b_j x ** j``, j from 1.

    Inputs beyond +-1e6, whose powers would overflow, count as +-1e6.

    Args:
        x: Any shape.
        numerator: ``(m + 1,)``, a_0 first.
        denominator: ``(n,)``, b_1 first.
    """
    x = x.clamp(-_RATIONAL_RANGE, _RATIONAL_RANGE)
    return _horner(x, numerator) / (1 + (_horner(x, denominator) * x).abs())


def _horner(x: Tensor, coefficients: Tensor) -> Tensor:
    """The polynomial with these coefficients, lowest first."""
    *lower, total = coefficients.unbind()
    for coefficient in reversed(lower):
        total = total * x + coefficient
    return total
