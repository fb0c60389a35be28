"""How a datamodule's samples are divided: by shares, groups, time, a column, a file, or folds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fulmen.core.errors import ConfigError, DataError, unknown
from fulmen.data.splits import SPLITS, assign, positions_by_key, positions_by_row

Rows = dict[str, NDArray[np.int64]]
SplitBy = str | dict[str, str] | None
"""``class``, ``random``, ``{group: COLUMN}``, ``{time: COLUMN}``, ``{column: COLUMN}``, ``{file: PATH}``, ``None``."""
_WAYS = ("group", "time", "column", "file")
_ALIASES = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


@dataclass(frozen=True)
class Samples:
    """What a split is made from: all samples of a datamodule but those to predict.

    Attributes:
        size: How many there are.
        labels: ``(size,)`` class of each, for shares that hold in every class.
        keys: Identity of each that stays when others are added anywhere (a path); ``None``: rows, which may be
            appended.
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
    is divided into so many parts of equal size; part ``fold`` validates, the others train.

    Attributes:
        val_fraction: Share of the validation split, in [0, 1).
        test_fraction: Share of the test split, in [0, 1).
        seed: Another seed gives another split.
        by: What decides (see :data:`SplitBy`).
        folds: How many folds; ``None``: none.
        fold: Which of them validates, from 0.
    """

    val_fraction: float = 0.15
    test_fraction: float = 0.15
    seed: int = 0
    by: SplitBy = None
    folds: int | None = None
    fold: int = 0

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            ConfigError: If one is out of range.
        """
        assign(np.empty(0), self.val_fraction, self.test_fraction)
        if isinstance(self.by, dict):
            if len(self.by) != 1 or next(iter(self.by)) not in _WAYS:
                raise ConfigError(
                    f"split_by: {self.by} is not allowed; write one of {{{': ...}, {'.join(_WAYS)}: ...}}"
                )
        elif self.by not in (None, "class", "random"):
            raise ConfigError(
                f"split_by: {self.by!r} is not allowed; write class, random, or a mapping such as {{group: COLUMN}}"
            )
        if self.folds is not None and self.folds < 2:
            raise ConfigError(f"folds: {self.folds} is out of range; allowed: at least 2")
        if self.fold < 0 or self.fold >= (self.folds or 1):
            raise ConfigError(f"fold: {self.fold} is out of range; allowed: 0 to {(self.folds or 1) - 1}")

    def __call__(self, samples: Samples) -> Rows:
        """The rows of each split, in order.

        Args:
            samples: What is to be divided.

        Raises:
            ConfigError: If it is to be divided by something that the samples do not have.
            DataError: If a column or a file cannot be used.
        """
        given = np.full(samples.size, "", dtype="<U5") if samples.given is None else samples.given.astype("<U5")
        way, name = next(iter(self.by.items())) if isinstance(self.by, dict) else (None, "")
        if way == "column":
            given = self._from_column(samples, name)
        elif way == "file":
            given = self._from_file(samples, Path(name), given)
        positions = self._positions(samples, way, name)
        sides = self._divide(given, positions, known=way != "file")
        if self.folds is not None:
            sides = self._fold(sides, positions, by_time=way == "time")
        return {split: np.flatnonzero(sides == split) for split in SPLITS}

    def _positions(self, samples: Samples, way: str | None, name: str) -> NDArray[np.float64]:
        """A number in [0, 1) for each sample: the small ones test, then come those that validate."""
        if way == "time":
            return self._by_time(samples, name)
        if way == "group":
            return self._by_group(samples, name)
        if samples.keys is not None:
            return positions_by_key(samples.keys, self.seed)
        labels = samples.labels
        if self.by == "class" and labels is None:
            raise ConfigError("split_by: the targets are no classes; write `split_by: random`, or leave it out")
        if self.by == "random" or labels is None:
            labels = np.zeros(samples.size, np.int64)
        return positions_by_row(labels, self.seed)

    def _by_time(self, samples: Samples, name: str) -> NDArray[np.float64]:
        """The newest come first; equal times stay together."""
        times = _values(samples, name)
        missing = times != times if times.dtype.kind == "f" else np.isnat(times) if times.dtype.kind in "mM" else None
        if missing is not None and missing.any():
            raise DataError(
                f"split_by: {int(missing.sum())} samples have no time in column {name!r}, the first is row "
                f"{int(np.flatnonzero(missing)[0])}"
            )
        _, number, counts = np.unique(times, return_inverse=True, return_counts=True)
        older = np.concatenate([[0], np.cumsum(counts)[:-1]])
        newest: NDArray[np.float64] = 1 - (older + counts)[number.ravel()] / max(samples.size, 1)
        return newest

    def _by_group(self, samples: Samples, name: str) -> NDArray[np.float64]:
        """One number for all samples of a group."""
        groups, first, number = np.unique(_values(samples, name).astype(str), return_index=True, return_inverse=True)
        if samples.keys is not None:
            return positions_by_key([str(g) for g in groups], self.seed)[number.ravel()]
        order = first.argsort()  # groups in the order in which they appear: appended ones come last
        labels = np.zeros(len(groups), np.int64) if samples.labels is None else samples.labels[first[order]]
        positions = np.empty(len(groups))
        positions[order] = positions_by_row(labels, self.seed)
        return positions[number.ravel()]

    def _from_column(self, samples: Samples, name: str) -> NDArray[np.str_]:
        values = _values(samples, name).astype(str)
        for value in np.unique(values):
            if value.lower() not in _ALIASES:
                raise DataError(f"split_by: column {name!r} holds {unknown('split', value, SPLITS)}")
        return np.array([_ALIASES[v.lower()] for v in values], dtype="<U5")

    def _from_file(self, samples: Samples, path: Path, given: NDArray[np.str_]) -> NDArray[np.str_]:
        written = read_split(path)
        keys = samples.keys if samples.keys is not None else [str(i) for i in range(samples.size)]
        return np.array([written.get(k, g) for k, g in zip(keys, given, strict=True)], dtype="<U5")

    def _divide(self, given: NDArray[np.str_], positions: NDArray[np.float64], known: bool) -> NDArray[np.str_]:
        """The split of each sample; ``known``: what the data give for some holds for the kind of split at all."""
        has = {split: known and bool((given == split).any()) for split in SPLITS}
        test_fraction = 0.0 if has["test"] or has["val"] or has["train"] else self.test_fraction
        val_fraction = 0.0 if has["val"] else self.val_fraction
        rows = assign(positions, val_fraction, test_fraction)
        sides = given.copy()
        for split, found in rows.items():
            # what is given as training may still validate, where the data give no validation samples
            free = (given[found] == "") | ((given[found] == "train") & (split == "val") & known)
            sides[found[free]] = split
        return sides

    def _fold(self, sides: NDArray[np.str_], positions: NDArray[np.float64], by_time: bool) -> NDArray[np.str_]:
        assert self.folds is not None
        pool = np.flatnonzero(sides != "test")
        order = pool[np.argsort(positions[pool], kind="stable")]
        groups = np.unique(positions[order], return_inverse=True)[1].ravel()
        part = np.empty(len(order), np.int64)
        start = np.searchsorted(groups, groups)  # samples of one group stay in one fold
        if by_time:  # validation follows training: the newest part is the last fold, the oldest only trains
            part = self.folds - 1 - start * (self.folds + 1) // max(len(order), 1)
            train = order[part < self.fold]
        else:
            part = start * self.folds // max(len(order), 1)
            train = order[part != self.fold]
        result = np.where(sides == "test", "test", "")
        result = result.astype("<U5")
        result[train] = "train"
        result[order[part == self.fold]] = "val"
        return result


