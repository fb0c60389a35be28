"""Penalties of regularizers, added to gradients (why there: see :mod:`fulmen.nn.regularizers`)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.optim import Optimizer

from fulmen.nn.regularizers import Regularizer


def add_penalties(module: LightningModule, regularizers: Iterable[Regularizer], optimizer: Optimizer) -> Tensor | None:
    """Adds the gradient of the penalties to the gradients of an optimizer's parameters.

    Args:
        module: What is trained; its gradients are complete (accumulated, averaged, unscaled).
        regularizers: Whose penalties are added.
        optimizer: About to step.

    Returns:
        The sum of the penalties, a scalar without gradient; ``None`` if there are none.
    """
    with torch.enable_grad(), torch.autocast(module.device.type, enabled=False):
        terms = [penalty for r in regularizers if (penalty := r.penalty(module)) is not None]
        if not terms:
            return None
        penalty = torch.stack([_whole(term) for term in terms]).sum()
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        gradients = torch.autograd.grad(penalty, parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is not None:
            parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
    return penalty.detach()


def _whole(penalty: Tensor) -> Tensor:
    """A penalty of sharded parameters (FSDP2, tensor parallel) as an ordinary tensor."""
    return penalty.full_tensor() if hasattr(penalty, "full_tensor") else penalty
