"""Targets that are read from a column: classes, several labels in a cell, or numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fulmen.core.errors import DataError, unknown
from fulmen.data.base import TargetType

_WHOLE = re.compile(r"[+-]?[0-9]+")
_FEW = 20
"""So many different values are classes without further thought."""


@dataclass(frozen=True)
class Targets:
    """The targets of all samples.

    Attributes:
        values: ``(N,)`` int64 classes, ``(N, L)`` int64 0/1 labels, or ``(N,)`` float32 numbers.
        target_type: Which of them.
        class_names: Name of each class or label; ``None`` for numbers.
    """

    values: Tensor
    target_type: TargetType
    class_names: list[str] | None


def num_outputs(target_type: TargetType, class_names: Sequence[str] | None) -> int:
    """How many outputs a network needs.

    >>> num_outputs("binary", ["no", "yes"]), num_outputs("multiclass", ["a", "b", "c"])
    (1, 3)
    """
    return len(class_names or [0]) if target_type in ("multiclass", "multilabel") else 1


def read_targets(
    cells: Sequence[str | None],
    target_type: TargetType | None = None,
    class_names: Sequence[str] | None = None,
    label_separator: str | None = None,
    describe: Callable[[int], str] = "row {}".format,
) -> Targets:
    """Makes targets of the cells of a column.

    Args:
        cells: As they are written; ``None`` or blank where there is nothing. Blanks around a label are dropped.
        target_type: What they are; ``None``: labels if ``label_separator`` is given, else numbers if all are numbers
            and one is not whole, else ``binary`` for two classes and ``multiclass`` for more.
        class_names: Name of each class, in order; ``None``: those that occur, sorted (whole numbers by size).
        label_separator: What stands between several labels in a cell; an empty cell then has none of them.
        describe: What messages call a sample.

    Raises:
        DataError: If a cell is empty, or no target of this kind; if there is but one class.

    >>> read_targets(["ham", "spam", "ham"]).values, read_targets(["0.5", "2"]).target_type
    (tensor([0, 1, 0]), 'regression')
    """
    texts = [(cell or "").strip() for cell in cells]
    if label_separator is not None and target_type in (None, "multilabel"):
        return _labels([split_labels(text, label_separator) for text in texts], class_names, describe)
    empty = [i for i, text in enumerate(texts) if not text]
    if empty:
        raise DataError(
            f"{len(empty)} samples have no label, the first is {describe(empty[0])}; fill them in, or remove them"
        )
    kind = target_type or _guess(texts, class_names)
    if kind == "regression":
        return Targets(_numbers(texts, describe), kind, None)
    if kind == "multilabel":
        raise DataError(
            "a multilabel task needs `label_separator`: what stands between the labels of a cell, such as '|'"
        )
    return _classes(texts, target_type, class_names, describe)


def split_labels(cell: str, separator: str) -> list[str]:
    """The labels of a cell, without the blanks around them.

    >>> split_labels("a| b |", "|"), split_labels("a  b", " ")
    (['a', 'b'], ['a', 'b'])
    """
    parts = cell.split() if separator.isspace() else cell.split(separator)
    return [part.strip() for part in parts if part.strip()]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _guess(texts: list[str], class_names: Sequence[str] | None) -> TargetType | None:
    """``regression``, or ``None`` for classes."""
    distinct = set(texts)
    numbers = [_number(text) for text in distinct]
    whole = all(map(_WHOLE.fullmatch, distinct))
    return "regression" if class_names is None and not whole and None not in numbers else None


def _numbers(texts: list[str], describe: Callable[[int], str]) -> Tensor:
    values = []
    for i, text in enumerate(texts):
        value = _number(text)
        if value is None or not math.isfinite(value):
            raise DataError(
                f"{describe(i)}: the target {text!r} is no finite number; mend it, or give `target_type: multiclass`"
            )
        values.append(value)
    return torch.tensor(values, dtype=torch.float32)


def _sorted(names: set[str]) -> list[str]:
    if all(map(_WHOLE.fullmatch, names)):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def _classes(
    texts: list[str],
    target_type: TargetType | None,
    class_names: Sequence[str] | None,
    describe: Callable[[int], str],
) -> Targets:
    names = list(class_names) if class_names is not None else _sorted(set(texts))
    if class_names is None and len(names) > max(_FEW, len(texts) // 2):
        raise DataError(
            f"{len(texts)} samples have {len(names)} different labels, such as {names[0]!r} and {names[-1]!r}: too "
            "many to be classes. Name another target column, or give `target_type: regression` if they are numbers"
        )
    if len(names) < 2:
        found = f"{names[0]!r}" if names else "none"
        raise DataError(f"classification needs at least 2 classes; the target column holds {found} alone")
    if target_type == "binary" and len(names) > 2:
        raise DataError(f"a binary task has 2 classes; the targets hold {len(names)}: {', '.join(names[:5])}")
    values = _lookup(texts, names, describe)
    return Targets(values, target_type or ("binary" if len(names) == 2 else "multiclass"), names)


def _lookup(texts: list[str], names: list[str], describe: Callable[[int], str]) -> Tensor:
    numbers = {name: i for i, name in enumerate(names)}
    found = [numbers.get(text, -1) for text in texts]
    if -1 in found:
        first = found.index(-1)
        raise DataError(f"{describe(first)}: {unknown('class', texts[first], names)}")
    return torch.tensor(found, dtype=torch.int64)


def _labels(cells: list[list[str]], class_names: Sequence[str] | None, describe: Callable[[int], str]) -> Targets:
    names = list(class_names) if class_names is not None else _sorted({label for cell in cells for label in cell})
    if not names:
        raise DataError("no sample has a label; name another target column")
    values = torch.zeros(len(cells), len(names), dtype=torch.int64)
    rows = [i for i, cell in enumerate(cells) for _ in cell]
    columns = _lookup([label for cell in cells for label in cell], names, lambda k: describe(rows[k]))
    values[torch.tensor(rows, dtype=torch.int64), columns] = 1
    return Targets(values, "multilabel", names)
