"""Groups of weights: what goes into a neuron or filter, or what comes out of one."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from fulmen.core.errors import ConfigError
from fulmen.nn.regularizers import Regularizer
from fulmen_regularizers.pruning import pruning_report
from fulmen_regularizers.selection import selected, total

Groups = Literal["output", "input"]


def grouped(weight: Tensor, owner: nn.Module, groups: Groups) -> tuple[Tensor, list[int]]:
    """A view of a weight, and the dimensions of it that together form a group.

    Args:
        weight: ``(out, in, *kernel)``; ``(in, out, *kernel)`` of a transposed convolution. Of a vector, each
            entry is a group.
        owner: The layer it belongs to; tells transposed convolutions, and those in groups of channels.
        groups: ``output`` groups all that goes into one neuron or filter, ``input`` all that reads one input.

    Raises:
        ConfigError: If a matrix has been flattened by sharding.

    >>> layer = nn.Linear(3, 2)
    >>> grouped(layer.weight, layer, "output")[1], grouped(layer.weight, layer, "input")[1]
    ([1], [0])
    """
    if weight.ndim < 2:
        if isinstance(owner, nn.Linear | nn.modules.conv._ConvNd | nn.Embedding) and weight is not owner.bias:
            raise ConfigError(
                "parameters: a weight of one dimension has no groups: sharding has flattened it; shard with FSDP2 "
                "(fully_shard), which keeps rows"
            )
        return weight, []
    transposed = isinstance(owner, nn.modules.conv._ConvTransposeNd)
    if (groups == "output") != transposed:  # the groups are rows
        return weight, list(range(1, weight.ndim))
    channels = owner.groups if isinstance(owner, nn.modules.conv._ConvNd) else 1
    if channels == 1:
        return weight, [0, *range(2, weight.ndim)]
    view = weight.view(channels, -1, *weight.shape[1:])
    return view, [1, *range(3, view.ndim)]


def group_norms(view: Tensor, dims: list[int]) -> Tensor:
    """The Euclidean norm of each group, with the group's dimensions kept as 1; its gradient at zero is zero."""
    return torch.linalg.vector_norm(view, dim=dims, keepdim=True) if dims else view.abs()


def group_size(view: Tensor, dims: list[int]) -> int:
    """How many weights a group has."""
    return math.prod(view.shape[d] for d in dims)


class GroupLasso(Regularizer):
    r"""``weight * sum over groups of sqrt(size) * ||w_group||_2`` (Yuan and Lin 2006): whole neurons become zero.

    A group is all that goes into one neuron or filter (or, with ``groups: input``, all that reads one input),
    and lives or dies as one (Wen et al. 2016, https://arxiv.org/abs/1608.03665, for filters). Biases and norm
    layers are left alone: a neuron whose weights are zero gives the same constant for every input.

    Args:
        weight: Strength, >= 0.
        groups: ``output``: rows of the weight, one a neuron or filter; ``input``: its columns, one an input.
        proximal: Shrink after each step (block soft thresholding by ``lr * weight * sqrt(size)``, Parikh and
            Boyd 2014, https://doi.org/10.1561/2400000003), so that groups become exactly zero, and report them at
            the end; ``false`` adds the penalty's gradient, which only makes them small.
        parameters: ``weights``, ``all``, or patterns of parameter names.

    Raises:
        ConfigError: If the weight is negative.
    """

    def __init__(
        self,
        weight: float,
        groups: Groups = "output",
        proximal: bool = True,
        parameters: Literal["weights", "all"] | list[str] = "weights",
    ) -> None:
        super().__init__(weight, parameters)
        self.groups: Groups = groups
        self.proximal = proximal

    def penalty(self, module: nn.Module) -> Tensor | None:
        """The sum over groups, or ``None`` where the proximal step acts instead."""
        if self.proximal:
            return None
        views = (grouped(p, owner, self.groups) for _, owner, p in selected(self, module))
        return total(self.weight * math.sqrt(group_size(v, d)) * group_norms(v, d).sum() for v, d in views)

    @torch.no_grad()
    def after_step(self, module: nn.Module, rates: dict[nn.Parameter, float]) -> None:
        """``w_group <- w_group * max(1 - lr * weight * sqrt(size) / ||w_group||, 0)`` in the proximal form."""
        if not self.proximal:
            return
        for _, owner, parameter in selected(self, module):
            view, dims = grouped(parameter, owner, self.groups)
            threshold = rates.get(parameter, 0.0) * self.weight * math.sqrt(group_size(view, dims))
            norms = group_norms(view, dims)
            view.mul_((1 - threshold / norms.clamp_min(torch.finfo(norms.dtype).tiny)).clamp_min(0))

    def report(self, module: nn.Module) -> str | None:
        """What became zero, in the proximal form."""
        return str(pruning_report(module)) if self.proximal else None


class MaxNorm(Regularizer):
    """After each step, scales the weights into a neuron or filter to a norm of at most ``limit``.

    Srivastava et al. 2014 (https://jmlr.org/papers/v15/srivastava14a.html, section 5.1); with dropout it allows
    large learning rates.

    Args:
        limit: Largest Euclidean norm, > 0; the paper takes 3 to 4.
        parameters: ``weights``, ``all``, or patterns of parameter names.

    Raises:
        ConfigError: If the limit is not positive.
    """

    def __init__(self, limit: float = 3.0, parameters: Literal["weights", "all"] | list[str] = "weights") -> None:
        if not limit > 0:
            raise ConfigError(f"limit: {limit} is out of range; allowed: limit > 0")
        super().__init__(1.0, parameters)
        self.limit = limit

    @torch.no_grad()
    def after_step(self, module: nn.Module, rates: dict[nn.Parameter, float]) -> None:
        """``w <- w * min(1, limit / ||w||)`` for the weights of each neuron; those within the limit do not move."""
        for _, owner, parameter in selected(self, module):
            view, dims = grouped(parameter, owner, "output")
            view.mul_((self.limit / group_norms(view, dims)).clamp_max(1))
