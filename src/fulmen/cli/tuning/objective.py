"""A trial is a run of `fit`."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fulmen.callbacks.pruning import DIVERGED, STOPPED, pruned_by
from fulmen.cli import runs
from fulmen.cli.fitting import Fitted, fit_run
from fulmen.cli.tuning.checking import options
from fulmen.cli.tuning.settings import Settings
from fulmen.core.errors import DataError, unknown
from fulmen.workflows.tuning import Attempt, Pruned, SearchError, SearchResult, TrialResult

TRIAL = "trial.json"


@dataclass(frozen=True)
class FitObjective:
    """Trains and scores what a trial is to try.

    Attributes:
        settings: Of the study.
        folder: Of the study.
    """

    settings: Settings
    folder: Path

    def __call__(self, attempt: Attempt) -> float:
        """The score of a trial: at the best epoch of its run, or the mean of the folds.

        Raises:
            Pruned: If it was stopped early.
            SearchError: If no trial could succeed.
            FulmenError: If this one cannot.
        """
        folder = trial_folder(self.folder, attempt.number)
        shutil.rmtree(folder, ignore_errors=True)  # of a study of the same name whose storage is gone
        try:
            if self.settings.folds is None:
                return self._on_split(attempt, folder)
            return self._on_folds(attempt, folder)
        except DataError as error:
            if any(key == "data" or key.startswith("data.") for key in attempt.values):
                raise
            raise SearchError(str(error)) from error  # all trials have these data

    def _on_split(self, attempt: Attempt, folder: Path) -> float:
        with self._pruning(attempt):
            fitted = self._fit([*options(attempt.values), "--test_after_fit=false"], folder)
        attempt.facts |= {"epochs": fitted.epochs, "training_seconds": round(fitted.seconds, 3)}
        self._raise_if_stopped(attempt)
        if not fitted.best_epoch:
            monitor = runs.read_record(folder).get("monitor")
            raise ValueError(f"{monitor} was no number in any epoch; did the training diverge?")
        attempt.facts["best_epoch"] = int(fitted.best_epoch.get("epoch", 0))
        return self._score(fitted.best_epoch, self.settings.metric)

    def _on_folds(self, attempt: Attempt, folder: Path) -> float:
        assert self.settings.folds is not None
        scores: list[float] = []
        metric = f"test/{self.settings.metric.rpartition('/')[2]}"
        attempt.facts |= {"epochs": 0, "training_seconds": 0.0, "folds": scores}
        for fold in range(self.settings.folds):
            data = {"data.folds": self.settings.folds, "data.fold": fold, "data.fold_as": "test"}
            fitted = self._fit(options({**attempt.values, **data, "test_after_fit": True}), folder / f"fold_{fold}")
            scores.append(self._score(fitted.scores, metric))
            attempt.facts["epochs"] += fitted.epochs
            attempt.facts["training_seconds"] = round(attempt.facts["training_seconds"] + fitted.seconds, 3)
            mean = math.fsum(scores) / len(scores)
            if math.isfinite(mean) and fold + 1 < self.settings.folds and self.settings.pruner != "none":
                attempt.report(mean, fold)
        return math.fsum(scores) / len(scores)

    def _fit(self, arguments: list[str], folder: Path) -> Fitted:
        return fit_run([*self.settings.arguments, *arguments], folder, self.settings.isolated)

    def _pruning(self, attempt: Attempt) -> contextlib.AbstractContextManager[None]:
        settings = self.settings
        if settings.pruner == "none" or attempt.trial is None:
            return contextlib.nullcontext()
        given = {"storage": settings.address(self.folder), "study": settings.name, "trial": attempt.trial._trial_id}
        when = {"pruner": settings.pruner, "after": settings.prune_after, "epochs": settings.epochs}
        return pruned_by({**given, **when, "monitor": settings.metric})

    def _raise_if_stopped(self, attempt: Attempt) -> None:
        if attempt.trial is None:
            return
        noted = attempt.trial.storage.get_trial(attempt.trial._trial_id).user_attrs  # its own are those it began with
        if DIVERGED in noted:
            raise ValueError(f"{self.settings.metric} was no number in epoch {noted[DIVERGED]}")
        if STOPPED in noted:
            attempt.facts["stopped_in_epoch"] = noted[STOPPED]
            raise Pruned

    def _score(self, logged: Mapping[str, float], metric: str) -> float:
        if metric not in logged:
            there = [name for name in logged if name.startswith(f"{metric.partition('/')[0]}/")]
            raise SearchError(f"metric: {unknown('metric', metric, there or logged, of='these runs')}")
        value = logged[metric]
        return math.nan if value is None else float(value)


def trial_folder(study: Path, number: int) -> Path:
    """The folder of a trial: a run's, or with a cross-validation one that holds runs."""
    return study / f"trial_{number}"


def describe_trial(study: Path, trial: TrialResult, settings: Settings) -> None:
    """Writes into a trial's folder what was tried and what came of it: ``trial.json``, and as part of ``run.json``."""
    folder = trial_folder(study, trial.number)
    if not folder.is_dir():  # of one whose score was known
        return
    facts: dict[str, Any] = {
        "study": settings.name,
        "trial": trial.number,
        "state": trial.state,
        "metric": settings.score,
        "mode": settings.mode,
        "value": trial.value,
        "values": dict(trial.values),
        "seconds": trial.seconds,
        **trial.facts,
        **({"reason": trial.reason} if trial.reason else {}),
    }
    (folder / TRIAL).write_text(json.dumps(facts, indent=2) + "\n")
    if (folder / runs.RECORD).is_file():
        runs.write_record(folder, **{**runs.read_record(folder), "trial": facts})


def forget_checkpoints(study: Path, found: SearchResult) -> None:
    """Removes the checkpoints of trials that have ended and are not the best."""
    best = found.ranked[0].number if found.ranked else None
    for other in found.of("complete", "pruned", "failed", "restarted"):
        if other.number != best:
            for checkpoints in trial_folder(study, other.number).glob(f"**/{runs.CHECKPOINTS}"):
                shutil.rmtree(checkpoints, ignore_errors=True)
