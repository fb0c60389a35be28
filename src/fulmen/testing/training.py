"""Short trainings on the CPU, for checks."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import torch
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from torch import Tensor

from fulmen.core.batch import Batch
from fulmen.data import ArrayData
from fulmen.modules import SupervisedModule

CLASSES = 3
FEATURES = 6


def points(samples: int = 48, seed: int = 0, **options: Any) -> ArrayData:
    """Three clouds of points in 6 dimensions, one a class, far enough apart to be learned in a few steps.

    Args:
        samples: How many.
        seed: Of the points.
        **options: Arguments of :class:`fulmen.data.SupervisedDataModule`.
    """
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(samples) % CLASSES
    centres = 3 * torch.eye(CLASSES, FEATURES)
    inputs = centres[targets] + torch.randn(samples, FEATURES, generator=generator)
    settings: dict[str, Any] = {"batch_size": 16, "val_fraction": 0.25, "test_fraction": 0.0, "standardize": False}
    return ArrayData(inputs, targets, class_names=["a", "b", "c"], **{**settings, **options})


def pictures(samples: int = 24, shape: Sequence[int] = (1, 8, 8), **options: Any) -> ArrayData:
    """Images with a bright third, top, middle or bottom by class.

    Args:
        samples: How many.
        shape: ``(C, H, W)``.
        **options: Arguments of :class:`fulmen.data.SupervisedDataModule`.
    """
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(samples) % CLASSES
    images = 0.3 * torch.rand(samples, *shape, generator=generator)
    third = max(1, shape[1] // CLASSES)
    for image, target in zip(images, targets.tolist(), strict=True):
        image[:, third * target : third * (target + 1)] += 0.6
    settings: dict[str, Any] = {"batch_size": 8, "val_fraction": 0.25, "test_fraction": 0.0}
    return ArrayData(images, targets, class_names=["a", "b", "c"], **{**settings, **options})


def facts(data: ArrayData) -> dict[str, Any]:
    """What a module has to know of data."""
    return {"input_shape": data.input_shape, "num_outputs": data.num_outputs, "class_names": data.class_names}


def trainer(**options: Any) -> Trainer:
    """A quiet trainer on the CPU that writes no files."""
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    return Trainer(**{"accelerator": "cpu", "devices": 1, "logger": False, "max_epochs": 1, **quiet, **options})


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps Lightning's advice on speed and torch's notices on Lightning out of the checks' warnings.

    The order of training samples is that of the seed 0.
    """
    loggers = [logging.getLogger(name) for name in ("lightning", "lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    seed = os.environ.get("PL_GLOBAL_SEED")
    os.environ["PL_GLOBAL_SEED"] = "0"
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PossibleUserWarning)
        warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.*", FutureWarning)
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*Total length of `list` across ranks is zero.*")
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
            os.environ.pop("PL_GLOBAL_SEED", None)
            if seed is not None:
                os.environ["PL_GLOBAL_SEED"] = seed


def fit(module: LightningModule, data: LightningDataModule, **options: Any) -> Trainer:
    """Trains a module; options are the trainer's."""
    with quiet():
        made = trainer(**options)
        made.fit(module, datamodule=data)
    return made


def reloaded(module: LightningModule, made: Trainer) -> LightningModule:
    """The module as a checkpoint of its trainer gives it back."""
    with TemporaryDirectory() as folder, quiet():
        path = os.path.join(folder, "a.ckpt")
        made.save_checkpoint(path)
        return type(module).load_from_checkpoint(path)


@torch.no_grad()
def loss_of(module: SupervisedModule, batch: Any) -> float:
    """The loss of a batch in evaluation, without penalties."""
    batch, training = Batch.of(batch), module.training
    loss = float(module.eval().compute_loss(module(batch.inputs), batch.targets))
    module.train(training)
    return loss


def weights(module: torch.nn.Module) -> Tensor:
    """All parameters in one row."""
    return torch.cat([p.detach().flatten() for p in module.parameters()])
