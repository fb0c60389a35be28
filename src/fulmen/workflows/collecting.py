"""Predictions of a split, made by Lightning's own loops."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lightning.pytorch import LightningDataModule, LightningModule, Trainer

from fulmen.callbacks.recording import PredictionRecorder
from fulmen.core.errors import ConfigError, unknown
from fulmen.data import SupervisedDataModule
from fulmen.evaluation import Predictions
from fulmen.workflows.trial import silence

_SPLITS = {"val": "validate", "test": "test", "train": "fit"}
"""Split -> the stage that sets it up: data whose splits are files of their own read only what a stage needs."""


def collect_predictions(
    module: LightningModule,
    data: LightningDataModule,
    split: str = "val",
    options: Mapping[str, Any] | None = None,
) -> Predictions:
    """Predicts the samples of a split whose targets are known; each sample once, also with several processes.

    Args:
        module: A trained module.
        data: Its data; of those that are no ``SupervisedDataModule``, ``val`` and ``test``.
        split: ``val``, ``test``, or ``train`` (without augmentation).
        options: Of the ``Trainer``: ``accelerator``, ``devices``, ``precision``, ...

    Raises:
        ConfigError: If there is no such split, or the module does not tell what it predicts.
    """
    if split not in _SPLITS:
        raise ConfigError(f"split: {unknown('split', split, _SPLITS)}")
    recorder = PredictionRecorder()
    given = {**(options or {}), "logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    shown = {"enable_progress_bar": False, "fast_dev_run": False, "callbacks": [recorder], "barebones": False}
    with silence():
        trainer = Trainer(**{**given, **shown})
        if isinstance(data, SupervisedDataModule):
            data.prepare_data()
            data.setup(_SPLITS[split])
            if split not in data.datasets:
                raise ConfigError(f"split: {unknown('split', split, [s for s in _SPLITS if s in data.datasets])}")
            if split == "train":
                data = _with_training_as_validation(data)
        score = trainer.test if split == "test" else trainer.validate
        score(module, datamodule=data, verbose=False)
    found = recorder.predictions["test" if split == "test" else "val"]
    return found if found.split == split else replace(found, split=split)


def _with_training_as_validation(data: SupervisedDataModule) -> SupervisedDataModule:
    made = copy.copy(data)
    made.datasets = {"train": data.datasets["train"], "val": data.datasets["train"]}
    return made
