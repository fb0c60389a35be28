"""How a datamodule's samples are divided: by shares, groups, time, a column, a file, or folds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fulmen.core.errors import ConfigError, DataError, unknown
from fulmen.data.folds import folds_by_time, stratified_folds
from fulmen.data.inner_splits import newest, part_of_training
from fulmen.data.split_columns import as_groups, as_times
from fulmen.data.split_files import read_split, sides_from_file
from fulmen.data.splits import SPLITS, assign, positions_by_key, positions_by_row

Rows = dict[str, NDArray[np.int64]]
SplitBy = str | dict[str, str] | None
"""``class``, ``random``, ``{group: COLUMN}``, ``{time: COLUMN}``, ``{column: COLUMN}``, ``{file: PATH}``, ``None``."""
FoldAs = Literal["val", "test", "train"]
"""What the fold does: it validates; it tests, and validates nothing; it trains with all the others."""
_WAYS = ("group", "time", "column", "file")
_ALIASES = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_NONE, _TRAIN, _VAL, _TEST = range(4)
"""A sample's side, as a number: one byte a sample where names would take 20."""
Sides = NDArray[np.int8]


@dataclass(frozen=True)
class Samples:
    """What a split is made from: all samples of a datamodule but those to predict.

    Attributes:
        size: How many there are.
        labels: ``(size,)`` class of each, for shares that hold in every class.
        keys: Identity of each that stays when others are added anywhere (a path); equal ones stay on one side.
            ``None``: row numbers, with which samples may be appended alone.
        given: ``(size,)`` the split that the data themselves say (folders, files), or ``""``.
        column: Values ``(size,)`` of a column by its name; raises :class:`DataError` for a name that is none.
    """

    size: int
    labels: NDArray[Any] | None = None
    keys: Sequence[str] | None = None
    given: NDArray[np.str_] | None = None
    column: Callable[[str], NDArray[Any]] | None = None


