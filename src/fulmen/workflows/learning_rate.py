"""A learning-rate range test: which rate suits a model and its data."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from numpy.typing import NDArray

from fulmen.core.errors import ConfigError
from fulmen.workflows.trial import run_trial, train_for

_MEMORY = 0.9
"""How much of its past the running mean keeps a step, by which a sweep is stopped."""
_DIVERGED = 4.0
"""How many times the lowest running mean counts as diverged (fastai's)."""
_WIDTH = 0.025
"""Standard deviation of the kernel that smooths a curve, as a share of all steps."""
_SHARE = 0.8
"""Share of its fall that the loss has done at the rate that is suggested."""
_AT_ONCE = 0.06
"""Share of the steps within which that shows that the lowest rate was too high."""
_NOISES = 2.0
"""How many standard deviations of the batches' noise a fall must exceed: that of smoothed noise is rarely as much."""
_FEWEST = 10


@dataclass(frozen=True)
class RateSweep:
    """The loss at rising learning rates.

    Attributes:
        rates: Rate of each optimizer step, rising by the same factor; a config's ``optimizer.lr``.
        losses: Loss of each step, before its update.
        smoothed: The same without the noise of batches.
        diverged: Whether the sweep was stopped because the loss rose far above its lowest.
        suggestion: A good ``optimizer.lr``; ``None`` where the curve shows none.
        lowest: The rate at which the smoothed loss is lowest.
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    diverged: bool
    suggestion: float | None
    lowest: float


def find_learning_rate(
    module: LightningModule,
    data: LightningDataModule,
    lowest: float = 1e-7,
    highest: float = 10.0,
    steps: int = 100,
    trainer: Mapping[str, Any] | None = None,
) -> RateSweep:
    """Trains a copy of a module on its data at rising rates, and suggests one: the range test of Smith 2017.

    The rate of every optimizer step is higher than the last by the same factor; parameter groups keep their ratio to
    each other, schedules rest, and the sweep ends early where the loss diverges. Devices, precision, accumulation and
    clipping are those of the trainer's options. The module itself is left as it is.

    Args:
        module: What is to be trained, with one optimizer.
        data: Its data.
        lowest: First rate, above 0.
        highest: Last rate.
        steps: How many optimizer steps, at least 10.
        trainer: Options of the run's ``Trainer``, such as ``{"precision": "bf16-mixed", "max_epochs": 20}``; loggers
            and callbacks are left out.

    Raises:
        ConfigError: If the range is none, or the module's optimizer cannot be swept.

    Returns:
        The curve and the suggestion: the rate at which the smoothed loss has done 80 % of its fall. Smith reads the
        rate at which the gain slows as the highest that is good; where the loss falls fastest is lower, and was seen
        to differ more from one seed to the next.

    References:
        Smith 2017, Cyclical Learning Rates for Training Neural Networks, https://arxiv.org/abs/1506.01186
    """
    if not 0 < lowest < highest or math.isinf(highest):
        raise ConfigError(f"lowest: {lowest:g} and highest: {highest:g} are no range; allowed: 0 < lowest < highest")
    if steps < _FEWEST:
        raise ConfigError(f"steps: {steps} is out of range; allowed: at least {_FEWEST}")
    if not module.automatic_optimization:
        raise ConfigError(f"{type(module).__name__} steps its optimizer by hand, and its rate cannot be swept")
    sweep = _Sweep(np.geomspace(lowest, highest, steps))
    run_trial(copy.deepcopy(module), data, trainer, sweep)
    return sweep.result()


def smooth(losses: Sequence[float], width: float) -> NDArray[np.float64]:
    """A weighted mean over neighbouring steps on both sides, so that a curve is not moved to the right.

    Args:
        losses: ``(N,)``.
        width: Standard deviation of the Gaussian weights, in steps.

    Returns:
        ``(N,)``.

    >>> smooth([1.0, 1.0, 4.0, 1.0, 1.0], 0.5).round(2).tolist()
    [1.0, 1.32, 3.36, 1.32, 1.0]
    """
    places = np.arange(len(losses))
    weights = np.exp(-(((places[:, None] - places) / width) ** 2) / 2)
    smoothed: NDArray[np.float64] = weights @ np.asarray(losses, np.float64) / weights.sum(1)
    return smoothed


def where_the_fall_slows(
    rates: Sequence[float], losses: Sequence[float], smoothed: NDArray[np.float64]
) -> float | None:
    """The rate at which the smoothed loss has done 80 % of its fall.

    Args:
        rates: ``(N,)`` rising by the same factor.
        losses: ``(N,)``.
        smoothed: ``(N,)``.

    Returns:
        The rate; ``None`` where the loss never fell by more than the noise of batches, not below what it was before
        the first update, or at once, so that the lowest rate was too high.
    """
    bottom = int(np.argmin(smoothed))
    top = int(np.argmax(smoothed[: bottom + 1]))
    noise = float(np.std(np.asarray(losses)[: bottom + 1] - smoothed[: bottom + 1]))
    fall = smoothed[top] - smoothed[bottom]
    if not fall > _NOISES * noise or smoothed[bottom] >= losses[0]:
        return None
    slows = top + int(np.argmax(smoothed[top : bottom + 1] <= smoothed[top] - _SHARE * fall))
    return float(rates[slows]) if slows >= _AT_ONCE * len(rates) else None


class _Sweep(Callback):
    """Sets the rate of each optimizer step, notes its loss, and stops where that diverges.

    Args:
        rates: ``(N,)`` one a step.
    """

    def __init__(self, rates: NDArray[np.float64]) -> None:
        self.rates = rates.tolist()
        self.losses: list[float] = []
        self.diverged = False
        self._of_step: list[float] = []
        self._ratios: list[float] = []
        self._mean = 0.0
        self._best = math.inf

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lets the schedules rest, and makes the training as long as the sweep."""
        train_for(trainer, len(self.rates))
        self._ratios = _ratios(trainer.optimizers[0])
        _show_first_epoch(trainer, pl_module)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Sets the rate of the coming step."""
        for group, ratio in zip(trainer.optimizers[0].param_groups, self._ratios, strict=True):
            group["lr"] = self.rates[len(self.losses)] * ratio

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Notes the loss of a step; batches whose gradients are summed are one."""
        loss = outputs["loss"] * trainer.accumulate_grad_batches  # Lightning gives their share of the step
        self._of_step.append(float(trainer.strategy.reduce(loss, reduce_op="mean")))
        if trainer.global_step <= len(self.losses):
            return
        self.losses.append(float(np.mean(self._of_step)))
        self._of_step = []
        if self._rose(self.losses[-1]):
            self.diverged = trainer.should_stop = True

    def _rose(self, loss: float) -> bool:
        if not math.isfinite(loss):
            self.losses.pop()
            return True
        self._mean = _MEMORY * self._mean + (1 - _MEMORY) * loss
        mean = self._mean / (1 - _MEMORY ** len(self.losses))
        self._best = min(self._best, mean)
        return len(self.losses) > _FEWEST and mean > self._best + (_DIVERGED - 1) * abs(self._best)

    def result(self) -> RateSweep:
        """What was found.

        Raises:
            ConfigError: If not even the first steps gave a finite loss.
        """
        if len(self.losses) < 2:
            raise ConfigError(
                f"lowest: the loss is not finite at a rate of {self.rates[len(self.losses)]:.1e} already; look at the "
                "data (lightning check), or give a lower rate"
            )
        rates, smoothed = self.rates[: len(self.losses)], smooth(self.losses, max(1.0, _WIDTH * len(self.rates)))
        suggestion = where_the_fall_slows(rates, self.losses, smoothed)
        lowest = rates[int(np.argmin(smoothed))]
        return RateSweep(rates, self.losses, smoothed.tolist(), self.diverged, suggestion, lowest)


def _ratios(optimizer: torch.optim.Optimizer) -> list[float]:
    """The rate of each parameter group, as a multiple of the optimizer's own."""
    # a schedule has applied its first factor already, and keeps the rates that were given
    rates = [group.get("max_lr", group.get("initial_lr", group["lr"])) for group in optimizer.param_groups]
    if any(rate is None for rate in rates) or not max(rates) > 0:
        raise ConfigError(f"optimizer.lr: {type(optimizer).__name__} has the rates {rates}; give one above 0")
    own = optimizer.defaults.get("lr") or max(rates)
    return [float(rate / own) for rate in rates]


def _show_first_epoch(trainer: Trainer, module: Any) -> None:
    """Lets a module begin every epoch as its first: what it would thaw later, rests however small the data are."""
    begin, progress = module.on_train_epoch_start, trainer.fit_loop.epoch_progress.current

    def begin_first() -> None:
        epoch, progress.completed = progress.completed, 0
        begin()
        progress.completed = epoch

    module.on_train_epoch_start = begin_first
