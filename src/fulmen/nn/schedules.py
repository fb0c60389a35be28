"""Learning-rate schedules, on torch's schedulers.

A schedule that asks for ``total_steps`` or ``steps_per_epoch`` is stepped after every optimizer step, any
other one after every epoch. Lengths are in epochs, so that a config reads the same for every batch size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from fulmen.core.errors import ConfigError


def warmup(step: int, steps: float) -> float:
    """The linear warm-up's factor: rises to 1 at step ``steps - 1`` and stays there.

    >>> [warmup(step, 4) for step in range(6)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """
    return min(1.0, (step + 1) / steps) if steps > 0 else 1.0


def cosine_factor(progress: float, min_factor: float) -> float:
    """Half a cosine from 1 down to ``min_factor`` (Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983).

    >>> [round(cosine_factor(p, 0.0), 3) for p in (0, 0.5, 1)]
    [1.0, 0.5, 0.0]
    """
    return min_factor + (1 - min_factor) * (1 + math.cos(math.pi * progress)) / 2


def _steps(epochs: float, steps_per_epoch: float) -> float:
    """Epochs in steps; none are 0 steps, however long an epoch is."""
    if epochs and math.isinf(steps_per_epoch):
        raise ConfigError("warmup_epochs: the data do not know how many batches an epoch has; set it to 0")
    return epochs * steps_per_epoch if epochs else 0.0


def _schedule(optimizer: Optimizer, warmup_steps: float, factor: Callable[[int], float]) -> LRScheduler:
    if warmup_steps < 0:
        raise ConfigError(f"warmup_epochs: must be >= 0, got {warmup_steps} steps")
    return LambdaLR(optimizer, lambda step: warmup(step, warmup_steps) * factor(step))


def _progress(total_steps: float, warmup_steps: float) -> Callable[[int], float]:
    """Step -> share of the steps after the warm-up that are done, in [0, 1]."""
    if math.isinf(total_steps):
        raise ConfigError("this schedule needs the training's length: set trainer.max_epochs or trainer.max_steps")
    if warmup_steps >= total_steps:
        raise ConfigError(f"warmup_epochs: {warmup_steps:.0f} warm-up steps do not fit in {total_steps:.0f} steps")
    return lambda step: min(1.0, max(0.0, (step - warmup_steps) / (total_steps - warmup_steps)))


def _decay(
    optimizer: Optimizer, total_steps: float, warmup_steps: float, factor: Callable[[float], float]
) -> LRScheduler:
    """A factor of the share of the steps after the warm-up that are done."""
    progress = _progress(total_steps, warmup_steps)
    return _schedule(optimizer, warmup_steps, lambda step: factor(progress(step)))


def _check_epochs(steps_per_epoch: float) -> None:
    if math.isinf(steps_per_epoch):
        raise ConfigError(
            "this schedule counts epochs, and the data do not know how many batches one has; "
            "set trainer.limit_train_batches, or take a schedule of trainer.max_steps (cosine, linear)"
        )


def constant(optimizer: Optimizer, steps_per_epoch: float, warmup_epochs: float = 0) -> LRScheduler:
    """The same rate throughout, after a linear warm-up."""
    return _schedule(optimizer, _steps(warmup_epochs, steps_per_epoch), lambda step: 1.0)


def step(
    optimizer: Optimizer, steps_per_epoch: float, step_size: int = 10, gamma: float = 0.1, warmup_epochs: float = 0
) -> LRScheduler:
    """Multiplies the rate by ``gamma`` after every ``step_size`` epochs."""
    if step_size < 1:
        raise ConfigError(f"step_size: {step_size} is out of range; allowed: at least 1 epoch")
    _check_epochs(steps_per_epoch)
    return _schedule(
        optimizer,
        _steps(warmup_epochs, steps_per_epoch),
        lambda step: gamma ** int(step // steps_per_epoch // step_size),
    )


def exponential(
    optimizer: Optimizer, steps_per_epoch: float, gamma: float = 0.95, warmup_epochs: float = 0
) -> LRScheduler:
    """Multiplies the rate by ``gamma`` after every epoch."""
    _check_epochs(steps_per_epoch)
    return _schedule(
        optimizer, _steps(warmup_epochs, steps_per_epoch), lambda step: gamma ** int(step // steps_per_epoch)
    )


def linear(
    optimizer: Optimizer,
    total_steps: float,
    steps_per_epoch: float,
    min_factor: float = 0.0,
    warmup_epochs: float = 0,
) -> LRScheduler:
    """A straight line down to ``min_factor`` times the rate at the end of the training."""
    return _decay(
        optimizer, total_steps, _steps(warmup_epochs, steps_per_epoch), lambda progress: 1 - (1 - min_factor) * progress
    )


def cosine(
    optimizer: Optimizer,
    total_steps: float,
    steps_per_epoch: float,
    min_factor: float = 0.0,
    warmup_epochs: float = 0,
) -> LRScheduler:
    """Half a cosine down to ``min_factor`` times the rate at the end of the training."""
    return _decay(
        optimizer,
        total_steps,
        _steps(warmup_epochs, steps_per_epoch),
        lambda progress: cosine_factor(progress, min_factor),
    )


def one_cycle(
    optimizer: Optimizer,
    total_steps: float,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> LRScheduler:
    """Up to the optimizer's rate and down again, momentum the other way (Smith 2018, torch's ``OneCycleLR``).

    An optimizer without momentum (``sgd`` by itself) stays without.
    """
    _progress(total_steps, 0)
    rates = [group["lr"] for group in optimizer.param_groups]
    momentum = bool(optimizer.defaults.get("momentum")) or "betas" in optimizer.defaults
    return OneCycleLR(
        optimizer,
        max_lr=rates,
        total_steps=int(total_steps),
        pct_start=pct_start,
        div_factor=div_factor,
        final_div_factor=final_div_factor,
        cycle_momentum=momentum,
    )


def plateau(
    optimizer: Optimizer,
    monitor: str = "val/loss",
    mode: Literal["min", "max"] = "min",
    factor: float = 0.1,
    patience: int = 5,
    min_lr: float = 0.0,
) -> ReduceLROnPlateau:
    """Multiplies the rate by ``factor`` when ``monitor`` has not improved for ``patience`` epochs."""
    schedule = ReduceLROnPlateau(optimizer, mode=mode, factor=factor, patience=patience, min_lr=min_lr)
    schedule.monitor = monitor  # type: ignore[attr-defined]
    return schedule
