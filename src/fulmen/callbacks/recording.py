"""Predictions of validation and test, kept as they are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from fulmen.core.errors import ConfigError
from fulmen.evaluation import Predictions


class PredictionRecorder(Callback):
    """Keeps what validation and test predict, without a second pass over the data.

    Batches stay on their device until the epoch ends; processes then gather what they have, each sample once. Samples
    stand in the order of the data set.

    Attributes:
        predictions: By split (``val``, ``test``), those of the newest epoch.
    """

    def __init__(self) -> None:
        self.predictions: dict[str, Predictions] = {}
        self._batches: list[Any] = []

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins anew."""
        self._batches = []

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins anew."""
        self._batches = []

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *args: Any, **kwargs: Any
    ) -> None:
        """Keeps a batch.

        Raises:
            ConfigError: If the module does not tell what it predicts.
        """
        self._keep(trainer, pl_module)

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *args: Any, **kwargs: Any
    ) -> None:
        """Keeps a batch.

        Raises:
            ConfigError: If the module does not tell what it predicts.
        """
        self._keep(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gathers the epoch."""
        if not trainer.sanity_checking:
            self._gather(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gathers the epoch."""
        self._gather(trainer, pl_module, "test")

    def _keep(self, trainer: Trainer, module: Any) -> None:
        evaluated = getattr(module, "evaluated", None)
        if evaluated is None or not hasattr(module, "task"):
            raise ConfigError(
                f"model: {type(module).__name__} does not tell what it predicts: subclass SupervisedModule, and let an "
                "overridden step call super().step(batch, stage)"
            )
        if evaluated.index is None and trainer.world_size > 1:
            raise ConfigError(
                "data: with several processes a batch needs the rows of its samples, Batch(inputs, targets, index), or "
                "samples would be counted twice; use one device"
            )
        if not evaluated.padded:
            self._batches.append(evaluated)
        module.evaluated = None

    def _gather(self, trainer: Trainer, module: Any, split: str) -> None:
        parts = [(b.logits, b.targets, b.index) for b in self._batches]
        self._batches = []
        mine = [_joined(column) for column in zip(*parts, strict=True)] if parts else None
        gathered: list[Any] = [mine]
        if trainer.world_size > 1:
            gathered = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, mine)
        logits, targets, index = (_joined(c) for c in zip(*(g for g in gathered if g is not None), strict=True))
        assert logits is not None
        assert targets is not None
        if index is not None:
            order = index.argsort(stable=True)
            logits, targets, index = logits[order], targets[order], index[order]
        data = trainer.datamodule  # type: ignore[attr-defined]
        named: Sequence[object] = range(len(logits))
        if index is not None:
            named = data.identity(split, index) if hasattr(data, "identity") else index.tolist()
        self.predictions[split] = make_predictions(module.task, logits, targets, [str(name) for name in named], split)


def make_predictions(task: Any, logits: Tensor, targets: Tensor, samples: list[str], split: str) -> Predictions:
    """Predictions as arrays.

    Args:
        task: A :class:`fulmen.tasks.Task`.
        logits: ``(N, num_outputs)``.
        targets: ``N`` of them, as the data give them.
        samples: Names of the samples.
        split: Which split they are of.
    """
    logits = logits.float()
    device = next((b.device for b in task.buffers()), logits.device)
    decoded = {key: value.cpu() for key, value in task.decode(logits.to(device)).items()}
    predicted, wide = decoded["prediction"], task.name == "regression"
    aligned = targets.cpu().reshape(predicted.shape)
    return Predictions(
        task=task.name,
        names=list(task.class_names),
        samples=samples,
        targets=aligned.double().numpy() if wide else aligned.long().numpy(),
        scores=(predicted if wide else decoded["probabilities"]).float().numpy(),
        predicted=predicted.float().numpy() if wide else predicted.numpy().astype(np.int64),
        split=split,
        logits=logits.cpu().numpy(),
    )


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    """On the CPU, one after the other; nothing where any is missing."""
    present = [part for part in parts if part is not None]
    return (
        torch.cat(
            [part.float() if part.is_floating_point() and part.dtype != torch.float64 else part for part in present]
        ).cpu()
        if len(present) == len(parts)
        else None
    )
