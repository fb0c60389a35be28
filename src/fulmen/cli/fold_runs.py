"""Folds as runs of `fit`, one after the other or several at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from fulmen.cli import runs
from fulmen.cli.fitting import Fitted, fit_run
from fulmen.cli.fold_folders import clear
from fulmen.cli.processes import shared_cores
from fulmen.core.errors import ConfigError, FulmenError, message
from fulmen.data.split_files import read_split
from fulmen.evaluation import Predictions
from fulmen.workflows.cross_validation import named_as_split
from fulmen.workflows.fold_plan import Fold, Plan
from fulmen.workflows.fold_results import CrossValidation, FoldResult
from fulmen.workflows.memory import give_back_gpu

_PREDICTIONS = "test_predictions.csv"


@dataclass(frozen=True)
class FoldRuns:
    """Trains what is not trained yet.

    Attributes:
        folder: Of the cross-validation.
        arguments: What `fit` is given for every fold.
        plan: All folds.
        jobs: How many are trained at once, each in a process of its own.
        isolated: Whether each is trained in a process of its own, also alone.
    """

    folder: Path
    arguments: Sequence[str]
    plan: Plan
    jobs: int = 1
    isolated: bool = False

    def __call__(self) -> Iterator[tuple[Fold, FoldResult | str, bool]]:
        """Each fold as it is there: what came of it, or why nothing did, and whether it was trained before.

        Raises:
            ConfigError: If `fit` refuses the config, which it would do for every fold.
        """
        missing = []
        for fold in self.plan:
            if finished(self.folder / self.plan.name(fold)):
                yield fold, self._read(fold), True
            else:
                missing.append(fold)
        if self.jobs == 1:
            for fold in missing:
                yield fold, self._train(fold), False
            return
        with shared_cores(self.jobs), ThreadPoolExecutor(self.jobs) as pool:
            waiting = {pool.submit(self._train, fold): fold for fold in missing}
            try:
                for done in as_completed(waiting):
                    yield waiting[done], done.result(), False
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def of_fold(self, fold: Fold) -> list[str]:
        """What `fit` is given for a fold."""
        options = {"folds": self.plan.folds, **fold.options}
        if self.plan.repeats == 1:
            del options["fold_repeat"]
        keys = [part for name, value in options.items() for part in (f"--data.{name}", str(value))]
        return [*self.arguments, *keys, "--test_after_fit", "true", "--keep_predictions", "[test]"]

    def _train(self, fold: Fold) -> FoldResult | str:
        folder = clear(self.folder / self.plan.name(fold))
        try:
            fit_run(self.of_fold(fold), folder, isolated=self.isolated or self.jobs > 1)
        except ConfigError:
            raise
        except Exception as error:  # one fold that fails leaves the others
            return reason(error)
        finally:
            give_back_gpu()
        return self._read(fold)

    def _read(self, fold: Fold) -> FoldResult | str:
        try:
            return read_fold(self.folder / self.plan.name(fold), fold, self.plan.name(fold))
        except Exception as error:
            return reason(error)

    @property
    def has_final(self) -> bool:
        """Whether the run on everything came to its end before."""
        return (self.folder / "final" / runs.RECORD).is_file()

    def final(self, found: CrossValidation) -> Fitted:
        """Trains on all but the data's own test samples, for as many epochs as were best in the folds.

        Args:
            found: What came of the folds.
        """
        folder = self.folder / "final"
        if self.has_final:
            return Fitted.read(folder)
        options = {
            "--data.folds": str(self.plan.folds),
            "--data.fold_as": "train",
            "--early_stopping": "null",
            "--checkpoint": "{monitor: null}",
            "--trainer.callbacks+": "fulmen.callbacks.stopping.StopAfter",
            "--trainer.callbacks.epochs": str(found.epochs),
            "--test_after_fit": "false",
            "--keep_predictions": "[]",
        }
        typed = [f"{name}={value}" for name, value in options.items()]
        return fit_run([*self.arguments, *typed], clear(folder), isolated=self.isolated)


def finished(folder: Path) -> bool:
    """Whether a fold came to its end: its record is written last."""
    return all((folder / name).is_file() for name in (runs.RECORD, _PREDICTIONS, "split.csv"))


def read_fold(folder: Path, fold: Fold, name: str) -> FoldResult:
    """What came of a fold.

    Args:
        folder: Of its run.
        fold: Which one.
        name: What it is called.

    Raises:
        DataError: If its predictions cannot be used, as after a training that diverged.
    """
    fitted = Fitted.read(folder)
    predictions = named_as_split(Predictions.read(folder / _PREDICTIONS), folder / "split.csv")
    sides = read_split(folder / "split.csv")["split"].to_pylist()
    return FoldResult.of(
        fold,
        name,
        predictions,
        train=sides.count("train"),
        val=sides.count("val"),
        epochs=fitted.epochs,
        best_epoch=int(fitted.best_epoch.get("epoch", fitted.epochs - 1)),
        seconds=fitted.seconds,
        history=_history(folder / "metrics.csv"),
    )


def _history(file: Path) -> list[dict[str, float]]:
    """Logged values of each epoch, where they were written as CSV."""
    import csv

    epochs: dict[str, dict[str, float]] = {}
    if file.is_file():
        with file.open(newline="") as lines:
            for line in csv.DictReader(lines):
                values = {
                    key: float(value) for key, value in line.items() if value and key.startswith(("train/", "val/"))
                }
                epochs.setdefault(line.get("epoch") or "", {}).update(values)
    epochs.pop("", None)
    return [{"epoch": float(epoch), **values} for epoch, values in epochs.items()]


def reason(error: BaseException) -> str:
    """Why a fold failed, in one paragraph."""
    return message(error) if isinstance(error, FulmenError) else f"{type(error).__name__}: {error}"
