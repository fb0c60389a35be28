"""Stochastic weight averaging."""

from __future__ import annotations

import math
from typing import Any, final

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.optim.swa_utils import get_swa_multi_avg_fn

from fulmen.callbacks.averaging import WeightAverage
from fulmen.core.errors import ConfigError


@final
class SWA(WeightAverage):
    """Averages the weights that the last epochs end with (Izmailov et al. 2018, https://arxiv.org/abs/1803.05407).

    The average is validated and saved from its first epoch on; checkpoints before are of the weights as they are.
    Statistics of norm layers are averaged as well, in place of a further pass over the data.

    Args:
        start: Where averaging begins: a share of ``trainer.max_epochs`` in [0, 1), or an epoch counted from 0.
        lr: Learning rate while averaging, of the group with the highest rate (the others keep their ratio to it);
            ``None`` leaves the run's own schedule alone.
        anneal_epochs: Epochs in which the rate goes from the schedule's to ``lr`` along a cosine, as torch's ``SWALR``.

    Raises:
        ConfigError: If an option is out of range.
    """

    key = "swa"

    def __init__(self, start: int | float = 0.75, lr: float | None = None, anneal_epochs: int = 0) -> None:
        super().__init__()
        if not (0 <= start < 1 or (start >= 1 and float(start).is_integer())):
            raise ConfigError(f"swa.start: {start} is neither a share in [0, 1) nor an epoch")
        if lr is not None and not 0 < lr < math.inf:
            raise ConfigError(f"swa.lr: {lr} is out of range; allowed: lr > 0")
        if anneal_epochs < 0:
            raise ConfigError(f"swa.anneal_epochs: {anneal_epochs} is out of range; allowed: anneal_epochs >= 0")
        self.start, self.lr, self.anneal_epochs = start, lr, anneal_epochs
        self._rates: list[float] | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Also checks that the training gets that far.

        Raises:
            ConfigError: If it ends before, or has no end that a share could be of.
        """
        super().setup(trainer, pl_module, stage)
        if stage != "fit":
            return
        self._rates = None
        epochs = trainer.max_epochs
        if epochs in (None, -1) and self.start < 1:
            raise ConfigError(
                f"swa.start: {self.start} is a share of trainer.max_epochs, which is not set; give an epoch"
            )
        if epochs not in (None, -1) and self.first_epoch(trainer) >= epochs:
            raise ConfigError(f"swa.start: {self.start} is never reached in {epochs} epochs; give less")

    def first_epoch(self, trainer: Trainer) -> int:
        """The epoch after which the first weights are taken in."""
        return int(self.start) if self.start >= 1 else int(self.start * (trainer.max_epochs or 0))

    def due(self, trainer: Trainer, batch_idx: int) -> bool:
        """After the last step of an epoch."""
        return trainer.is_last_batch and trainer.current_epoch >= self.first_epoch(trainer)

    def average(self, averaged: list[Tensor], current: list[Tensor]) -> None:
        """One step of the even average, in place."""
        get_swa_multi_avg_fn()(averaged, current, self.updates)  # type: ignore[no-untyped-call]

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Sets the learning rates, whatever the schedule has made of them."""
        epochs = trainer.current_epoch - self.first_epoch(trainer)
        if self.lr is None or epochs < 0:
            return
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        if self._rates is None:
            self._rates = [float(group["lr"]) for group in groups]
        done = 1.0 if self.anneal_epochs == 0 else min(1.0, epochs / self.anneal_epochs)
        share, highest = (1 - math.cos(math.pi * done)) / 2, max(self._rates)
        for group, before in zip(groups, self._rates, strict=True):
            after = self.lr * (before / highest if highest else 1.0)
            group["lr"] = share * after + (1 - share) * before

    def state_dict(self) -> dict[str, Any]:
        """The rates that averaging began with."""
        return {"rates": self._rates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes them over."""
        self._rates = state_dict["rates"]
