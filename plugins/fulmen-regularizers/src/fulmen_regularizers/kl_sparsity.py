"""Units that are active in a given share of the samples."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from fulmen.core.batch import Batch
from fulmen.core.errors import ConfigError
from fulmen_regularizers.selection import ACTIVATIONS
from fulmen_regularizers.watching import Watching

_EDGE = 1e-4
"""How near to 0 and 1 a mean activation is taken at most: the slope is infinite there."""


def bernoulli_kl(target: float, mean: Tensor) -> Tensor:
    """``KL(target || mean)`` of Bernoulli variables, in nats, elementwise; both in (0, 1).

    >>> bernoulli_kl(0.5, torch.tensor([0.5, 0.1]))
    tensor([0.0000, 0.5108])
    """
    return target * (math.log(target) - mean.log()) + (1 - target) * (math.log1p(-target) - (1 - mean).log())


def bernoulli_kl_slope(target: float, mean: Tensor) -> Tensor:
    """The derivative of :func:`bernoulli_kl` by ``mean``."""
    return (1 - target) / (1 - mean) - target / mean


class KLSparsity(Watching):
    """``weight * sum over units of KL(target || mean activation)`` (Ng 2011, the sparse autoencoder).

    https://web.stanford.edu/class/cs294a/sparseAutoencoder_2011new.pdf, section 3. The activations must lie in
    [0, 1], as a sigmoid's do; each entry of a layer's output is a unit, and the mean is over samples.

    That mean is over all training samples. A batch's own would be noisy, and the divergence of micro-batches
    or of processes would not add up to that of the whole. So the mean is a running one over earlier
    optimizer steps (exponential, corrected for its start as Adam's), the same in all processes, and a batch
    adds the divergence's slope at that mean times the gradient of its own mean activation. The first step has
    no earlier ones: it only counts. The logged value is the divergence of the running mean.

    Args:
        weight: Strength, >= 0.
        target: The wanted mean activation, in (0, 1).
        momentum: How much of the running mean stays in each step, in [0, 1); 0 takes the last step's.
        layers: Patterns of layers' names inside the network (``hidden.*.1``), or ``activations`` for all
            activation layers.

    Raises:
        ConfigError: If an option is out of range; when training begins, if a pattern matches no layer; after the
            first step, if activations lie outside [0, 1].
    """

    def __init__(
        self, weight: float, target: float = 0.05, momentum: float = 0.9, layers: str | list[str] = ACTIVATIONS
    ) -> None:
        super().__init__(weight, layers)
        if not 0 < target < 1:
            raise ConfigError(f"target: {target} is out of range; allowed: 0 < target < 1")
        if not 0 <= momentum < 1:
            raise ConfigError(f"momentum: {momentum} is out of range; allowed: 0 <= momentum < 1")
        self.target, self.momentum = target, momentum
        self.steps = 0
        self.running: dict[str, Tensor] = {}
        self._seen: dict[str, Tensor] = {}

    def measure(self, name: str, output: Tensor) -> tuple[Tensor, int, Tensor]:
        """Sum over samples of each unit, number of samples, and the extremes."""
        units = output.flatten(1)
        known = self.running.get(name)
        if known is not None and len(known) != units.shape[1]:
            raise ConfigError(
                f"layers: {name!r} has {units.shape[1]} units now and had {len(known)}; "
                "kl_sparsity needs inputs of one size"
            )
        return units.sum(0), len(output), torch.stack(output.detach().aminmax())

    def batch_penalty(self, module: Any, batch: Batch, logits: Tensor) -> Tensor | None:
        """The divergence of the running mean, with the gradient that the batch's mean gives it."""
        sums: dict[str, Tensor] = {}
        counts: dict[str, int] = {}
        for name, (activity, count, extremes) in self.finish():
            sums[name] = sums[name] + activity if name in sums else activity
            counts[name] = counts.get(name, 0) + count
            if not self.replaying:
                self._count(name, activity.detach(), count, extremes)
        terms = [self._term(name, sums[name] / counts[name]) for name in sums] if self.steps else []
        return self.weight * torch.stack(terms).sum() if terms else None

    def _term(self, name: str, mean: Tensor) -> Tensor:
        running = self.mean(name).to(mean).clamp(_EDGE, 1 - _EDGE)
        gradient = (bernoulli_kl_slope(self.target, running) * (mean - mean.detach())).sum()
        return bernoulli_kl(self.target, running).sum() + gradient

    def mean(self, name: str) -> Tensor:
        """The running mean activation of each unit of a layer, in the order of its flattened output."""
        return self.running[name] / (1 - self.momentum**self.steps)

    def _count(self, name: str, activity: Tensor, count: int, extremes: Tensor) -> None:
        """Adds to what the step has seen: the sum of each unit, then the number of samples."""
        low, high = extremes.tolist()
        if not (low >= 0 and high <= 1):  # NaN as well
            raise ConfigError(
                f"layers: {name!r} gives activations from {low:.3g} to {high:.3g}; allowed: 0 to 1, as from a sigmoid"
            )
        found = torch.cat([activity, activity.new_tensor([count])])
        self._seen[name] = self._seen[name] + found if name in self._seen else found

    def after_step(self, module: Any, rates: dict[nn.Parameter, float]) -> None:
        """Takes the step's mean activation, of all its micro-batches and processes, into the running mean."""
        if not self._seen:
            return
        for name, seen in sorted(self._seen.items()):
            seen = module.trainer.strategy.reduce(seen, reduce_op="sum")
            mean = seen[:-1] / seen[-1]
            old = self.running.get(name, torch.zeros_like(mean)).to(mean)
            self.running[name] = self.momentum * old + (1 - self.momentum) * mean
        self.steps += 1
        self._seen = {}

    def state_dict(self) -> dict[str, Any]:
        """The running means, and over how many steps."""
        return {"running": dict(self.running), "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes them over."""
        self.running, self.steps = dict(state["running"]), state["steps"]
