"""How a training went, and what its curves say."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fulmen.core.errors import DataError

Kind = Literal["overfitting", "underfitting", "neither", "unknown"]

GAP = 0.15
"""A loss of validation that is above that of training by more than this share of chance: overfitting."""
RISE = 0.1
"""The same of a validation loss that rises again, while that of training falls."""
LEARNED = 0.1
"""A training loss that is below chance by less than this share of it: underfitting."""
MOVING = 0.03
"""A validation loss that falls by more than this share of chance in the last fifth of the epochs: stopped too early."""
_FEWEST = 3


@dataclass(frozen=True)
class Curves:
    """What a run logged, an epoch a value; what was not logged is not a number.

    Attributes:
        epochs: ``(E,)``, from 0, ascending.
        values: Logged name, such as ``val/loss``, -> ``(E,)``.
    """

    epochs: NDArray[np.int64]
    values: Mapping[str, NDArray[np.float64]]

    @classmethod
    def read(cls, path: Path) -> Curves:
        """Reads the ``metrics.csv`` of Lightning's ``CSVLogger``: the newest value of each name in each epoch.

        Raises:
            DataError: If it is no such file.
        """
        rows: dict[int, dict[str, float]] = {}
        with path.open(newline="") as file:
            for line in csv.DictReader(file):
                try:
                    found = rows.setdefault(int(line["epoch"]), {}) if line.get("epoch") else {}
                    found |= {n: float(v) for n, v in line.items() if v and n not in ("epoch", "step")}
                except (KeyError, TypeError, ValueError) as error:
                    raise DataError(f"{path} is no table of Lightning's CSVLogger: {error}") from error
        return cls.of(rows)

    @classmethod
    def of(cls, rows: Mapping[int, Mapping[str, float]]) -> Curves:
        """Curves of epoch -> logged name -> value; what is logged after the training (a closing test) is left out."""
        trained = [epoch for epoch, row in rows.items() if any(name.startswith("train/") for name in row)]
        epochs = sorted(trained or rows)
        names = dict.fromkeys(name for epoch in epochs for name in rows[epoch])
        values = {name: np.array([rows[e].get(name, np.nan) for e in epochs], np.float64) for name in names}
        return cls(np.array(epochs, np.int64), values)

    def best(self, monitor: str = "val/loss", mode: str = "min") -> int | None:
        """The place of the epoch in which a value was best, the first of equals; ``None`` where it was not logged."""
        values = self.values.get(monitor)
        if values is None or np.isnan(values).all():
            return None
        return int((np.nanargmin if mode == "min" else np.nanargmax)(values))


@dataclass(frozen=True)
class Verdict:
    """What the curves say.

    Attributes:
        kind: ``overfitting``, ``underfitting``, ``neither``, or ``unknown``.
        sentence: The same for readers, with the numbers that it rests on.
    """

    kind: Kind
    sentence: str


def verdict(curves: Curves, chance: float | None = None) -> Verdict:
    """Whether a training learned too much by heart, too little, or neither.

    Everything is measured in shares of the loss of chance, from the losses of the epoch with the lowest validation loss
    and of the last one. In this order:

    - *overfitting*, if validation is above training by more than :data:`GAP` at its best; or at the end, or if it rose
      by more than :data:`RISE` since its best epoch, while training fell;
    - *underfitting*, if training is below chance by less than :data:`LEARNED`, or if the last epoch is the best one and
      validation still fell by more than :data:`MOVING` in the last fifth of the epochs;
    - *neither* else.

    Losses of training are means over an epoch in which the weights still change, with dropout and augmentation: they
    look worse than they are, so that a gap is rather under- than overstated.

    Args:
        curves: With ``train/loss`` and ``val/loss``.
        chance: The loss of always giving the shares of the classes, or the mean of the values; ``None``: the highest
            loss of the first epoch stands for it.
    """
    train, val = curves.values.get("train/loss"), curves.values.get("val/loss")
    if train is None or val is None:
        lacking = "training" if train is None else "validation"
        return Verdict(
            "unknown", f"No {lacking} loss was logged, so that nothing can be said of over- or underfitting."
        )
    both = np.isfinite(train) & np.isfinite(val)
    if not both.any():
        return Verdict("unknown", "The losses are not finite: the training diverged. Lower the learning rate.")
    train, val, epochs = train[both], val[both], curves.epochs[both] + 1
    start = max(train[0], val[0]) if chance is None else chance
    best, last = int(val.argmin()), len(val) - 1
    against = f"chance is {start:.3g}" if chance is not None else f"it began at {start:.3g}"
    gap, rise = (val[best] - train[best]) / start, (val[last] - val[best]) / start
    if gap > GAP:
        return Verdict(
            "overfitting",
            f"Overfitting: at its best, in epoch {epochs[best]}, the validation loss is {val[best]:.3g} and the "
            f"training loss {train[best]:.3g} ({against}): the model knows its training samples better than others. "
            "More data, augmentation, dropout, weight decay or a smaller model help.",
        )
    apart = (val[last] - train[last]) / start
    if train[last] < train[best] and (rise > RISE or apart > GAP):
        return Verdict(
            "overfitting",
            f"Overfitting from epoch {epochs[best]} on: since then the validation loss went from {val[best]:.3g} to "
            f"{val[last]:.3g} while the training loss fell from {train[best]:.3g} to {train[last]:.3g} ({against}). "
            f"A checkpoint of epoch {epochs[best]} does not suffer from it; early stopping saves the time.",
        )
    if 1 - train.min() / start < LEARNED:
        return Verdict(
            "underfitting",
            f"Underfitting: after {_epochs(len(val))} the training loss is {train[last]:.3g}, hardly below where it "
            f"would be without learning ({against}). Train longer, with a higher learning rate or a larger model; or "
            "the inputs say no more about the targets.",
        )
    before = last - max(1, (last + 1) // 5)
    if best == last and before >= 0 and (val[before] - val[last]) / start > MOVING:
        return Verdict(
            "underfitting",
            f"Underfitting: the training ended while it still improved. From epoch {epochs[before]} to "
            f"{epochs[last]} the validation loss fell from {val[before]:.3g} to {val[last]:.3g} ({against}). Train "
            "longer, or with a higher learning rate.",
        )
    if len(val) < _FEWEST:
        return Verdict("unknown", f"{_epochs(len(val))} are too few to tell over- from underfitting.")
    return Verdict(
        "neither",
        f"Neither over- nor underfitting: at its best, in epoch {epochs[best]} of {len(val)}, the validation loss is "
        f"{val[best]:.3g}, {'close to' if val[best] > train[best] else 'not above'} the training loss of "
        f"{train[best]:.3g} ({against}), and it ended at {val[last]:.3g}.",
    )


def _epochs(count: int) -> str:
    return "1 epoch" if count == 1 else f"{count} epochs"
