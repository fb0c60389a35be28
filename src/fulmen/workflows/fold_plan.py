"""Which folds a cross-validation has, known before anything is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from fulmen.core.errors import ConfigError, DataError
from fulmen.data import SupervisedDataModule
from fulmen.data.split_columns import as_groups
from fulmen.data.splitting import Rows, Samples, Splitting

Folds = int | Literal["groups"]
"""How many folds; or one for each group."""


@dataclass(frozen=True, order=True)
class Fold:
    """One training and its score.

    Attributes:
        repeat: Which repetition, from 0.
        fold: Which fold is scored, from 0.
    """

    repeat: int
    fold: int

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of the data beside the number of folds."""
        return {"fold": self.fold, "fold_as": "test", "fold_repeat": self.repeat}


@dataclass(frozen=True)
class Plan:
    """All folds.

    Attributes:
        folds: How many there are of each repetition.
        repeats: How often all samples are scored, each time in other folds.
        task: Of the data's targets.
        sizes: Fold -> how many samples train, validate and are scored.
        held_out: How many samples are the data's own test split, and in no fold.
        unscored: How many more are scored by no fold: by time, the oldest part.
        by: What decides who is in a fold: ``class``, ``random``, ``group COLUMN``, ``time COLUMN``, ...
        groups: The group of each fold, where each has its own.
        group_of: The group of each sample by its name, where samples are grouped.
    """

    folds: int
    repeats: int
    task: str
    sizes: Mapping[Fold, Mapping[str, int]]
    held_out: int
    unscored: int
    by: str
    groups: list[str] | None = None
    group_of: Mapping[str, str] | None = None

    def __iter__(self) -> Any:
        return iter(self.sizes)

    def name(self, fold: Fold) -> str:
        """What its folder is called.

        >>> Plan(5, 1, "binary", {}, 0, 0, "class").name(Fold(0, 2))
        'fold_2'
        >>> Plan(5, 3, "binary", {}, 0, 0, "class").name(Fold(1, 2))
        'repeat_1_fold_2'
        """
        return f"fold_{fold.fold}" if self.repeats == 1 else f"repeat_{fold.repeat}_fold_{fold.fold}"


def plan_folds(data: Any, folds: Folds = 5, repeats: int = 1, stops: bool = True) -> Plan:
    """Divides the samples of all folds, so that whatever is wrong with that is known before the first training.

    Args:
        data: The datamodule, without folds of its own.
        folds: How many folds, 2 at least; ``groups``: each group of ``split_by: {group: COLUMN}`` is one.
        repeats: How often, each time with other folds, 1 at least.
        stops: Whether validation samples are needed, to stop the training or to choose a checkpoint.

    Raises:
        ConfigError: If the data cannot be divided so.
        DataError: If they are too few, or a column cannot be used.
    """
    _check(data, folds, repeats, stops)
    splitting, samples = data.splitting, data.split_samples()
    groups = splitting.groups(samples) if folds == "groups" else None
    count = len(groups) if groups is not None else int(folds)
    sizes: dict[Fold, dict[str, int]] = {}
    scored: Counter[int] = Counter()
    for repeat in range(repeats):
        for fold in range(count):
            rows = _rows(splitting, samples, Fold(repeat, fold), count)
            sizes[Fold(repeat, fold)] = {split: len(found) for split, found in rows.items()}
            scored[repeat] += len(rows["test"])
    own = len(replace(splitting, folds=count, fold_as="train")(samples)["test"])
    by = splitting.by if splitting.by is not None else "random" if samples.labels is None else "class"
    return Plan(
        folds=count,
        repeats=repeats,
        task=data.target_type,
        sizes=sizes,
        held_out=own,
        unscored=samples.size - own - scored[0],
        by=by if isinstance(by, str) else " ".join(next(iter(by.items()))),
        groups=groups,
        group_of=_groups(splitting, samples),
    )


def _check(data: Any, folds: Folds, repeats: int, stops: bool) -> None:
    if not isinstance(data, SupervisedDataModule):
        raise ConfigError(
            f"data: {type(data).__name__} is no SupervisedDataModule, and nothing else can be divided into folds; "
            "derive it from fulmen.data.SupervisedDataModule (whose `view` is a fold), or hand what it loads to "
            "ArrayData or DatasetData"
        )
    if folds != "groups" and (not isinstance(folds, int) or folds < 2):
        raise ConfigError(f"folds: {folds} is out of range; allowed: at least 2, or `groups` for one of each group")
    if repeats < 1:
        raise ConfigError(f"repeats: {repeats} is out of range; allowed: at least 1")
    splitting = data.splitting
    if splitting.folds is not None:
        raise ConfigError(
            f"data.folds: {splitting.folds} makes the data one fold of a cross-validation; leave out data.folds, "
            "data.fold, data.fold_as and data.fold_repeat, which cross-validation sets itself"
        )
    way = next(iter(splitting.by)) if isinstance(splitting.by, dict) else splitting.by
    if folds == "groups" and way != "group":
        raise ConfigError("folds: `groups` makes a fold of each group; say which: data.split_by: {group: COLUMN}")
    if repeats > 1 and (way == "time" or folds == "groups"):
        what = "by time" if way == "time" else "of one group each"
        raise ConfigError(f"repeats: folds {what} are the same each time; leave it out")
    if stops and not splitting.val_fraction:
        raise ConfigError(
            "data.val_fraction: 0 leaves no samples to stop the training by, or to choose a checkpoint, and the fold "
            "that is scored must not do it; give data.val_fraction, such as 0.15, or train a fixed number of epochs: "
            "early_stopping: null, checkpoint.monitor: null"
        )


def _rows(splitting: Splitting, samples: Samples, fold: Fold, folds: int) -> Rows:
    rows = replace(splitting, folds=folds, **fold.options)(samples)
    for split, needed in (("train", True), ("val", bool(splitting.val_fraction)), ("test", True)):
        if needed and not len(rows[split]):
            raise DataError(f"folds: fold {fold.fold} of {folds} leaves no sample for {split}; take fewer folds")
    return rows


def _groups(splitting: Splitting, samples: Samples) -> dict[str, str] | None:
    """The group of each sample by its name."""
    if not isinstance(splitting.by, dict) or "group" not in splitting.by or samples.column is None:
        return None
    column = splitting.by["group"]
    names, number = as_groups(samples.column(column), column)
    keys = samples.keys if samples.keys is not None else map(str, range(samples.size))
    return dict(zip(keys, np.array(names, object)[number].tolist(), strict=True))
