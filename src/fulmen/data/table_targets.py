"""Targets in the columns of a table: classes, several labels in a cell or in columns, numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fulmen.core.errors import ConfigError, DataError, unknown
from fulmen.data.base import TargetType
from fulmen.data.columns import as_numbers
from fulmen.data.preprocessing import category_keys
from fulmen.data.targets import split_labels

if TYPE_CHECKING:
    import pyarrow as pa

FEW_CLASSES = 20
"""Whole numbers of so few different values are classes."""
Values = dict[str, "pa.ChunkedArray"]
"""Target column -> its values, the same rows in each."""


@dataclass(frozen=True)
class TargetRules:
    """How target columns are read.

    Attributes:
        target_type: The task; ``None``: what the values look like.
        class_names: Name of each class or label, in order; ``None``: those of the training split, sorted.
        label_separator: What stands between several labels in a cell; ``None``: a cell holds one.
    """

    target_type: TargetType | None = None
    class_names: list[str] | None = None
    label_separator: str | None = None

    def learn(self, values: Values) -> dict[str, Any]:
        """What the targets of the training split are.

        Args:
            values: The targets of the training split, none of them missing.

        Returns:
            ``target_type`` and ``why``, ``num_outputs``, ``class_names``, and ``cells``: how each class is written.

        Raises:
            DataError: If they are not targets of the task that is asked for.
        """
        kind, why = self._type(values)
        names: list[str] | None
        cells: list[str] | None
        if kind == "regression":
            names, cells = list(values) if len(values) > 1 else None, None
        else:
            names, cells = self._names(values)
        if names is not None and kind != "multilabel" and len(names) < 2:
            found = repr(names[0]) if names else "none"
            raise DataError(f"target: classification needs at least 2 classes; the training split holds {found} alone")
        if kind == "binary" and names is not None and len(names) != 2:
            raise DataError(
                f"target_type: binary needs 2 classes; the training split holds {len(names)}: {', '.join(names[:5])}"
            )
        outputs = len(names or values) if kind in ("multiclass", "multilabel", "regression") else 1
        return {"target_type": kind, "class_names": names, "cells": cells, "num_outputs": outputs, "why": why}

    def _type(self, values: Values) -> tuple[TargetType, str]:
        if self.target_type is not None:
            several = len(values) > 1 or self.label_separator is not None
            if several and self.target_type in ("binary", "multiclass"):
                raise ConfigError(f"target_type: {self.target_type} has one label; these targets are several")
            if self.target_type == "multilabel" and not several:
                raise ConfigError(
                    "target_type: multilabel needs `label_separator` (what stands between the labels of a cell), or "
                    "several columns: `target: [a, b]`"
                )
            return self.target_type, "as target_type says"
        if self.label_separator is not None:
            return "multilabel", "labels in one cell"
        if len(values) == 1:
            if self.class_names is not None:
                return "binary" if len(self.class_names) == 2 else "multiclass", "as class_names says"
            return _looks_like(next(iter(values.values())))
        if all(_is_zero_one(column) for column in values.values()):
            return "multilabel", "columns of 0 and 1"
        return "regression", "several columns of numbers"

    def _names(self, values: Values) -> tuple[list[str], list[str]]:
        """Name of each class, and how it is written in the table."""
        given = self.class_names
        if given is not None and len(set(given)) < len(given):
            raise ConfigError(f"class_names: {given} names one class twice")
        if len(values) > 1:
            if given is not None and given != list(values):
                raise ConfigError(f"class_names: several target columns are their own names: {', '.join(values)}")
            return list(values), list(values)
        found = found_classes(next(iter(values.values())), self.label_separator)
        if given is None:
            return found, found
        numbers = [str(i) for i in range(len(given))]
        return list(given), numbers if set(found) <= set(numbers) - set(given) else list(given)

    def encode(self, values: Values, learned: Mapping[str, Any], describe: Callable[[int], str]) -> Tensor:
        """Targets of any rows: ``(N,)`` int64 classes, ``(N, L)`` int64 labels, float32 ``(N,)`` or ``(N, K)`` numbers.

        Args:
            values: The target columns, none of them missing (with ``label_separator``, an empty cell has no label).
            learned: What :meth:`learn` gave.
            describe: What messages call a row.

        Raises:
            DataError: If a value is no class that was learned, or no number.
        """
        target_type, cells = learned["target_type"], learned["cells"]
        if target_type == "regression" or len(values) > 1:
            numbers = np.stack([_numbers(name, column, describe) for name, column in values.items()], axis=1)
            if target_type == "regression":
                return torch.from_numpy(numbers[:, 0] if len(values) == 1 else numbers).float()
            bad = np.flatnonzero(~np.isin(numbers, (0, 1)).all(1))
            if len(bad):
                raise DataError(
                    f"{describe(int(bad[0]))}: labels in several target columns are 0 or 1, not "
                    f"{numbers[bad[0]].tolist()}"
                )
            return torch.from_numpy(numbers.astype(np.int64))
        column = next(iter(values.values()))
        if self.label_separator is not None:
            return _labels(column, self.label_separator, cells, describe)
        keys, indices = category_keys(column, _are_numbers(column))
        return torch.from_numpy(_codes(keys, cells, indices, describe)[indices])


def stratum(values: Values, rules: TargetRules) -> NDArray[np.int64] | None:
    """A class of each row ``(N,)``, for a split that keeps shares, -1 where it is missing; ``None`` for no classes."""
    if len(values) > 1 or rules.label_separator is not None:
        return None
    column = next(iter(values.values()))
    named = rules.target_type if rules.target_type or rules.class_names is None else "multiclass"
    if (named or _looks_like(column)[0]) == "regression":
        return None
    keys, indices = category_keys(column, _are_numbers(column))
    order = {key: i for i, key in enumerate(sorted({key for key in keys if key is not None}))}
    return np.array([*(order[key] if key is not None else -1 for key in keys), -1])[indices]


def found_classes(column: pa.ChunkedArray, label_separator: str | None = None) -> list[str]:
    """The different classes or labels of a column, sorted; numbers by size.

    >>> import pyarrow as pa
    >>> found_classes(pa.chunked_array([[10, 9, 10]])), found_classes(pa.chunked_array([["b|a", "c"]]), "|")
    (['9', '10'], ['a', 'b', 'c'])
    """
    numeric = label_separator is None and _are_numbers(column)
    keys, _ = category_keys(column, numeric)
    names = {key for key in keys if key is not None}
    if label_separator is not None:
        names = {label for name in names for label in split_labels(name, label_separator)}
    return sorted(names, key=float) if numeric else sorted(names)


def missing_targets(values: Values) -> NDArray[np.bool_]:
    """Rows ``(N,)`` in which a target column holds nothing."""
    rows = [np.asarray(column.is_null(nan_is_null=True).to_numpy()) for column in values.values()]
    return np.logical_or.reduce(rows)  # type: ignore[no-any-return]


def _are_numbers(column: pa.ChunkedArray) -> bool:
    import pyarrow as pa

    return not pa.types.is_boolean(column.type) and as_numbers(column) is not None


def _looks_like(column: pa.ChunkedArray) -> tuple[TargetType, str]:
    """The task of one target column, and why."""
    numbers = as_numbers(column)
    if numbers is None:
        count = len(found_classes(column))
    else:
        present = numbers[~np.isnan(numbers)]
        different = np.unique(present)
        whole = bool((different == np.round(different)).all())
        repeated = len(different) <= max(len(present) // 2, 2)
        if not (whole and len(different) <= FEW_CLASSES and repeated):
            return "regression", f"{len(different):,} different numbers"
        count = len(different)
    return "binary" if count == 2 else "multiclass", f"{count} classes"


def _is_zero_one(column: pa.ChunkedArray) -> bool:
    numbers = as_numbers(column)
    return numbers is not None and bool(np.isin(numbers, (0, 1)).all())


def _numbers(name: str, column: pa.ChunkedArray, describe: Callable[[int], str]) -> NDArray[np.float64]:
    import pyarrow as pa

    if not len(column):  # of a split that has no samples
        return np.empty(0)
    numbers = as_numbers(column)
    if numbers is None:
        distinct = column.unique()
        bad = next((v for v in distinct if as_numbers(pa.chunked_array([[v.as_py()]])) is None), distinct[0])
        row = column.index(bad).as_py()
        raise DataError(
            f"{describe(row)}: target {name!r} holds {bad.as_py()!r}, which is no number; repair it, or give "
            "`target_type: multiclass`"
        )
    if np.isinf(numbers).any():
        row = int(np.flatnonzero(np.isinf(numbers))[0])
        raise DataError(f"{describe(row)}: target {name!r} is infinite; repair or remove it")
    return numbers


def _codes(
    keys: Sequence[str | None], names: list[str], indices: NDArray[np.int64], describe: Callable[[int], str]
) -> NDArray[np.int64]:
    """The class of each different value."""
    numbers = {name: i for i, name in enumerate(names)}
    for number, key in enumerate(keys):
        if key is not None and key not in numbers:
            row = int(np.flatnonzero(indices == number)[0])
            raise DataError(
                f"{describe(row)}: {unknown('class', key, names)} (the classes of the training split, or class_names)"
            )
    return np.array([numbers.get(key or "", -1) for key in keys], np.int64)


def _labels(column: pa.ChunkedArray, separator: str, names: list[str], describe: Callable[[int], str]) -> Tensor:
    keys, indices = category_keys(column, numeric=False)
    numbers = {name: i for i, name in enumerate(names)}
    table = np.zeros((len(keys) + 1, len(names)), np.int64)  # the last line: no label
    for number, key in enumerate(keys):
        for label in split_labels(key or "", separator):
            if label not in numbers:
                row = int(np.flatnonzero(indices == number)[0])
                raise DataError(f"{describe(row)}: {unknown('label', label, names)} (the labels of the training split)")
            table[number, numbers[label]] = 1
    return torch.from_numpy(table[indices])
