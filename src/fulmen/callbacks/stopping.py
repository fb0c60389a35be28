"""The end of a training that nothing validates."""

from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer

from fulmen.core.errors import ConfigError


class StopAfter(Callback):
    """Ends the training after some epochs, while schedules run as if it went on to ``trainer.max_epochs``.

    For a training on all samples, which stops where others were best that had validation samples.

    Args:
        epochs: How many, 1 at least.
    """

    def __init__(self, epochs: int) -> None:
        if epochs < 1:
            raise ConfigError(f"epochs: {epochs} is out of range; allowed: at least 1")
        self.epochs = epochs

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ends it."""
        if trainer.current_epoch + 1 >= self.epochs:
            trainer.should_stop = True
