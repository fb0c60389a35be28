"""Penalties of how much outputs and losses change with the inputs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from fulmen.core.batch import Batch
from fulmen.core.errors import ConfigError
from fulmen.nn.draws import step_generator
from fulmen.nn.regularizers import Regularizer


@contextmanager
def _twice() -> Iterator[None]:
    """Says in words what torch says when something cannot be derived twice."""
    try:
        yield
    except RuntimeError as error:
        raise ConfigError(
            "regularizers: jacobian and gradient_penalty derive twice, which an operation of this network or "
            "torch.compile does not allow; train without compiling, and switch fused attention off "
            f"(torch.backends.cuda.enable_flash_sdp(False), enable_mem_efficient_sdp(False)). Torch says: {error}"
        ) from error


def squared_gradient(output: Tensor, inputs: Tensor) -> Tensor:
    """``sum (d output / d inputs)^2``, a scalar that can be derived again.

    Args:
        output: A scalar.
        inputs: What it was computed from.

    Raises:
        ConfigError: If what is between them cannot be derived twice.
    """
    with _twice():
        (gradient,) = torch.autograd.grad(output, inputs, create_graph=True)
    squares: Tensor = gradient.to(output.dtype).square()
    return squares.sum()


def unit_vectors(generator: np.random.Generator, number: int, size: int) -> Tensor:
    """``(number, size)`` directions, each spread evenly over the sphere."""
    normal = generator.normal(size=(number, size))
    return torch.from_numpy(normal / np.linalg.norm(normal, axis=1, keepdims=True))


class _InputGradient(Regularizer):
    """Lets gradients reach the inputs, and checks once that they can be derived again."""

    def __init__(self, weight: float) -> None:
        super().__init__(weight)
        self._checked = False

    def attach(self, module: Any) -> list[RemovableHandle]:
        """Checks that parameters are whole."""
        self._checked = False
        if any(hasattr(p, "full_tensor") for p in module.parameters()):
            raise ConfigError(
                f"regularizers: {type(self).__name__} derives gradients inside of the forward pass, which sharded "
                "parameters (FSDP2, tensor parallel) do not allow; use trainer.strategy: ddp"
            )
        return []

    def before_forward(self, module: Any, batch: Batch) -> Batch:
        """Inputs that collect gradients."""
        if not batch.inputs.is_floating_point():
            raise ConfigError(
                f"regularizers: {type(self).__name__} needs inputs that are real numbers, "
                f"and these are {batch.inputs.dtype}"
            )
        if batch.inputs.requires_grad:
            return batch
        return batch._replace(inputs=batch.inputs.detach().requires_grad_())

    def check(self, module: Any, penalty: Tensor) -> None:
        """Says in the first batch, and in words, if an operation has no second derivative."""
        if self._checked:
            return
        parameters: list[Tensor] = [p for p in module.parameters() if p.requires_grad]
        with _twice():
            torch.autograd.grad(penalty, parameters, retain_graph=True, allow_unused=True)
        self._checked = True


class Jacobian(_InputGradient):
    """``weight / 2 * ||d logits / d inputs||_F^2`` as a mean over samples (Hoffman et al. 2019).

    https://arxiv.org/abs/1908.02729: outputs that hardly move when inputs do. As there, random projections
    estimate the norm without bias. Each is one direction for all samples of an optimizer step, so that
    micro-batches and processes add up to the whole batch. A sample's outputs must depend on its own inputs alone;
    batch normalization mixes in those of the others, as in the paper's code.

    Args:
        weight: Strength, >= 0.
        projections: Random projections in each step, >= 1; ``null`` computes the norm itself, one backward
            pass for each output.

    Raises:
        ConfigError: If an option is out of range; while training, if inputs are no real numbers or an
            operation cannot be derived twice.
    """

    def __init__(self, weight: float, projections: int | None = 1) -> None:
        super().__init__(weight)
        if projections is not None and projections < 1:
            raise ConfigError(f"projections: {projections} is out of range; allowed: projections >= 1, or null")
        self.projections = projections

    def directions(self, module: Any, outputs: int) -> Tensor:
        """``(P, outputs)`` directions whose squared projections are summed, scaled so that the sum is the norm."""
        if self.projections is None:
            return torch.eye(outputs)
        unit = unit_vectors(step_generator(module, "jacobian"), self.projections, outputs)
        return unit * math.sqrt(outputs / self.projections)

    def batch_penalty(self, module: Any, batch: Batch, logits: Tensor) -> Tensor:
        """Half of the mean squared norm, times the weight."""
        flat = logits.flatten(1)
        directions = self.directions(module, flat.shape[1]).to(flat)
        squares = torch.stack([squared_gradient((flat @ v).sum(), batch.inputs) for v in directions]).sum()
        penalty = self.weight / 2 * squares / len(batch.inputs)
        self.check(module, penalty)
        return penalty


class GradientPenalty(_InputGradient):
    """``weight * ||d loss / d inputs||^2`` as a mean over samples: double backpropagation (Drucker and LeCun 1992).

    https://doi.org/10.1109/72.165600: a loss that hardly moves when inputs do. (It is not the penalty of the
    same name that keeps the gradient norm of a GAN's critic near 1.)

    Args:
        weight: Strength, >= 0.

    Raises:
        ConfigError: If the weight is negative; while training, if inputs are no real numbers or an operation
            cannot be derived twice.
    """

    def batch_penalty(self, module: Any, batch: Batch, logits: Tensor) -> Tensor:
        """The mean squared norm of each sample's own gradient, times the weight."""
        samples = len(batch.inputs)
        loss = module.compute_loss(logits, batch.targets)  # a mean: a sample's share of it is 1 / samples
        penalty = self.weight * samples * squared_gradient(loss, batch.inputs)
        self.check(module, penalty)
        return penalty
