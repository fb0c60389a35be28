"""Sharpness-aware minimization."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fulmen.core.errors import ConfigError
from fulmen.nn.regularizers import Regularizer
from fulmen_regularizers.selection import whole

_ETA = 0.01
"""What ASAM adds to ``|w|``, so that small weights move as well (Kwon et al. 2021)."""


def ascent(parameters: list[Tensor], rho: float, adaptive: bool) -> list[Tensor]:
    """The way to where the loss is highest nearby, to first order.

    Args:
        parameters: With gradients ``g``.
        rho: How far.
        adaptive: In units of ``T = |w| + 0.01`` for each weight.

    Returns:
        ``rho * g / ||g||`` for each parameter, or ``rho * T^2 g / ||T g||``; the norm is that of all together.
    """
    gradients = [g for p in parameters if (g := p.grad) is not None]
    scales = [p.abs() + _ETA for p in parameters] if adaptive else []
    if adaptive:
        gradients = [g * s for g, s in zip(gradients, scales, strict=True)]
    norm = torch.linalg.vector_norm(torch.stack([whole(torch.linalg.vector_norm(g)) for g in gradients]))
    factor = rho / norm.clamp_min(torch.finfo(norm.dtype).tiny)
    if adaptive:
        gradients = [g * s for g, s in zip(gradients, scales, strict=True)]
    return [g * factor for g in gradients]


class SAM(Regularizer):
    """Steps by the gradient at the highest loss nearby, which leads to flat minima (Foret et al. 2021).

    https://arxiv.org/abs/2010.01412: ``w + rho * g / ||g||``, with ``g`` the gradient of the whole optimizer
    step. Each batch of the step goes through the network twice, which takes twice the time and keeps the step's
    batches in memory; the second pass has dropout masks of its own. Penalties of parameters are taken where the
    parameters are, as weight decay is. ``adaptive`` is ASAM (Kwon et al. 2021, https://arxiv.org/abs/2102.11600),
    which does not change when weights are scaled, and wants a ``rho`` some ten times as large.

    Args:
        rho: How far to look, > 0.
        adaptive: In units of each weight's size.

    Raises:
        ConfigError: If rho is not positive.
    """

    def __init__(self, rho: float = 0.05, adaptive: bool = False) -> None:
        if not rho > 0:
            raise ConfigError(f"rho: {rho} is out of range; allowed: rho > 0")
        super().__init__(1.0)
        self.rho, self.adaptive = rho, adaptive

    def before_step(self, module: Any, replay: Callable[[], None]) -> None:
        """Replaces the gradients by those at ``w + ascent``; the parameters come back bit by bit."""
        parameters = [p for p in module.parameters() if p.grad is not None]
        with torch.no_grad():
            steps = ascent(parameters, self.rho, self.adaptive)
            start = [p.clone() for p in parameters]
            for parameter, step in zip(parameters, steps, strict=True):
                parameter.add_(step)
        try:
            replay()
        finally:
            with torch.no_grad():
                for parameter, value in zip(parameters, start, strict=True):
                    parameter.copy_(value)