def read_split(path: Path) -> dict[str, str]:
    """Reads what :func:`write_split` wrote: the split of each sample by its name.

    Raises:
        DataError: If there is no such file, or it is no split.
    """
    import pyarrow as pa
    from pyarrow import csv

    if not path.is_file():
        raise DataError(f"split_by: there is no file {str(path)!r} (from {Path.cwd()})")
    types = {"sample": pa.string(), "split": pa.string()}
    try:
        table = csv.read_csv(path, convert_options=csv.ConvertOptions(column_types=types, include_columns=[*types]))
    except (pa.ArrowInvalid, KeyError) as error:
        raise DataError(f"split_by: {path} is no split (columns sample,split): {error}") from error
    found = dict(zip(table["sample"].to_pylist(), table["split"].to_pylist(), strict=True))
    wrong = next((v for v in found.values() if v not in SPLITS), None)
    if wrong is not None:
        raise DataError(f"split_by: {path} holds {unknown('split', str(wrong), SPLITS)}")
    return found


def write_split(path: Path, names: dict[str, Sequence[object]]) -> None:
    """Writes which sample is in which split, as CSV with the columns ``sample`` and ``split``.

    Args:
        path: The file.
        names: Name of each sample, by split.
    """
    import pyarrow as pa
    from pyarrow import csv

    samples = [str(name) for split in names for name in names[split]]
    splits = [split for split in names for _ in names[split]]
    csv.write_csv(pa.table({"sample": samples, "split": splits}), path)


def _values(samples: Samples, name: str) -> NDArray[Any]:
    if samples.column is None:
        raise ConfigError(f"split_by: these data have no columns, and so no {name!r}; write class or random")
    return samples.column(name)