@dataclass(frozen=True)
class Splitting:
    """Divides samples.

    Test samples are those that the data give, or ``test_fraction`` of all where the data give none at all.
    Validation samples are those that the data give, or ``val_fraction``. With ``folds``, what is no test sample
    is divided into so many parts of equal size; part ``fold`` validates, the others train. A fold that tests is scored,
    and has no say in the training: ``val_fraction`` of the samples that would train validate, divided in the same way
    (by class, whole groups, the newest); the test samples that the data had are in no split.

    Samples that are added move no old one to another side: by class and at random, appended rows, and samples
    with keys wherever they are added; by group, samples of old and of new groups alike (with keys, wherever; with
    rows, appended). By time it cannot be so, since newer samples make the old ones older: the ``split.csv`` of an
    earlier run keeps them (``by={"file": ...}``). Folds are of equal size instead, and are drawn anew.

    Attributes:
        val_fraction: Share of the validation split, in [0, 1).
        test_fraction: Share of the test split, in [0, 1).
        seed: Another seed gives another split.
        by: What decides (see :data:`SplitBy`).
        folds: How many folds; ``None``: none.
        fold: Which of them validates, from 0.
        fold_as: What this fold does, ``val``, ``test`` or ``train``.
        fold_repeat: Another number draws other folds; the test samples stay.
    """

    val_fraction: float = 0.15
    test_fraction: float = 0.15
    seed: int = 0
    by: SplitBy = None
    folds: int | None = None
    fold: int = 0
    fold_as: FoldAs = "val"
    fold_repeat: int = 0

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            ConfigError: If one is out of range.
        """
        assign(np.empty(0), self.val_fraction, self.test_fraction)
        if self.seed < 0:
            raise ConfigError(f"split_seed: {self.seed} is out of range; allowed: at least 0")
        if isinstance(self.by, dict):
            if len(self.by) != 1 or self._way not in _WAYS or not self._name:
                raise ConfigError(
                    f"split_by: {self.by} is not allowed; write one of {{{': ...}, {'.join(_WAYS)}: ...}}"
                )
        elif self.by not in (None, "class", "random"):
            raise ConfigError(
                f"split_by: {self.by!r} is not allowed; write class, random, or a mapping such as {{group: COLUMN}}"
            )
        self._check_folds()

    def _check_folds(self) -> None:
        if self.fold_as not in get_args(FoldAs):
            raise ConfigError(f"fold_as: {unknown('use', str(self.fold_as), get_args(FoldAs))}")
        if self.fold_repeat < 0:
            raise ConfigError(f"fold_repeat: {self.fold_repeat} is out of range; allowed: at least 0")
        if self.fold_repeat and self._way == "time":
            raise ConfigError("fold_repeat: folds by time follow from the times alone; leave it out")
        if self.folds is None:
            for name, value in (("fold", self.fold), ("fold_repeat", self.fold_repeat)):
                if value:
                    raise ConfigError(f"{name}: {value} needs folds, the number of all folds, such as 5")
            if self.fold_as != "val":
                raise ConfigError(f"fold_as: {self.fold_as!r} needs folds, the number of all folds, such as 5")
        elif self.folds < 2:
            raise ConfigError(f"folds: {self.folds} is out of range; allowed: at least 2")
        elif not 0 <= self.fold < self.folds:
            raise ConfigError(f"fold: {self.fold} is out of range; allowed: 0 to {self.folds - 1}")

    @property
    def _way(self) -> str | None:
        return next(iter(self.by)) if isinstance(self.by, dict) else None

    @property
    def _name(self) -> str:
        return next(iter(self.by.values())) if isinstance(self.by, dict) else ""

    def __call__(self, samples: Samples) -> Rows:
        """The rows of each split, in order. In folds by time, what is newer than the fold is in no split.

        Args:
            samples: What is to be divided.

        Raises:
            ConfigError: If it is to be divided by something that the samples do not have.
            DataError: If a column or a file cannot be used, or leaves a split empty that was asked for.
        """
        given = self._given(samples)
        positions = self._positions(samples, given)
        sides = self._divide(given, positions)
        if self._way == "file":
            sides = sides_from_file(read_split(Path(self._name)), samples.keys, given, sides)
        if self.folds is not None:
            sides = self._fold(sides, self._positions_in_folds(samples, given, positions), samples.labels)
        return {split: np.flatnonzero(sides == side) for side, split in enumerate(SPLITS, _TRAIN)}

    def _given(self, samples: Samples) -> Sides:
        """What the data say themselves of each sample."""
        if self._way == "column":
            return self._from_column(_values(samples, self._name))
        sides = np.zeros(samples.size, np.int8)
        if samples.given is not None:
            for side, split in enumerate(SPLITS, _TRAIN):
                sides[samples.given == split] = side
        return sides

    def _from_column(self, values: NDArray[Any]) -> Sides:
        found, number = as_groups(values, self._name, "split")
        splits = [_ALIASES.get(value.strip().lower(), "") for value in found]
        if "" in splits:
            wrong = splits.index("")
            row = int(np.flatnonzero(number == wrong)[0])
            raise DataError(f"split_by: column {self._name!r}, row {row}: {unknown('split', found[wrong], SPLITS)}")
        return np.array([SPLITS.index(split) + _TRAIN for split in splits], np.int8)[number]

    def _positions(self, samples: Samples, given: Sides) -> NDArray[np.float64]:
        """A number in [0, 1] for each sample: the small ones test, then come those that validate."""
        if self._way == "time":
            return self._by_time(as_times(_values(samples, self._name), self._name), given != _TEST)
        if self._way == "group":
            return self._by_group(samples)
        if self.by == "class" and samples.labels is None:
            raise ConfigError("split_by: the targets are no classes; write `split_by: random`, or leave it out")
        if samples.keys is not None:
            return positions_by_key(samples.keys, self.seed)
        if self.by == "random" or samples.labels is None:
            return positions_by_row(np.zeros(samples.size, np.int8), self.seed)
        return positions_by_row(samples.labels, self.seed)

    def _by_time(self, times: NDArray[np.generic], free: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The newest of the free samples come first; equal times stay together, where their middle is."""
        _, number, counts = np.unique(times[free], return_inverse=True, return_counts=True)
        newer = counts[::-1].cumsum()[::-1] - counts
        positions = np.ones(len(times))
        positions[free] = ((newer + counts / 2) / max(int(free.sum()), 1))[number.ravel()]
        return positions

    def _by_group(self, samples: Samples) -> NDArray[np.float64]:
        """One number for all samples of a group, which counts as of the class of its first sample."""
        names, number = as_groups(_values(samples, self._name), self._name)
        if samples.keys is not None:
            return positions_by_key(names, self.seed)[number]
        if samples.labels is None:
            return positions_by_row(np.zeros(len(names), np.int8), self.seed)[number]
        first = np.flatnonzero(np.diff(np.maximum.accumulate(number), prepend=-1))  # numbers rise as groups appear
        return positions_by_row(samples.labels[first], self.seed)[number]

    def _divide(self, given: Sides, positions: NDArray[np.float64]) -> Sides:
        """The side of each sample, without folds."""
        test_fraction = 0.0 if given.any() else self.test_fraction
        val_fraction = 0.0 if (given == _VAL).any() else self.val_fraction
        rows = assign(positions, val_fraction, test_fraction)
        sides = given.copy()
        sides[given == _NONE] = _TRAIN
        for side, name in ((_VAL, "val"), (_TEST, "test")):
            # what is given as training may still validate, where the data give no validation samples
            free = given[rows[name]] <= (_TRAIN if side == _VAL else _NONE)
            sides[rows[name][free]] = side
        asked = {_TEST: test_fraction}
        if self.folds is None:
            asked |= {_TRAIN: 1.0, _VAL: val_fraction}
        if self._way in ("group", "time"):
            self._check_shares(sides, asked, len(np.unique(positions[given != _TEST])))
        return sides

    def _check_shares(self, sides: Sides, asked: dict[int, float], units: int) -> None:
        """Where there are few groups or times, a split may get none of them."""
        for side, fraction in asked.items():
            if fraction and not (sides == side).any():
                split, what = SPLITS[side - _TRAIN], f"{self._way}s" if units != 1 else str(self._way)
                shares = "val_fraction and test_fraction" if side == _TRAIN else f"{split}_fraction"
                seed = ", another split_seed" if self._way == "group" else ""
                raise DataError(
                    f"split_by: there are {units} {what} in column {self._name!r}, and {split} gets none; choose "
                    f"another {shares} (0 where none is wanted){seed}, or divide by {{column: COLUMN}}"
                )

    def groups(self, samples: Samples) -> list[str]:
        """The groups of what is no test sample: with as many folds, the first is in fold 0, and so on.

        Args:
            samples: What is to be divided.

        Raises:
            ConfigError: If it is not divided by group.
            DataError: If the column cannot be used.
        """
        if self._way != "group":
            raise ConfigError("folds: a fold for each group needs `split_by: {group: COLUMN}`")
        given = self._given(samples)
        positions = self._positions(samples, given)
        pool = np.flatnonzero(replace(self, folds=2)._divide(given, positions) != _TEST)
        names, number = as_groups(_values(samples, self._name)[pool], self._name)
        if len(names) < 2:
            raise DataError(f"folds: column {self._name!r} holds {len(names)} group; a fold for each needs 2 at least")
        parts = stratified_folds(positions[pool], self._classes(samples.labels, pool), len(names))
        of_fold = dict(zip(parts.tolist(), number.tolist(), strict=True))
        return [names[of_fold[fold]] for fold in range(len(names))]

    def _classes(self, labels: NDArray[Any] | None, rows: NDArray[np.int64]) -> NDArray[Any] | None:
        return None if labels is None or self.by == "random" else labels[rows]

    def _positions_in_folds(
        self, samples: Samples, given: Sides, positions: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Positions of this repetition; those of the first one are what the test samples are drawn by."""
        if not self.fold_repeat:
            return positions
        seed = int(np.random.SeedSequence([self.seed, self.fold_repeat]).generate_state(1)[0])
        return replace(self, seed=seed)._positions(samples, given)

    def _fold(self, sides: Sides, positions: NDArray[np.float64], labels: NDArray[Any] | None) -> Sides:
        """All but the test samples in folds."""
        assert self.folds is not None
        pool = np.flatnonzero(sides != _TEST)
        if self.fold_as == "train":
            return np.where(sides == _TEST, sides, np.int8(_TRAIN))
        if self._way == "time":
            parts = folds_by_time(positions[pool], self.folds)
            trains = parts < self.fold
        else:
            parts = stratified_folds(positions[pool], self._classes(labels, pool), self.folds)
            trains = parts != self.fold
        kept = sides == _TEST if self.fold_as == "val" else np.False_
        result = np.where(kept, sides, np.int8(_NONE))
        result[pool[trains]] = _TRAIN
        result[pool[parts == self.fold]] = _VAL if self.fold_as == "val" else _TEST
        if self.fold_as == "test" and self.val_fraction:
            rows = pool[trains]
            result[rows[self._inner(positions[rows], self._classes(labels, rows))]] = _VAL
        return result

    def _inner(self, positions: NDArray[np.float64], classes: NDArray[Any] | None) -> NDArray[np.bool_]:
        """Which of the samples that a scored fold leaves validate."""
        if self._way == "time":
            return newest(positions, self.val_fraction)
        return part_of_training(positions, classes, self.val_fraction, [self.seed, self.fold_repeat, self.fold])


@dataclass(frozen=True)
class Watched(Splitting):
    """A splitting that keeps what it was asked to divide.

    Attributes:
        seen: What that was.
    """

    seen: list[Samples] = field(default_factory=list)

    def __call__(self, samples: Samples) -> Rows:
        """As :class:`Splitting`."""
        self.seen.append(samples)
        return super().__call__(samples)


def _values(samples: Samples, name: str) -> NDArray[Any]:
    if samples.column is None:
        raise ConfigError(f"split_by: these data have no columns, and so no {name!r}; write class or random")
    return samples.column(name)
