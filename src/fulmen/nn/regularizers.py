"""Regularizers: the protocol, and those of parameters.

A regularizer of *parameters* adds ``penalty(module)`` to what is minimized, changes parameters after the
optimizer's step (``after_step``), or both. :class:`~fulmen.modules.SupervisedModule` adds the penalty's
*gradient* to the parameters' gradients right before the optimizer's step, which is the gradient of loss +
penalty exactly once per step: with accumulated micro-batches, after DDP has averaged, on the local shards of
sharded parameters, and outside of autocast, where the parameters have their full precision.

A regularizer of *batches* (of activations, outputs or inputs) adds ``batch_penalty`` to the loss of each
training batch. As that loss, it has to be a mean over samples: then micro-batches and processes add up to the
whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from fulmen.core.batch import Batch
from fulmen.core.errors import ConfigError

_NORMS = (
    nn.modules.batchnorm._NormBase,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.LocalResponseNorm,
    *((nn.RMSNorm,) if hasattr(nn, "RMSNorm") else ()),
)


def is_weight(module: nn.Module, name: str, parameter: nn.Parameter) -> bool:
    """Whether a module's own parameter is a weight: no bias, no part of a norm layer, at least two dimensions.

    Sharding may flatten parameters to one dimension; their names still tell biases from weights.

    >>> is_weight(layer := nn.Linear(2, 3), "bias", layer.bias)
    False
    """
    if isinstance(module, _NORMS) or "norm" in type(module).__name__.lower() or "bias" in name:
        return False
    return parameter.ndim > 1 or isinstance(module, nn.Linear | nn.modules.conv._ConvNd | nn.Embedding)


class Regularizer:
    """Base class of regularizers. Subclasses override what they need.

    :meth:`penalty` and :meth:`after_step` act on parameters; :meth:`attach`, :meth:`before_forward`,
    :meth:`loss` and :meth:`batch_penalty` on training batches; :meth:`before_step` on a whole optimizer step.

    Args:
        weight: How strongly it acts, >= 0.
        parameters: What it acts on: ``weights`` (default: neither biases nor norm layers), ``all``, or a
            list of patterns of parameter names (``network.head.*``).

    Attributes:
        replaying: Whether the batches of a step are seen a second time (see :meth:`before_step`), so that
            what is counted over batches must not count them again.

    Raises:
        ConfigError: If the weight is negative.
    """

    replaying: bool = False

    def __init__(self, weight: float, parameters: Literal["weights", "all"] | list[str] = "weights") -> None:
        if not weight >= 0:  # NaN is none either
            raise ConfigError(f"weight: {weight} is out of range; allowed: weight >= 0")
        self.weight = weight
        self.parameters = parameters

    def select(self, module: nn.Module) -> Iterator[nn.Parameter]:
        """The trainable parameters that this regularizer acts on, each once, also where layers share them.

        Raises:
            ConfigError: If a pattern matches no parameter.
        """
        if isinstance(self.parameters, list):
            names = [n for n, _ in module.named_parameters(remove_duplicate=False)]
            for pattern in self.parameters:
                if not any(fnmatchcase(n, pattern) for n in names):
                    raise ConfigError(f"parameters: {pattern!r} matches none of {', '.join(names)}")
        seen: set[int] = set()
        for prefix, owner in module.named_modules():
            for name, parameter in owner.named_parameters(recurse=False):
                full = f"{prefix}.{name}" if prefix else name
                if id(parameter) in seen or not parameter.requires_grad:
                    continue
                if self._selects(owner, name, full, parameter):
                    seen.add(id(parameter))
                    yield parameter

    def _selects(self, owner: nn.Module, name: str, full: str, parameter: nn.Parameter) -> bool:
        if isinstance(self.parameters, list):
            return any(fnmatchcase(full, pattern) for pattern in self.parameters)
        return self.parameters == "all" or is_weight(owner, name, parameter)

    def penalty(self, module: nn.Module) -> Tensor | None:
        """What is added to the loss: a scalar of the module's parameters, or ``None`` for nothing."""
        return None

    def after_step(self, module: nn.Module, rates: dict[nn.Parameter, float]) -> None:
        """Changes parameters in place after the optimizer's step (a proximal step, a constraint).

        Args:
            module: The module that is trained.
            rates: The learning rate of each parameter in this step.
        """

    def attach(self, module: Any) -> list[RemovableHandle]:
        """Puts hooks on layers before the first training step; they are removed when training ends.

        Args:
            module: The :class:`~fulmen.modules.SupervisedModule`, on its device, with the weights it starts from.
        """
        return []

    def before_forward(self, module: Any, batch: Batch) -> Batch:
        """The training batch that goes through the network.

        Args:
            module: The module that is trained.
            batch: Inputs as the network sees them, and targets.
        """
        return batch

    def loss(self, module: Any, batch: Batch, logits: Tensor) -> Tensor | None:
        """The loss of a training batch instead of ``module.compute_loss(logits, batch.targets)``; ``None``: that.

        At most one regularizer of a module may override this.
        """
        return None

    def batch_penalty(self, module: Any, batch: Batch, logits: Tensor) -> Tensor | None:
        """What is added to the loss of a training batch: a scalar, a mean over samples; ``None`` for nothing.

        Called outside of autocast.

        Args:
            module: The module that is trained.
            batch: What went through the network.
            logits: ``(N, num_outputs)`` that came out, in full precision.
        """
        return None

    def before_step(self, module: Any, replay: Callable[[], None]) -> None:
        """Changes the gradients of a whole optimizer step, before penalties of parameters and clipping.

        Args:
            module: The module; its gradients are complete (accumulated, averaged over processes).
            replay: Replaces them by those of the same batches at the parameters as they are now.
        """

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint has to hold to go on from: tensors, numbers, lists, mappings."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over what :meth:`state_dict` gave; called before :meth:`attach`."""

    def report(self, module: Any) -> str | None:
        """What there is to say when training has ended."""
        return None


