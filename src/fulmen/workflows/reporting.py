"""How good a trained model is, and where it fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningDataModule, LightningModule

from fulmen.core.errors import ConfigError, unknown
from fulmen.data import SupervisedDataModule
from fulmen.evaluation import Curves, Evaluation
from fulmen.evaluation.describing import slice_columns
from fulmen.evaluation.writing import describe, write_report
from fulmen.workflows.collecting import collect_predictions


def evaluate(
    module: LightningModule,
    data: LightningDataModule,
    split: str | None = None,
    slices: Sequence[str] = (),
    resamples: int = 1000,
    samples: int = 24,
    options: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Predicts the samples of a split, and scores them with intervals.

    Args:
        module: A trained module.
        data: Its data.
        split: ``test``, ``val`` or ``train``; ``None``: test where there is one, else val.
        slices: Columns of the data (``data.sample_columns(split)``) by which the samples are divided.
        resamples: Of the bootstrap.
        samples: How many of the worst predictions are wanted.
        options: Of the ``Trainer`` that predicts: ``accelerator``, ``precision``, ...

    Raises:
        ConfigError: If there is no such split or column, or a number is out of range.
        DataError: If a prediction is not a number.
    """
    if resamples < 1:
        raise ConfigError(f"resamples: {resamples} is out of range; allowed: at least 1")
    if samples < 0:
        raise ConfigError(f"samples: {samples} is out of range; allowed: at least 0")
    chosen = evaluated_split(data, split)
    if slices and isinstance(data, SupervisedDataModule):
        data.sample_values(chosen, slices)  # a mistake is found before anything is predicted
    predictions = collect_predictions(module, data, chosen, options)
    return Evaluation.of(predictions, slice_columns(data, predictions, slices), resamples, samples)


def evaluated_split(data: LightningDataModule, split: str | None) -> str:
    """The split that is meant, set up: by itself the test samples, or validation where there are none.

    Raises:
        ConfigError: If there is no such split.
    """
    if not isinstance(data, SupervisedDataModule):
        return split or "test"
    data.prepare_data()
    for name, stage in (("test", "test"), ("val", "validate"), ("train", "fit")):
        if split in (None, name):
            data.setup(stage)
            if name in data.datasets:
                return name
    known = [name for name in ("test", "val", "train") if name in data.datasets]
    raise ConfigError(f"split: {unknown('split', str(split), known)}")


def report(
    module: LightningModule,
    data: LightningDataModule,
    folder: Path | str,
    split: str | None = None,
    slices: Sequence[str] = (),
    resamples: int = 1000,
    samples: int = 24,
    curves: Path | str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Evaluates a model and writes the report: a page, ``metrics.json``, and tables as CSV.

    Args:
        module: See :func:`evaluate`.
        data: See :func:`evaluate`.
        folder: Made if it is missing.
        split: See :func:`evaluate`.
        slices: See :func:`evaluate`.
        resamples: See :func:`evaluate`.
        samples: See :func:`evaluate`.
        curves: The ``metrics.csv`` of Lightning's ``CSVLogger``, for the learning curves.
        options: See :func:`evaluate`.

    Raises:
        ConfigError: See :func:`evaluate`; or if the folder cannot be written.
        DataError: If a prediction is not a number.
    """
    evaluation = evaluate(module, data, split, slices, resamples, samples, options)
    logged = None if curves is None else Curves.read(Path(curves))
    about = describe(module, data, evaluation, logged)
    write_report(evaluation, about, folder)
    return evaluation
