"""A report at the end of a training, a validation or a test."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info

from fulmen.callbacks.recording import PredictionRecorder
from fulmen.core.errors import ConfigError
from fulmen.evaluation import Curves, Evaluation, Predictions, describe, write_report
from fulmen.evaluation.describing import slice_columns


class Report(PredictionRecorder):
    """Writes how good the model is, and where it fails: a page, ``metrics.json``, and tables as CSV.

    On the command line ``fit`` ends with the report of its best checkpoint. In a ``Trainer`` of one's own, ``fit`` ends
    with a report of the validation samples, as predicted in the epoch that its checkpoint callback watches as the best
    (the last one without such), and ``test`` and ``validate`` with one of theirs. Nothing is predicted twice, and a
    step costs no more than a reference to its outputs.

    Args:
        split: ``test`` or ``val``: only these samples; ``None``: all that are scored; on the command line the test
            samples, or those of validation where there are none.
        slices: Columns of the data by which the samples are divided.
        resamples: Of the bootstrap, from which the 95 % intervals come.
        samples: How many of the worst predictions are shown.
        folder: Where ``report_<split>`` is made; ``None``: in the run's folder, the logger's, or the trainer's.

    Raises:
        ConfigError: If a number is out of range.
    """

    def __init__(
        self,
        split: Literal["test", "val"] | None = None,
        slices: list[str] | None = None,
        resamples: int = 1000,
        samples: int = 24,
        folder: str | None = None,
    ) -> None:
        super().__init__()
        if resamples < 1:
            raise ConfigError(f"report: resamples: {resamples} is out of range; allowed: at least 1")
        if samples < 0:
            raise ConfigError(f"report: samples: {samples} is out of range; allowed: at least 0")
        self.split, self.slices, self.folder = split, list(slices or []), folder
        self.resamples, self.samples = resamples, samples
        self._best: tuple[float, Predictions] | None = None
        self._logged: dict[int, dict[str, float]] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Checks that the data have the columns."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if self.slices and not hasattr(data, "sample_values"):
            raise ConfigError(f"report: slices: {type(data).__name__} tells no columns of its samples; leave them out")
        split = "test" if stage == "test" else "val"
        if self.slices and split in data.datasets:
            data.sample_values(split, self.slices)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins anew."""
        self._best, self._logged = None, {}

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keeps what the epoch before logged: at its end the module has not logged yet."""
        self._keep_logged(trainer, trainer.current_epoch - 1)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keeps what the last epoch logged."""
        self._keep_logged(trainer, max((trainer.current_epoch or 1) - 1, 0))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """In ``fit`` keeps the predictions of the best epoch; in ``validate`` writes the report."""
        if trainer.sanity_checking or "val" not in self.predictions:
            return
        if trainer.state.fn == TrainerFn.FITTING:
            self._keep_best(trainer)
        else:
            self._write(trainer, pl_module, self.predictions["val"])

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the report of the test samples."""
        self._write(trainer, pl_module, self.predictions["test"])

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the report of the validation samples."""
        if self._best is not None:
            self._write(trainer, pl_module, self._best[1])

    def _keep_best(self, trainer: Trainer) -> None:
        checkpoint = trainer.checkpoint_callback
        monitor, mode = getattr(checkpoint, "monitor", None), getattr(checkpoint, "mode", "min")
        value = math.nan if monitor is None else float(trainer.callback_metrics.get(monitor, math.nan))
        score = value if mode == "min" else -value
        if self._best is None or not score >= self._best[0]:  # without a score the newest one counts
            self._best = score, self.predictions["val"]

    def _keep_logged(self, trainer: Trainer, epoch: int) -> None:
        if epoch >= 0 and trainer.callback_metrics:
            self._logged[epoch] = {name: float(value) for name, value in trainer.callback_metrics.items()}

    def _write(self, trainer: Trainer, module: LightningModule, predictions: Predictions) -> None:
        place = self.folder or trainer.log_dir or trainer.default_root_dir  # asks all processes
        if not trainer.is_global_zero or self.split not in (None, predictions.split) or not len(predictions):
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        columns = slice_columns(data, predictions, self.slices)
        evaluation = Evaluation.of(predictions, columns, self.resamples, self.samples)
        about = describe(module, data, evaluation, Curves.of(self._logged) if self._logged else None)
        page = write_report(evaluation, about, Path(place) / f"report_{predictions.split}")
        rank_zero_info(f"{evaluation.answer()}\nreport: {page}")
