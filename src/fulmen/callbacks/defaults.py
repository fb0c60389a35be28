"""Lightning's early stopping and checkpointing, with the defaults that the command line uses."""

from typing import Any, Literal, final

from lightning.pytorch import LightningModule, Trainer, callbacks


@final
class EarlyStopping(callbacks.EarlyStopping):
    """Stops the training when a metric has not improved for some epochs.

    Args:
        monitor: Logged name to watch.
        mode: Whether less (``min``) or more (``max``) is better.
        patience: Epochs without improvement before the training stops.
        min_delta: The least change that counts as an improvement.
        **kwargs: Arguments of Lightning's ``EarlyStopping``.
    """

    def __init__(
        self,
        monitor: str = "val/loss",
        mode: Literal["min", "max"] = "min",
        patience: int = 10,
        min_delta: float = 0.0,
        **kwargs: Any,
    ) -> None:
        if monitor.startswith("train/"):  # logged when the epoch ends, after validation
            kwargs["check_on_train_epoch_end"] = True
        super().__init__(monitor, mode=mode, patience=patience, min_delta=min_delta, **kwargs)


@final
class Checkpoint(callbacks.ModelCheckpoint):
    """Saves the best model as ``best.ckpt`` and the newest as ``last.ckpt``.

    Args:
        monitor: Logged name that says which is best; ``None`` keeps the newest only.
        mode: Whether less (``min``) or more (``max``) is better.
        save_top_k: How many of the best are kept; -1 keeps all.
        save_last: Whether the newest is kept as well, to resume from.
        filename: Name of the best, in Lightning's pattern (``{epoch}-{val/loss:.3f}``).
        **kwargs: Arguments of Lightning's ``ModelCheckpoint``.
    """

    def __init__(
        self,
        monitor: str | None = "val/loss",
        mode: Literal["min", "max"] = "min",
        save_top_k: int = 1,
        save_last: bool = True,
        filename: str = "best",
        **kwargs: Any,
    ) -> None:
        if monitor is not None and monitor.startswith("train/"):
            kwargs["save_on_train_epoch_end"] = True
        super().__init__(
            monitor=monitor, mode=mode, save_top_k=save_top_k, save_last=save_last, filename=filename, **kwargs
        )

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves the best and the newest."""
        super().on_validation_end(trainer, pl_module)
        if not self._should_save_on_train_epoch_end(trainer):
            self._save_newest(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves the best and the newest."""
        super().on_train_epoch_end(trainer, pl_module)
        if self._should_save_on_train_epoch_end(trainer):
            self._save_newest(trainer)

    def _save_newest(self, trainer: Trainer) -> None:
        """Since Lightning 2.6 ``last.ckpt`` is written together with a new best only, which is not the newest."""
        due = self._every_n_epochs >= 1 and (trainer.current_epoch + 1) % self._every_n_epochs == 0
        if due and not self._should_skip_saving_checkpoint(trainer):  # it skips a step that is saved already
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))
