"""Averaged weights: they are validated, kept in checkpoints, and what training ends with."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from fulmen.core.errors import ConfigError

TRAINED = "current_model_state"
"""Where a checkpoint has the weights as they are trained, if its ``state_dict`` is their average."""
_COUNT = "averaged_updates"


class WeightAverage(Callback):
    """Averages weights and the statistics of norm layers with torch's functions. Subclasses say when and how.

    Validation sees the average, so that what is monitored, and called best, is what is saved: a checkpoint's
    ``state_dict`` is the average, and the weights as they are trained stand beside it for a resumed run. Lightning's
    ``WeightAveraging`` (2.6.6) falls short of this: before the first update it validates and saves the weights that
    training began with, ``trainer.test(ckpt_path="best")`` after ``fit`` scores the ones that are not averaged, and
    frozen weights drift by rounding.

    Frozen weights stay as they are, bit by bit: ``a + w * (b - a)`` is ``a`` where both are the same.
    """

    key = "ema"

    def __init__(self) -> None:
        self.updates = 0
        self._average: dict[str, Tensor] | None = None
        self._current: dict[str, Tensor] = {}  # the module's own tensors
        self._raw: dict[str, Tensor] | None = None  # what they were trained to, while the average is in their place
        self._step = 0

    # What a subclass says

    def due(self, trainer: Trainer, batch_idx: int) -> bool:
        """Whether the average takes in the weights after this optimizer step."""
        raise NotImplementedError

    def average(self, averaged: list[Tensor], current: list[Tensor]) -> None:
        """Moves averaged tensors, all of one type, by the current ones, in place; not called the first time."""
        raise NotImplementedError

    # Averaging

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Begins anew with each ``fit``.

        Raises:
            ConfigError: If the trainer has another average, sharded weights, or would save half of what is needed.
        """
        if stage != "fit":
            return
        self.updates, self._average, self._raw = 0, None, None
        others = [c for c in trainer.callbacks if isinstance(c, WeightAverage) and c is not self]  # type: ignore[attr-defined]
        if others:
            raise ConfigError(f"{self.key}: {others[0].key} averages the weights as well; give one of them")
        if not isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy):
            raise ConfigError(f"{self.key}: {type(trainer.strategy).__name__} shards weights, which cannot be averaged")
        if any(isinstance(c, ModelCheckpoint) and c.save_weights_only for c in trainer.callbacks):  # type: ignore[attr-defined]
            raise ConfigError(
                f"checkpoint.save_weights_only: true would leave the average of {self.key} out; set false"
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes where a resumed run begins, and puts what it loaded where the weights are."""
        self._step = trainer.global_step
        self._current = _tensors(pl_module)
        if self._average is not None:
            self._average = {name: self._average[name].to(value.device) for name, value in self._current.items()}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Takes the weights in, where it is their time."""
        if trainer.global_step > self._step:
            self._step = trainer.global_step
            if self.due(trainer, batch_idx):
                self._take()

    @torch.no_grad()
    def _take(self) -> None:
        if self._average is None:
            self._average = {name: _wide(value).clone() for name, value in self._current.items()}
        else:
            kinds: dict[Any, tuple[list[Tensor], list[Tensor]]] = {}
            for name, value in self._current.items():
                average = self._average[name]
                if not value.is_floating_point():
                    average.copy_(value)
                    continue
                pairs = kinds.setdefault((average.dtype, average.device), ([], []))
                pairs[0].append(average)
                pairs[1].append(_wide(value))
            for averaged, values in kinds.values():
                self.average(averaged, values)
        self.updates += 1

    # Where the average takes the weights' place

    @torch.no_grad()
    def _put_in(self) -> None:
        if self._average is not None and self._raw is None:
            self._raw = {name: value.clone() for name, value in self._current.items()}
            for name, value in self._current.items():
                value.copy_(self._average[name])

    @torch.no_grad()
    def _put_back(self) -> None:
        if self._raw is not None:
            for name, value in self._current.items():
                value.copy_(self._raw[name])
            self._raw = None

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts the average in."""
        if trainer.state.fn == TrainerFn.FITTING:
            self._put_in()

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts the weights back."""
        if trainer.state.fn == TrainerFn.FITTING:
            self._put_back()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Puts the weights back where validation was interrupted."""
        if trainer.state.fn == TrainerFn.FITTING:
            self._put_back()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leaves the average in the model."""
        if self._average is None:
            rank_zero_info(f"{self.key}: the training ended before the averaging began; nothing is averaged")
        self._put_in()

    # Checkpoints

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Saves the average as the model's weights, and the others beside it."""
        if self._average is None or trainer.state.fn != TrainerFn.FITTING:
            return
        saved = checkpoint["state_dict"]
        raw = saved if self._raw is None else _replaced(saved, self._raw)
        checkpoint["state_dict"], checkpoint[TRAINED] = _replaced(saved, self._average), raw
        checkpoint[_COUNT] = self.updates

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Goes on from both where ``fit`` is resumed; elsewhere the average is what was loaded."""
        if trainer.state.fn != TrainerFn.FITTING or TRAINED not in checkpoint:
            return
        names = _tensors(pl_module)
        self._average = {n: v.detach().clone() for n, v in checkpoint["state_dict"].items() if n in names}
        self.updates = checkpoint[_COUNT]
        pl_module.load_state_dict(checkpoint[TRAINED])


def _tensors(module: LightningModule) -> dict[str, Tensor]:
    """What is averaged: the parameters and the buffers that a checkpoint holds, each once."""
    state = module.state_dict()
    return {name: state[name] for name, first in _shared(state).items() if name == first}


def _shared(state: dict[str, Tensor]) -> dict[str, str]:
    """Name of a tensor -> the first name of the same one: layers may share their weights."""
    first: dict[Any, str] = {}
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    return {n: first.setdefault((t.data_ptr(), t.shape, t.stride()) if t.numel() else n, n) for n, t in tensors.items()}


def _replaced(state: dict[str, Tensor], values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**state, **{name: values[first] for name, first in _shared(state).items()}}


def _wide(value: Tensor) -> Tensor:
    """An average of 16 bits would not move: its steps are smaller than its last digit."""
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
