"""What came of a cross-validation: out-of-fold predictions, scores of the folds and of all samples together."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fulmen.core.errors import DataError
from fulmen.evaluation import Predictions
from fulmen.evaluation.bootstrap import Interval, intervals
from fulmen.evaluation.metrics import scores
from fulmen.workflows.fold_plan import Fold, Plan

PREDICTIONS = "oof_predictions.csv"
RECORD = "cross_validation.json"
_RANKED = ("auroc", "average_precision")


@dataclass(frozen=True)
class FoldResult:
    """A fold that was trained and scored.

    Attributes:
        fold: Which one.
        name: Of its folder.
        predictions: Of its scored samples, by the best checkpoint.
        scores: Their metrics.
        train: How many samples trained.
        val: How many validated.
        epochs: How many were trained.
        best_epoch: The epoch of the checkpoint that was scored, from 0; the last one where nothing validated.
        seconds: How long the training took.
        history: Logged values of each epoch, where they are known.
    """

    fold: Fold
    name: str
    predictions: Predictions
    train: int
    val: int
    epochs: int
    best_epoch: int
    seconds: float
    history: Sequence[Mapping[str, float]] = ()
    scores: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, fold: Fold, name: str, predictions: Predictions, **facts: Any) -> FoldResult:
        """Scores the predictions.

        Raises:
            DataError: If they are no numbers, as after a training that diverged.
        """
        return cls(fold, name, predictions, **facts, scores=scores(predictions))


@dataclass(frozen=True)
class Spread:
    """A metric over folds.

    Attributes:
        mean: Over the folds that define it.
        deviation: Standard deviation over them (of a sample: ``n - 1``); not a number of one fold.
        values: Of each fold; ``None`` where it is not defined.
    """

    mean: float
    deviation: float
    values: list[float | None]


@dataclass(frozen=True)
class CrossValidation:
    """What came of a cross-validation.

    Attributes:
        plan: All folds.
        folds: Those that were trained and scored.
        failed: Name -> why, of the others.
        predictions: Of all scored samples, by models that did not see them, with the columns ``repeat`` and ``fold``.
        scores: Metrics of all predictions together.
        intervals: The same with 95 % intervals; samples are drawn with all their repetitions, groups as a whole.
        spread: The metrics over folds.
    """

    plan: Plan
    folds: list[FoldResult]
    failed: dict[str, str]
    predictions: Predictions
    intervals: dict[str, Interval]
    spread: dict[str, Spread]

    @property
    def scores(self) -> dict[str, float]:
        """Metrics of all predictions together."""
        return {name: found.value for name, found in self.intervals.items()}

    @property
    def epochs(self) -> int:
        """How many epochs a training on all samples gets: the median of the folds' best ones."""
        return math.floor(float(np.median([result.best_epoch + 1 for result in self.folds])) + 0.5)

    def notes(self) -> list[str]:
        """What a reader must know of the numbers."""
        found = [
            "The deviation over folds says how much a score depends on who is in the fold. It is no standard error of "
            "the mean: folds share training samples (Bengio and Grandvalet 2004)."
        ]
        if any(name in self.intervals for name in _RANKED):
            found.append(
                "AUROC and average precision of all predictions together also compare samples that different models "
                "scored, whose probabilities need not be on one scale; where they differ from the mean over folds, "
                "trust the latter."
            )
        if self.plan.repeats > 1:
            found.append(
                f"Each sample was scored {self.plan.repeats} times; intervals draw samples with all their scores, so "
                "that repetitions do not pass for more data."
            )
        if self.plan.group_of is not None:
            found.append("Intervals draw whole groups: samples of a group are not independent of each other.")
        if self.plan.unscored:
            found.append(f"The oldest {self.plan.unscored:,} samples only train: nothing older is there to learn from.")
        if self.plan.held_out:
            found.append(
                f"{self.plan.held_out:,} samples are the data's own test split; they were in no fold, and nothing "
                "here has seen them."
            )
        if self.failed:
            found.append(f"Folds that failed are missing in all numbers: {', '.join(self.failed)}.")
        return found

    def record(self) -> dict[str, Any]:
        """All numbers, in JSON's types."""
        return {
            "folds": self.plan.folds,
            "repeats": self.plan.repeats,
            "split_by": self.plan.by,
            "task": self.predictions.task,
            "names": self.predictions.names,
            "samples": len(set(self.predictions.samples)),
            "held_out": self.plan.held_out,
            "unscored": self.plan.unscored,
            "complete": not self.failed and len(self.folds) == len(self.plan.sizes),
            "epochs": self.epochs,
            "pooled": {name: asdict(found) for name, found in self.intervals.items()},
            "over_folds": {name: _json(asdict(found)) for name, found in self.spread.items()},
            "runs": [row(result, self.plan) for result in self.folds],
            "failed": self.failed,
            "notes": self.notes(),
        }

    def write(self, folder: Path) -> None:
        """Writes ``oof_predictions.csv`` (and ``.json``), ``folds.csv`` and ``cross_validation.json``.

        Args:
            folder: Made if it is missing.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.predictions.write(folder / PREDICTIONS, folds=self.plan.folds, repeats=self.plan.repeats)
        rows = [row(result, self.plan) for result in self.folds]
        flat = [{**{k: v for k, v in r.items() if k != "scores"}, **r["scores"]} for r in rows]
        with (folder / "folds.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(key for line in flat for key in line)))
            writer.writeheader()
            writer.writerows(flat)
        (folder / RECORD).write_text(json.dumps(self.record(), indent=2) + "\n")


def row(result: FoldResult, plan: Plan) -> dict[str, Any]:
    """A fold as a row of a table.

    Args:
        result: The fold.
        plan: What it is one of.
    """
    group = {} if plan.groups is None else {"group": plan.groups[result.fold.fold]}
    return {
        "name": result.name,
        "repeat": result.fold.repeat,
        "fold": result.fold.fold,
        **group,
        "train": result.train,
        "val": result.val,
        "scored": len(result.predictions),
        "epochs": result.epochs,
        "best_epoch": result.best_epoch,
        "seconds": round(result.seconds, 3),
        "scores": result.scores,
    }


def gather(
    plan: Plan, folds: Sequence[FoldResult], failed: Mapping[str, str] | None = None, resamples: int = 1000
) -> CrossValidation:
    """Puts the predictions of all folds together, and scores them.

    Args:
        plan: All folds.
        folds: Those that were scored, one at least.
        failed: Name -> why, of the others.
        resamples: Of the bootstrap of the intervals.

    Raises:
        DataError: If no fold was scored.
    """
    if not folds:
        first: dict[str, str] = {}  # each reason once, with the first fold
        for name, why in (failed or {}).items():
            first.setdefault(why, name)
        said = "\n".join(f"  {name}: {why}" for why, name in first.items())
        raise DataError(f"no fold came to its end:\n{said}")
    ordered = sorted(folds, key=lambda result: result.fold)
    joined = Predictions.join([_with_fold(result) for result in ordered])
    return CrossValidation(
        plan=plan,
        folds=list(ordered),
        failed=dict(failed or {}),
        predictions=joined,
        intervals=intervals(joined, resamples, groups=_clusters(joined, plan)),
        spread=_spread(ordered, joined),
    )


def _with_fold(result: FoldResult) -> Predictions:
    count = len(result.predictions)
    numbers = {"repeat": np.full(count, result.fold.repeat), "fold": np.full(count, result.fold.fold)}
    return replace(result.predictions, columns={**numbers, **result.predictions.columns}, split="test")


def _clusters(joined: Predictions, plan: Plan) -> NDArray[Any] | None:
    """What is drawn as one: groups; else samples, where they are scored several times."""
    if plan.group_of is not None:
        return np.array([plan.group_of[sample] for sample in joined.samples])
    return np.array(joined.samples) if plan.repeats > 1 else None


def _spread(folds: Sequence[FoldResult], joined: Predictions) -> dict[str, Spread]:
    found = {}
    for name in scores(joined):
        values = [result.scores.get(name) for result in folds]
        defined = [value for value in values if value is not None]
        if defined:
            deviation = float(np.std(defined, ddof=1)) if len(defined) > 1 else math.nan
            found[name] = Spread(float(np.mean(defined)), deviation, values)
    return found


def _json(values: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
