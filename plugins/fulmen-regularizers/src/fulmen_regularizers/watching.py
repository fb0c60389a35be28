"""Penalties of activations: what layers put out in the forward pass of a training batch."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from fulmen.core.batch import Batch
from fulmen.core.errors import ConfigError
from fulmen.nn.regularizers import Regularizer
from fulmen_regularizers.selection import ACTIVATIONS, find_layers


class Watching(Regularizer):
    """Reads the outputs of layers during the forward passes of training batches, and of no others.

    Subclasses override :meth:`measure` and ``batch_penalty``. A layer that runs several times in a forward
    pass is measured each time. Layers inside of torch's non-reentrant activation checkpointing work; reentrant
    checkpointing hides them, which is an error.

    Args:
        weight: Strength, >= 0.
        layers: Patterns of layers' names inside the network, or ``activations``.

    Attributes:
        measured: What :meth:`measure` gave in this forward pass, by layer.
    """

    def __init__(self, weight: float, layers: str | list[str] = ACTIVATIONS) -> None:
        super().__init__(weight)
        self.layers = layers
        self.measured: list[tuple[str, Any]] = []
        self._watching = False

    def measure(self, name: str, output: Tensor) -> Any:
        """What is kept of a layer's output, with its gradient; the output itself would take memory.

        Args:
            name: Of the layer.
            output: In full precision, outside of autocast.
        """
        raise NotImplementedError

    def attach(self, module: Any) -> list[RemovableHandle]:
        """Puts a hook on each layer."""
        self._watching, self.measured = False, []
        layers = find_layers(module.network, self.layers)
        return [layer.register_forward_hook(partial(self._see, module, name)) for name, layer in layers.items()]

    def before_forward(self, module: Any, batch: Batch) -> Batch:
        """Starts to watch."""
        self._watching, self.measured = True, []
        return batch

    def finish(self) -> list[tuple[str, Any]]:
        """Stops to watch, and hands out what was measured."""
        measured, self._watching, self.measured = self.measured, False, []
        return measured

    def _see(self, module: nn.Module, name: str, layer: nn.Module, inputs: Any, output: Any) -> None:
        if not module.training or not (self._watching or torch.is_grad_enabled()):
            return
        if not isinstance(output, Tensor):
            raise ConfigError(f"layers: {name!r} gives a {type(output).__name__}, not a tensor; leave it out")
        if not torch.is_grad_enabled():
            raise ConfigError(
                f"layers: {name!r} runs without gradients (reentrant activation checkpointing does that; "
                "use_reentrant=False works); leave it out"
            )
        with torch.autocast(output.device.type, enabled=False):
            half = output.dtype in (torch.float16, torch.bfloat16)
            # also when a checkpointed layer runs again in the backward pass, which has to repeat all it did
            found = self.measure(name, output.float() if half else output)
        if self._watching:
            self.measured.append((name, found))


class _Activity(Watching):
    def batch_penalty(self, module: Any, batch: Batch, logits: Tensor) -> Tensor | None:
        """``weight`` times the sum over layers and units, as a mean over samples."""
        terms = [term for _, term in self.finish()]
        return self.weight * torch.stack(terms).sum() / len(batch.inputs) if terms else None


class ActivityL1(_Activity):
    """``weight * sum |a|`` over the units of the watched layers, as a mean over samples: few units are active.

    Glorot, Bordes and Bengio 2011 (https://proceedings.mlr.press/v15/glorot11a.html), for rectifiers.

    Args:
        weight: Strength, >= 0.
        layers: Patterns of layers' names inside the network (``hidden.*.1``), or ``activations`` for all
            activation layers.

    Raises:
        ConfigError: If the weight is negative; when training begins, if a pattern matches no layer.
    """

    def measure(self, name: str, output: Tensor) -> Tensor:
        """The sum over samples and units of ``|a|``."""
        return output.abs().sum()


class ActivityL2(_Activity):
    """``weight * sum a^2`` over the units of the watched layers, as a mean over samples: no unit is loud.

    Called activation regularization by Merity et al. 2017 (https://arxiv.org/abs/1708.01009).

    Args:
        weight: Strength, >= 0.
        layers: Patterns of layers' names inside the network (``hidden.*.1``), or ``activations`` for all
            activation layers.

    Raises:
        ConfigError: If the weight is negative; when training begins, if a pattern matches no layer.
    """

    def measure(self, name: str, output: Tensor) -> Tensor:
        """The sum over samples and units of ``a^2``."""
        return output.square().sum()
