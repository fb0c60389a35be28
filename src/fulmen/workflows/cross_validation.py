"""Cross-validation: every sample is scored by a model that has not seen it."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.utilities.seed import isolate_rng

from fulmen.callbacks import Checkpoint, EarlyStopping, History
from fulmen.callbacks.recording import PredictionRecorder
from fulmen.core.errors import ConfigError, DataError
from fulmen.data import SupervisedDataModule
from fulmen.data.split_files import read_split
from fulmen.evaluation import Predictions
from fulmen.workflows.fold_plan import Fold, Folds, Plan, plan_folds
from fulmen.workflows.fold_results import CrossValidation, FoldResult, gather
from fulmen.workflows.trial import silence


def cross_validate(
    make_module: Callable[[Any], LightningModule],
    data: SupervisedDataModule,
    folds: Folds = 5,
    repeats: int = 1,
    trainer: Mapping[str, Any] | None = None,
    folder: str | Path | None = None,
    monitor: str | None = "val/loss",
    mode: Literal["min", "max"] = "min",
    patience: int | None = 10,
    seed: int = 0,
) -> CrossValidation:
    """Trains a model for each fold and scores it on that fold, which has no say in its training.

    A part of the other folds (``val_fraction`` of the data) stops the training and chooses the checkpoint that is
    scored; whatever the data learn, they learn from the samples that train. How samples are divided is said by the
    data: by class, or ``split_by``; their own test samples are left out.

    Args:
        make_module: Makes an untrained module for the data of a fold, a ``SupervisedDataModule`` that is set up.
        data: The data; they stay as they are.
        folds: How many; ``groups``: one for each group of ``split_by={"group": COLUMN}``.
        repeats: How often, each time in other folds.
        trainer: Arguments of the ``Trainer`` of each fold, on one device; callbacks are copied for each.
        folder: Where checkpoints, splits and predictions are kept; ``None``: nowhere.
        monitor: Logged name that says which epoch is best; ``None``: the last one is scored.
        mode: Whether less (``min``) or more (``max``) of it is better.
        patience: Epochs without improvement after which the training stops; ``None``: it does not stop early.
        seed: Of every training.

    Returns:
        Out-of-fold predictions, and metrics of each fold and of all samples.

    Raises:
        ConfigError: If data, module or options cannot be used.
        DataError: If the samples cannot be divided, or a training diverges.

    Example:
        >>> from fulmen import IrisData, MLPModule
        >>> def make(data):
        ...     facts = {"input_shape": data.input_shape, "num_outputs": data.num_outputs}
        ...     return MLPModule(**facts, class_names=data.class_names)
        >>> quiet = {"max_epochs": 1, "accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}
        >>> found = cross_validate(make, IrisData(), folds=3, trainer=quiet)
        >>> len(found.predictions), sorted(set(found.predictions.columns["fold"].tolist()))
        (128, [0, 1, 2])
    """
    plan = plan_folds(data, folds, repeats, stops=monitor is not None)
    stopping = {"monitor": monitor, "mode": mode, "patience": patience}
    results = []
    for fold in plan:
        view = data.view(folds=plan.folds, **fold.options)
        with TemporaryDirectory() as temporary:
            place = Path(temporary) if folder is None else Path(folder) / plan.name(fold)
            results.append(_train_fold(make_module, view, plan, fold, dict(trainer or {}), stopping, place, seed))
    found = gather(plan, results)
    if folder is not None:
        found.write(Path(folder))
    return found


def _train_fold(
    make_module: Callable[[Any], LightningModule],
    view: SupervisedDataModule,
    plan: Plan,
    fold: Fold,
    options: dict[str, Any],
    stopping: Mapping[str, Any],
    place: Path,
    seed: int,
) -> FoldResult:
    """Trains, scores and reads one fold."""
    history, recorder = History(), PredictionRecorder()
    place.mkdir(parents=True, exist_ok=True)
    with isolate_rng(), _kept_seed(), silence(), warnings.catch_warnings():
        # where no sample validates, the loader of validation is an empty list, and is meant to be
        warnings.filterwarnings("ignore", "Total length of `list` across ranks is zero.*")
        seed_everything(seed, workers=True, verbose=False)
        view.prepare_data()
        view.setup("fit")
        view.write_split(place / "split.csv")
        callbacks = [*copy.deepcopy(options.pop("callbacks", None) or []), *_stopping(stopping, place), history]
        trainer = Trainer(**{"logger": False, "default_root_dir": str(place), **options, "callbacks": callbacks})
        if trainer.world_size > 1:
            raise ConfigError(
                "trainer.devices: from Python a fold is trained on one device; the command `lightning cross_validate` "
                "takes several"
            )
        module = make_module(view)
        trainer.fit(module, datamodule=view)
        if trainer.interrupted:
            raise KeyboardInterrupt
        best = getattr(trainer.checkpoint_callback, "best_model_path", "") or None
        trainer.callbacks.append(recorder)  # type: ignore[attr-defined]
        trainer.test(module, datamodule=view, ckpt_path=best if stopping["monitor"] else None, verbose=False)
    found = named_as_split(recorder.predictions["test"], place / "split.csv")
    found.write(place / "test_predictions.csv")
    chosen = history.best(stopping["monitor"], stopping["mode"]) if stopping["monitor"] else {}
    return FoldResult.of(
        fold,
        plan.name(fold),
        found,
        train=len(view.datasets["train"]),
        val=len(view.datasets.get("val", ())),
        epochs=history.epochs,
        best_epoch=int(chosen.get("epoch", history.epochs - 1)),
        seconds=history.seconds,
        history=history.scored,
    )


def _stopping(stopping: Mapping[str, Any], place: Path) -> list[Any]:
    """What chooses the epoch that is scored."""
    monitor, mode, patience = stopping["monitor"], stopping["mode"], stopping["patience"]
    made: list[Any] = [Checkpoint(monitor, mode, save_last=False, dirpath=str((place / "checkpoints").resolve()))]
    if monitor is not None and patience is not None:
        made.append(EarlyStopping(monitor, mode, patience))
    return made


@contextmanager
def _kept_seed() -> Iterator[None]:
    """Takes back the seed that Lightning leaves in the environment."""
    before = {name: os.environ.get(name) for name in ("PL_GLOBAL_SEED", "PL_SEED_WORKERS")}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def named_as_split(predictions: Predictions, split: Path) -> Predictions:
    """Predictions of a fold with the names of its ``split.csv``, which no two samples of the data share.

    Tables number the rows of each file; in a fold there may be rows of several.

    Args:
        predictions: Of the fold's test split, in the order of the data set.
        split: The file.

    Raises:
        DataError: If they are not as many.
    """
    table = read_split(split)
    names = [
        name
        for name, side in zip(table["sample"].to_pylist(), table["split"].to_pylist(), strict=True)
        if side == "test"
    ]
    if len(names) != len(predictions):
        raise DataError(
            f"{len(predictions)} of {len(names)} samples of the fold were scored; leave out trainer.limit_test_batches"
        )
    return replace(predictions, samples=names)
