"""Lightning's early stopping and checkpointing, with the defaults that the command line uses."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, final

from lightning.pytorch import LightningModule, Trainer, callbacks
from torch import Tensor

_SECONDS = 1.0


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
    """Saves the best model as ``best.ckpt``, or several of the best, and the newest as ``last.ckpt``.

    The best is written whenever it is a new one, the newest at the end of an epoch. Epochs that take less than a second
    (of a head on cached features, say) would spend most of their time writing: of these, the newest is written once a
    second, and when the training ends.

    Args:
        monitor: Logged name that says which is best; ``None`` keeps the newest only.
        mode: Whether less (``min``) or more (``max``) is better.
        save_top_k: How many of the best are kept; -1 keeps all. Several are named after epoch and metric,
            ``epoch_03-val_loss_0.1234.ckpt``; ``--ckpt_path best`` finds the best of them.
        save_last: Whether the newest is kept as well, to resume from.
        filename: Name of the best, in Lightning's pattern (``epoch_{epoch}-loss_{val/loss:.3f}``); ``None``: ``best``,
            or as said above.
        **kwargs: Arguments of Lightning's ``ModelCheckpoint``.
    """

    def __init__(
        self,
        monitor: str | None = "val/loss",
        mode: Literal["min", "max"] = "min",
        save_top_k: int = 1,
        save_last: bool = True,
        filename: str | None = None,
        **kwargs: Any,
    ) -> None:
        if monitor is not None and monitor.startswith("train/"):
            kwargs["save_on_train_epoch_end"] = True
        if filename is None:
            filename = "best" if save_top_k in (0, 1) or monitor is None else _telling(monitor)
        if "/" in filename:  # Lightning would write `val/loss=0.12`: a file in a folder
            kwargs["auto_insert_metric_name"] = False
        self._written: float | None = None
        self._seldom = False
        super().__init__(
            monitor=monitor, mode=mode, save_top_k=save_top_k, save_last=save_last, filename=filename, **kwargs
        )

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves the best and the newest."""
        with self._at_end_of_epoch():
            super().on_validation_end(trainer, pl_module)
            if not self._should_save_on_train_epoch_end(trainer):
                self._save_newest(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves the best and the newest."""
        with self._at_end_of_epoch():
            super().on_train_epoch_end(trainer, pl_module)
            if self._should_save_on_train_epoch_end(trainer):
                self._save_newest(trainer)

    def _save_newest(self, trainer: Trainer) -> None:
        """Since Lightning 2.6 ``last.ckpt`` is written together with a new best only, which is not the newest."""
        due = self._every_n_epochs >= 1 and (trainer.current_epoch + 1) % self._every_n_epochs == 0
        if due and not self._should_skip_saving_checkpoint(trainer):  # it skips a step that is saved already
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))

    @contextmanager
    def _at_end_of_epoch(self) -> Iterator[None]:
        """Inside, the newest is written once a second."""
        self._seldom = True
        try:
            yield
        finally:
            self._seldom = False

    def _save_last_checkpoint(self, trainer: Trainer, monitor_candidates: dict[str, Tensor]) -> None:
        if self._seldom and _more_follows(trainer):
            just = self._written is not None and time.monotonic() - self._written < _SECONDS
            if trainer.strategy.broadcast(just):  # all processes write, or none
                return
        super()._save_last_checkpoint(trainer, monitor_candidates)
        self._written = time.monotonic()


def _telling(monitor: str) -> str:
    """A file name that tells epoch and metric.

    >>> _telling("val/loss")
    'epoch_{epoch:02d}-val_loss_{val/loss:.4f}'
    """
    return f"epoch_{{epoch:02d}}-{monitor.replace('/', '_')}_{{{monitor}:.4f}}"


def _more_follows(trainer: Trainer) -> bool:
    """Whether it is certain that the training goes on after this epoch."""
    limits = ((trainer.current_epoch + 1, trainer.max_epochs), (trainer.global_step, trainer.max_steps))
    reached = any(limit not in (None, -1) and count >= limit for count, limit in limits)
    timed = any(isinstance(callback, callbacks.Timer) for callback in trainer.callbacks)  # type: ignore[attr-defined]
    return not (reached or timed or trainer.should_stop)