def _total(terms: Iterator[Tensor]) -> Tensor | None:
    found = list(terms)
    return torch.stack(found).sum() if found else None


class L1(Regularizer):
    """``weight * sum(|w|)`` (Tibshirani 1996), which drives weights to zero.

    Args:
        weight: Strength, >= 0.
        parameters: ``weights``, ``all``, or patterns of parameter names.
        proximal: Shrink after each step (soft thresholding by ``lr * weight``) instead of adding the
            penalty's gradient; weights then become exactly zero.
    """

    def __init__(
        self, weight: float, parameters: Literal["weights", "all"] | list[str] = "weights", proximal: bool = False
    ) -> None:
        super().__init__(weight, parameters)
        self.proximal = proximal

    def penalty(self, module: nn.Module) -> Tensor | None:
        """``weight * sum(|w|)``, or ``None`` where the proximal step acts instead."""
        if self.proximal:
            return None
        return _total(self.weight * p.abs().sum() for p in self.select(module))

    @torch.no_grad()
    def after_step(self, module: nn.Module, rates: dict[nn.Parameter, float]) -> None:
        """``w <- sign(w) * max(|w| - lr * weight, 0)`` where the proximal form is asked for."""
        if self.proximal:
            for p in self.select(module):
                threshold = rates.get(p, 0.0) * self.weight
                p.copy_(p.sign() * (p.abs() - threshold).clamp_min(0))


class L2(Regularizer):
    """``weight * sum(w ** 2)`` (ridge, Tikhonov): large weights cost more.

    Args:
        weight: Strength, >= 0.
        parameters: ``weights``, ``all``, or patterns of parameter names.
    """

    def penalty(self, module: nn.Module) -> Tensor | None:
        """``weight * sum(w ** 2)``."""
        return _total(self.weight * p.square().sum() for p in self.select(module))


class ElasticNet(Regularizer):
    """``weight * (l1_ratio * sum(|w|) + (1 - l1_ratio) / 2 * sum(w ** 2))`` (Zou and Hastie 2005).

    The form and its name are scikit-learn's.

    Args:
        weight: Strength, >= 0.
        l1_ratio: Share of the L1 part, in [0, 1].
        parameters: ``weights``, ``all``, or patterns of parameter names.
    """

    def __init__(
        self, weight: float, l1_ratio: float = 0.5, parameters: Literal["weights", "all"] | list[str] = "weights"
    ) -> None:
        super().__init__(weight, parameters)
        if not 0 <= l1_ratio <= 1:
            raise ConfigError(f"l1_ratio: {l1_ratio} is out of range; allowed: 0 <= l1_ratio <= 1")
        self.l1_ratio = l1_ratio

    def penalty(self, module: nn.Module) -> Tensor | None:
        """The sum of both parts."""
        return _total(
            self.weight * (self.l1_ratio * p.abs().sum() + (1 - self.l1_ratio) / 2 * p.square().sum())
            for p in self.select(module)
        )
