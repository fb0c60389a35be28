"""Exponential moving average of the weights."""

from __future__ import annotations

from typing import final

from lightning.pytorch import Trainer
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from fulmen.callbacks.averaging import WeightAverage
from fulmen.core.errors import ConfigError


@final
class EMA(WeightAverage):
    """Trains as ever, and validates, saves and ends with an exponential moving average of the weights.

    ``average <- decay * average + (1 - decay) * weights`` after each optimizer step (Polyak and Juditsky 1992 average
    evenly; this form is that of Tarvainen and Valpola 2017, https://arxiv.org/abs/1703.01780). Statistics of norm
    layers are averaged alike.

    Args:
        decay: How much of itself the average keeps in a step, in [0, 1).
        warmup: Whether the first steps keep less, ``min(decay, (1 + n) / (10 + n))`` after n updates, as TensorFlow's
            ``ExponentialMovingAverage`` does: otherwise a short run's average stays near its beginning.
        start_epoch: Epoch, counted from 0, in which averaging begins.

    Raises:
        ConfigError: If an option is out of range.
    """

    key = "ema"

    def __init__(self, decay: float = 0.999, warmup: bool = True, start_epoch: int = 0) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise ConfigError(f"ema.decay: {decay} is out of range; allowed: 0 <= decay < 1")
        if start_epoch < 0:
            raise ConfigError(f"ema.start_epoch: {start_epoch} is out of range; allowed: start_epoch >= 0")
        self.decay, self.warmup, self.start_epoch = decay, warmup, start_epoch

    def due(self, trainer: Trainer, batch_idx: int) -> bool:
        """After every step from the first epoch on."""
        return trainer.current_epoch >= self.start_epoch

    def average(self, averaged: list[Tensor], current: list[Tensor]) -> None:
        """One step of the moving average, in place."""
        warm = (1 + self.updates) / (10 + self.updates)
        decay = min(self.decay, warm) if self.warmup else self.decay
        get_ema_multi_avg_fn(decay)(averaged, current, self.updates)  # type: ignore[no-untyped-call]
