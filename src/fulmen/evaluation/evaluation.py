"""Everything that is known of how good a model is on some samples."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fulmen.core.errors import ConfigError, unknown
from fulmen.evaluation.baseline import constant
from fulmen.evaluation.bootstrap import Interval, intervals
from fulmen.evaluation.curves import confusion, reliability
from fulmen.evaluation.metrics import HEADLINE, higher_is_better, per_class, scores, undefined
from fulmen.evaluation.predictions import Predictions
from fulmen.evaluation.slices import Slice, make_slices
from fulmen.evaluation.worst import Mistake, worst

METRICS = "metrics.json"
_SOMETIMES = ("per_class.csv", "confusion.csv", "slices.csv")
_MEASURED_WITH = ("fulmen", "torch", "lightning", "torchmetrics", "numpy", "scipy")


@dataclass(frozen=True)
class Evaluation:
    """Scores of predictions, with all that a report says of them.

    Attributes:
        predictions: ``N`` samples.
        intervals: Headline metric -> value and 95 % interval.
        per_class: Class or label -> its own metrics.
        undefined: Headline metrics that are not defined for these samples, and why.
        baseline: Metrics of giving every sample the same answer; see :func:`constant`.
        slices: Parts of the samples.
        mistakes: The worst predictions.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.
    """

    predictions: Predictions
    intervals: dict[str, Interval]
    per_class: dict[str, dict[str, float]]
    undefined: dict[str, str]
    baseline: dict[str, float]
    slices: list[Slice]
    mistakes: list[Mistake]
    resamples: int
    seed: int

    @classmethod
    def of(
        cls,
        predictions: Predictions,
        columns: Mapping[str, NDArray[Any]] | None = None,
        resamples: int = 1000,
        samples: int = 24,
        seed: int = 0,
    ) -> Self:
        """Evaluates predictions.

        Args:
            predictions: At least one.
            columns: Name -> values ``(N,)``, by which they are divided into slices.
            resamples: Of the bootstrap.
            samples: How many of the worst predictions are wanted.
            seed: Of the bootstrap.

        Raises:
            ConfigError: If a number is out of range.
            DataError: If there is no sample, or a prediction is not a number.
        """
        if samples < 0:
            raise ConfigError(f"samples: {samples} is out of range; allowed: at least 0")
        metric = HEADLINE[predictions.task]
        better = higher_is_better(metric)
        found = intervals(predictions, resamples, seed)
        return cls(
            predictions,
            found,
            per_class(predictions),
            undefined(predictions),
            scores(constant(predictions)),
            make_slices(predictions, columns or {}, metric, better, resamples, seed),
            worst(predictions, samples),
            resamples,
            seed,
        )

    @property
    def headline(self) -> str:
        """The metric that is said first."""
        return HEADLINE[self.predictions.task]

    @cached_property
    def scores(self) -> dict[str, float]:
        """Headline metric -> value."""
        return {name: found.value for name, found in self.intervals.items()}

    def __getitem__(self, metric: str) -> Interval:
        if metric not in self.intervals:
            raise ConfigError(unknown("metric", metric, self.intervals))
        return self.intervals[metric]

    def answer(self) -> str:
        """How good the model is, in one sentence."""
        p, found = self.predictions, self.intervals[self.headline]
        count, base = f"{len(p):,} {_SPLITS.get(p.split, p.split)} samples", self.baseline[self.headline]
        if p.task == "regression":
            several = f", over {len(p.names)} values" if len(p.names) > 1 else ""
            return (
                f"On average, predictions of {count} are off by {found.value:.4g} (95 % interval {found.low:.4g} to "
                f"{found.high:.4g}){several}; always saying the mean would be off by {base:.4g}."
            )
        if p.task == "multilabel":
            exact = self.intervals["exact_match"]
            return (
                f"Over {len(p.names)} labels the mean F1 on {count} is {found.value:.3f} (95 % interval "
                f"{found.low:.3f} to {found.high:.3f}); giving every sample every label would reach {base:.3f}. All "
                f"labels are right for {100 * exact.value:.1f} % of them ({100 * exact.low:.1f} to "
                f"{100 * exact.high:.1f} %)."
            )
        common = p.names[int(np.bincount(p.targets, minlength=len(p.names)).argmax())]
        return (
            f"{100 * found.value:.1f} % of {count} are right (95 % interval {100 * found.low:.1f} to "
            f"{100 * found.high:.1f} %); always saying the commonest class, {common}, would be right for "
            f"{100 * base:.1f} %."
        )

    def metrics(self) -> dict[str, Any]:
        """All of it in JSON's types."""
        p = self.predictions
        found: dict[str, Any] = {
            "task": p.task,
            "split": p.split,
            "samples": len(p),
            "names": p.names,
            "headline": self.headline,
            "metrics": {name: asdict(value) for name, value in self.intervals.items()},
            "undefined": self.undefined,
            "baseline": self.baseline,
            "interval": {"level": 0.95, "resamples": self.resamples, "seed": self.seed, "method": "percentile"},
            "slices": [asdict(part) | {"scores": dict(part.scores)} for part in self.slices],
            "versions": {name: version(name) for name in _MEASURED_WITH},
        }
        if p.task != "regression":
            bins = reliability(p)
            found["per_class"] = self.per_class
            found["calibration"] = [
                {"confidence": confidence, "accuracy": accuracy, "samples": count}
                for confidence, accuracy, count in zip(
                    bins.confidence.tolist(), bins.accuracy.tolist(), bins.samples.tolist(), strict=True
                )
                if count
            ]
        if p.task in ("multiclass", "binary"):
            found["confusion"] = confusion(p).tolist()
        return found

    def write(self, folder: Path | str, **facts: Any) -> Path:
        """Writes ``metrics.json``, the tables as CSV, and the predictions.

        Args:
            folder: Made if it is missing.
            **facts: What else ``metrics.json`` and the predictions' JSON are to hold, such as the checkpoint.

        Returns:
            The folder.

        Raises:
            ConfigError: If it cannot be written.
        """
        folder, p = Path(folder), self.predictions
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in _SOMETIMES:  # of an earlier report, which had them
                (folder / name).unlink(missing_ok=True)
            p.write(folder / "predictions.csv", **facts)
            (folder / METRICS).write_text(json.dumps(_finite({**self.metrics(), **facts}), indent=2) + "\n")
            _write_csv(folder / "mistakes.csv", ["sample", "loss", "target", "prediction", "probability"], [
                [m.sample, m.loss, m.target, m.prediction, m.probability] for m in self.mistakes
            ])  # fmt: skip
            if self.per_class:
                head = ["precision", "recall", "f1", "support", "auroc", "average_precision"]
                rows = [[name, *(values.get(key) for key in head)] for name, values in self.per_class.items()]
                _write_csv(folder / "per_class.csv", ["class", *head], rows)
            if p.task in ("multiclass", "binary"):
                matrix = confusion(p).tolist()
                rows = [[name, *row] for name, row in zip(p.names, matrix, strict=True)]
                _write_csv(folder / "confusion.csv", ["target \\ prediction", *p.names], rows)
            if self.slices:
                self._write_slices(folder / "slices.csv")
        except OSError as error:
            raise ConfigError(f"out: {str(folder)!r} cannot be written ({error})") from error
        return folder

    def _write_slices(self, path: Path) -> None:
        names = list(self.intervals)
        rows = []
        for part in self.slices:
            ends = [None, None] if part.interval is None else [part.interval.low, part.interval.high]
            differs = "worse" if part.worse else "better" if part.better else ""
            facts = [part.column, part.value, part.samples, part.baseline, *ends, differs]
            rows.append([*facts, *(part.scores.get(name) for name in names)])
        low, high = f"{self.headline}_low", f"{self.headline}_high"
        _write_csv(path, ["column", "value", "samples", "baseline", low, high, "differs", *names], rows)


_SPLITS = {"val": "validation", "train": "training"}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_csv(path: Path, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows(rows)
