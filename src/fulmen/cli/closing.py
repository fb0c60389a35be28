"""What `fit` does when the training has ended: it scores the best model, and leaves what it was asked for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningDataModule, LightningModule, Trainer

from fulmen.callbacks import History, PredictionRecorder, Report
from fulmen.cli import runs
from fulmen.cli.record import RunRecorder
from fulmen.cli.stored import checkpoint_facts
from fulmen.core.errors import ConfigError, unknown
from fulmen.data import SupervisedDataModule
from fulmen.modules import SupervisedModule


@dataclass(frozen=True)
class Asked:
    """What a config asks of the end of `fit`.

    Attributes:
        test: Whether the best model is scored.
        kept: Splits whose predictions are written.
        report: What the report is like, if there is to be one.
    """

    test: bool
    kept: Sequence[str]
    report: Report | None


@dataclass(frozen=True)
class Closed:
    """What came of it.

    Attributes:
        stage: ``test`` or ``val``, whichever was scored.
        scores: Logged name -> value.
        best: Path of the best checkpoint.
        last: Path of the newest.
    """

    stage: str | None
    scores: dict[str, float]
    best: str | None
    last: str | None


class Closing:
    """The end of a run of `fit`.

    Args:
        model: What is trained.
        data: Its data.
        asked: What is to be done.

    Attributes:
        history: Callback that the trainer needs, for the record.
    """

    def __init__(self, model: LightningModule, data: LightningDataModule, asked: Asked) -> None:
        self.model, self.data, self.asked = model, data, asked
        self.history = History()
        self._predictions = PredictionRecorder()

    # Before training

    def check(self, trainer: Trainer) -> None:
        """Checks that what is asked for can be made.

        Args:
            trainer: About to fit.

        Raises:
            ConfigError: If it cannot.
        """
        for name, wanted in (("keep_predictions", self.asked.kept), ("report", self.asked.report)):
            if not wanted:
                continue
            if trainer.fast_dev_run:  # type: ignore[attr-defined]
                raise ConfigError(f"{name}: fast_dev_run writes nothing; leave one of them out")
            if not isinstance(self.model, SupervisedModule):
                raise ConfigError(
                    f"{name}: {type(self.model).__name__} is no SupervisedModule, whose predictions could be read; "
                    "leave it out"
                )
            if isinstance(self.data, SupervisedDataModule):
                self.data.prepare_data()
                self.data.setup("fit")
            for split in self.asked.kept if name == "keep_predictions" else [self._reported]:
                there = getattr(self.data, "datasets", (split,))  # of other data nothing is known
                if split not in there:
                    raise ConfigError(f"{name}: {unknown('split', split, list(there))}")
                if getattr(trainer, f"limit_{split}_batches") == 0:
                    raise ConfigError(
                        f"{name}: there will be no predictions of {split}, since trainer.limit_{split}_batches is 0; "
                        "leave one of them out"
                    )
        self._check_slices()

    def _check_slices(self) -> None:
        report = self.asked.report
        if report is None:
            return
        if not isinstance(self.data, SupervisedDataModule):
            raise ConfigError(
                f"report: {type(self.data).__name__} is no SupervisedDataModule, which it tells of; leave it out"
            )
        self.data.sample_values(self._reported, report.slices)

    @property
    def _reported(self) -> str:
        """The split that is reported on; the test set only where the closing test reads it too."""
        report, data = self.asked.report, self.data
        if report is not None and report.split:
            return report.split
        return "test" if self.asked.test and "test" in getattr(data, "datasets", ()) else "val"

    # After training

    def close(self, trainer: Trainer, recorder: RunRecorder | None) -> Closed:
        """Scores, writes and records.

        Args:
            trainer: Has just fitted.
            recorder: Of the run; ``None`` where there is no folder to write into.
        """
        checkpoint = trainer.checkpoint_callback
        # read now: testing restores the callback's state from the best checkpoint, which knows of no last one
        best, last = (getattr(checkpoint, f"{which}_model_path", "") or None for which in ("best", "last"))
        stage = self._stage(trainer) if self.asked.test else None
        began = time.monotonic()
        scores = {} if stage is None else self._score(trainer, stage, best)
        seconds = time.monotonic() - began
        wanted = [*self.asked.kept, *([self._reported] if self.asked.report else [])]
        for split in wanted:
            if split not in self._predictions.predictions:
                self._score(trainer, split, best or last)
        if recorder is not None and trainer.is_global_zero:
            self._write(recorder.folder, best or last)
            self._record(trainer, recorder, best, last, scores=scores, test_seconds=seconds)
            if "test" in (stage, *wanted):
                runs.note_test_use(recorder.folder, "fit")
            self._report(recorder.folder, best or last)
        return Closed(stage, scores, best, last)

    def _score(self, trainer: Trainer, stage: str, checkpoint: str | None) -> dict[str, float]:
        keeping = stage in self.asked.kept or (self.asked.report is not None and stage == self._reported)
        callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
        callbacks += [self._predictions] if keeping else []
        score = trainer.test if stage == "test" else trainer.validate
        scores = dict(score(self.model, datamodule=self.data, ckpt_path=checkpoint, verbose=False)[0])
        if keeping:
            callbacks.remove(self._predictions)
        return scores

    def _write(self, folder: Path, checkpoint: str | None) -> None:
        for split in self.asked.kept:
            found = self._predictions.predictions[split]
            found.write(folder / f"{split}_predictions.csv", **checkpoint_facts(Path(checkpoint or "")))

    def _record(
        self, trainer: Trainer, recorder: RunRecorder, best: str | None, last: str | None, **facts: Any
    ) -> None:
        """Writes what came of the run, for the commands that compare runs."""
        monitor, mode = (getattr(trainer.checkpoint_callback, name, None) for name in ("monitor", "mode"))
        recorder.finish(
            {"best": best, "last": last},
            monitor=monitor,
            mode=mode,
            best_epoch=self.history.best(monitor, mode or "min") if monitor else {},
            epochs=self.history.epochs,
            seconds=self.history.seconds,
            **facts,
        )

    def _report(self, folder: Path, checkpoint: str | None) -> None:
        if self.asked.report is None:
            return
        from fulmen.cli.report import report_after_fit

        predictions = self._predictions.predictions[self._reported]
        report_after_fit(self.asked.report, predictions, self.model, self.data, folder, checkpoint)

    def _stage(self, trainer: Trainer) -> str | None:
        """Which samples the best model is scored on."""
        if isinstance(self.data, SupervisedDataModule):
            limits = {"test": trainer.limit_test_batches, "val": trainer.limit_val_batches}
            return next((s for s, limit in limits.items() if s in self.data.datasets and limit), None)
        from lightning.pytorch.utilities.model_helpers import is_overridden

        has_data = any(is_overridden("test_dataloader", part) for part in (self.data, self.model) if part)
        return "test" if has_data and is_overridden("test_step", self.model) else None
