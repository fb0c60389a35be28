"""Penalties of single weights."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from fulmen.core.errors import ConfigError
from fulmen.networks import Transfer
from fulmen.nn.regularizers import Regularizer
from fulmen_regularizers.selection import selected, total, whole


class Hoyer(Regularizer):
    """``weight * (sum |w|)^2 / sum(w^2)`` of each weight tensor (Hoyer-Square, Yang et al. 2020).

    https://arxiv.org/abs/1908.09979: a smooth stand-in for the number of weights that are not zero. It lies
    between 1 and that number, and does not change when all weights are scaled, so that it makes weights sparse
    without making all of them small.

    Args:
        weight: Strength, >= 0.
        parameters: ``weights``, ``all``, or patterns of parameter names.
    """

    def penalty(self, module: nn.Module) -> Tensor | None:
        """The sum over weight tensors; a tensor of zeros has 0."""
        return total(self.weight * hoyer_square(whole(p)) for p in self.select(module))


def hoyer_square(values: Tensor) -> Tensor:
    """``(sum |w|)^2 / sum(w^2)``, a scalar.

    >>> hoyer_square(torch.tensor([0.0, 3.0, -3.0]))
    tensor(2.)
    """
    squares = values.square().sum()
    return values.abs().sum().square() / squares.clamp_min(torch.finfo(squares.dtype).tiny)


class L2SP(Regularizer):
    """``weight / 2 * ||w - w_start||^2``, and ``head_weight / 2 * ||w||^2`` for a new head (Li et al. 2018).

    https://arxiv.org/abs/1802.01483: in transfer learning, weights stay near the pretrained ones, not near zero.
    The start is what the model holds when training begins; it is kept in checkpoints, so that a resumed run is
    drawn to the same one.

    Args:
        weight: Strength of the pull to the start, >= 0.
        head_weight: Strength of the pull of the head to zero, >= 0; ``null`` takes ``weight``.
        head: Patterns of the names of parameters that are new (``network.head.*``); ``null`` takes the
            classifier of a transfer model, and nothing of other networks.
        parameters: ``weights``, ``all``, or patterns of parameter names.

    Raises:
        ConfigError: If a weight is negative; when training begins, if a pattern of ``head`` matches nothing.
    """

    def __init__(
        self,
        weight: float,
        head_weight: float | None = None,
        head: list[str] | None = None,
        parameters: Literal["weights", "all"] | list[str] = "weights",
    ) -> None:
        super().__init__(weight, parameters)
        if head_weight is not None and not head_weight >= 0:
            raise ConfigError(f"head_weight: {head_weight} is out of range; allowed: head_weight >= 0")
        self.head_weight = weight if head_weight is None else head_weight
        self.head = head
        self.start: dict[str, Tensor] = {}
        self._new: set[str] | None = None

    def attach(self, module: Any) -> list[RemovableHandle]:
        """Finds the head.

        The start of the rest is kept when the first step is about to change it (later, where it is frozen until
        then), unless a checkpoint gave that of the run that goes on.
        """
        self._new = self._find_new(module)
        return []

    def penalty(self, module: nn.Module) -> Tensor | None:
        """Both parts, as a sum over weights."""
        if self._new is None:
            self._new = self._find_new(module)
        return total(self._pull(name, p, name in self._new) for name, _, p in selected(self, module))

    def _pull(self, name: str, parameter: Tensor, new: bool) -> Tensor:
        values = whole(parameter)
        if new:
            return self.head_weight / 2 * values.square().sum()
        if name not in self.start:
            self.start[name] = values.detach().clone()
        self.start[name] = start = self.start[name].to(values)
        return self.weight / 2 * (values - start).square().sum()

    def _find_new(self, module: nn.Module) -> set[str]:
        """Names of the parameters of the new head."""
        named = dict(module.named_parameters())
        if self.head is None:
            heads = [part.model.get_classifier() for part in module.modules() if isinstance(part, Transfer)]
            parts = [part for head in heads for part in (head if isinstance(head, tuple | list) else [head])]
            head = {id(p) for part in parts for p in part.parameters()}
            return {name for name, p in named.items() if id(p) in head}
        for pattern in self.head:
            if not any(fnmatchcase(name, pattern) for name in named):
                raise ConfigError(f"head: {pattern!r} matches none of {', '.join(named)}")
        return {name for name in named if any(fnmatchcase(name, pattern) for pattern in self.head)}

    def state_dict(self) -> dict[str, Any]:
        """The start of each weight."""
        return {"start": dict(self.start)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes the start over."""
        self.start = dict(state["start"])
