"""Mixed samples, at the input or inside of the network."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from fulmen.core.batch import Batch
from fulmen.core.errors import ConfigError
from fulmen.nn.draws import step_generator
from fulmen.nn.mixup import mixed_loss
from fulmen.nn.regularizers import Regularizer
from fulmen_regularizers.selection import ACTIVATIONS, find_layers

INPUT = "input"


class Draw(NamedTuple):
    """What is drawn for an optimizer step.

    Attributes:
        layer: Where samples are mixed; ``input``, or a name inside the network.
        share: How much of itself a sample keeps, in [0, 1].
        partners: ``(N,)`` whom each sample is mixed with.
    """

    layer: str
    share: float
    partners: NDArray[np.int64]


def mix(values: Tensor, share: float, partners: Tensor) -> Tensor:
    """``share * values + (1 - share) * values[partners]``, samples along the first dimension.

    >>> mix(torch.tensor([0.0, 1.0]), 0.75, torch.tensor([1, 0]))
    tensor([0.2500, 0.7500])
    """
    return share * values + (1 - share) * values[partners]


class ManifoldMixup(Regularizer):
    """Mixes samples with each other at a layer drawn anew in each step, and their losses alike (Verma et al. 2019).

    https://arxiv.org/abs/1806.05236: ``share * loss(y) + (1 - share) * loss(y of the partner)``, with
    ``share ~ Beta(alpha, alpha)``. With ``layers: [input]`` it is mixup (Zhang et al. 2018,
    https://arxiv.org/abs/1710.09412). A step's micro-batches and processes share its layer, its share and its
    permutation; partners come from the same micro-batch, so one large batch pairs other samples than several
    small ones do. What is drawn depends on ``seed_everything`` and the number of the step alone. The
    training metrics compare what is said of mixed samples with the unmixed targets.

    Args:
        alpha: Of the Beta distribution, > 0; small: hardly mixed, 1: evenly, large: half and half.
        layers: Where samples may be mixed, each layer equally often: ``input``, ``activations``, and patterns of
            layers' names inside the network.

    Raises:
        ConfigError: If alpha is not positive; when training begins, if a pattern matches no layer; while training,
            if a layer does not run exactly once on the whole batch.
    """

    def __init__(self, alpha: float = 1.0, layers: str | Sequence[str] = (INPUT, ACTIVATIONS)) -> None:
        super().__init__(1.0)
        if not alpha > 0:
            raise ConfigError(f"alpha: {alpha} is out of range; allowed: alpha > 0")
        self.alpha = alpha
        self.layers = [layers] if isinstance(layers, str) else list(layers)
        if not self.layers:
            raise ConfigError("layers: [] leaves nothing to mix; allowed: input, activations, and names of layers")
        self._places: list[str] = []
        self._draw: tuple[str, float, Tensor] | None = None
        self._runs: int | None = None

    def attach(self, module: Any) -> list[RemovableHandle]:
        """Puts a hook on each layer where samples may be mixed."""
        self._draw = None
        patterns = [pattern for pattern in self.layers if pattern != INPUT]
        found = find_layers(module.network, patterns)
        self._places = [*([INPUT] if INPUT in self.layers else []), *found]
        return [layer.register_forward_hook(partial(self._mix_output, module, name)) for name, layer in found.items()]

    def draw(self, module: Any, samples: int) -> Draw:
        """Layer, share and partners of the current step.

        Args:
            module: What is trained.
            samples: Size of the micro-batch.
        """
        generator = step_generator(module, "manifold_mixup")
        layer = self._places[generator.integers(len(self._places))]
        return Draw(layer, float(generator.beta(self.alpha, self.alpha)), generator.permutation(samples))

    def before_forward(self, module: Any, batch: Batch) -> Batch:
        """Draws, and mixes inputs if it is their turn."""
        layer, share, partners = self.draw(module, len(batch.inputs))
        self._draw = layer, share, torch.from_numpy(partners).to(batch.inputs.device)
        self._runs = 0
        if layer != INPUT:
            return batch
        if not batch.inputs.is_floating_point():
            raise ConfigError(f"layers: inputs of {batch.inputs.dtype} cannot be mixed; leave `input` out")
        self._runs = 1
        return batch._replace(inputs=mix(batch.inputs, share, self._draw[2]))

    def _mix_output(self, module: nn.Module, name: str, layer: nn.Module, inputs: Any, output: Any) -> Any:
        if self._draw is None or self._draw[0] != name or not (module.training and torch.is_grad_enabled()):
            return None
        _, share, partners = self._draw
        if not isinstance(output, Tensor) or len(output) != len(partners):
            shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise ConfigError(f"layers: {name!r} gives {shape}, not one row for each of {len(partners)} samples")
        if self._runs is not None:  # None: a checkpointed layer runs again in the backward pass
            self._runs += 1
        return mix(output, share, partners)

    def loss(self, module: Any, batch: Batch, logits: Tensor) -> Tensor:
        """The losses by the targets of both samples, in the shares in which they were mixed."""
        assert self._draw is not None
        layer, share, partners = self._draw
        if self._runs != 1:
            raise ConfigError(
                f"layers: {layer!r} ran {self._runs} times with gradients in a forward pass, not once; leave it out"
            )
        self._runs = None
        targets: Any = batch.targets
        return mixed_loss(module, logits, targets, targets[partners], share)
