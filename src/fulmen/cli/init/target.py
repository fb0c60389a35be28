"""The column that is to be predicted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from fulmen.cli.init.columns import Column
from fulmen.cli.init.entries import about
from fulmen.cli.init.options import Options, TargetType
from fulmen.cli.init.question import choose
from fulmen.core.errors import ConfigError, DataError, unknown

_USUAL = "target targets label labels class classes category outcome response gold sentiment"
"""Names that hardly anything but a target has."""
_LIKELY = """
    income salary survived survival price saleprice churn churned exited default diagnosis species fraud isfraud quality
    clicked click converted purchased defaulted approved loanstatus status result intent topic emotion stars rating
    score grade medv cnt demand spam isspam polarity toxic breed
"""
"""Names that targets of well-known tables have."""
_SEPARATORS = ("|", ";", ",")
_UNEVEN = 4.0
"""From so many times as many samples in the largest class as in the smallest on, classes are rare."""
_FEW = 20
"""So many different values are classes without further thought."""
_ENOUGH = 5
"""So many samples of a class are likely to be found in every split."""
_CLEAR = 50
"""A guess with so many points needs no question."""


@dataclass(frozen=True)
class Target:
    """What is to be predicted.

    Attributes:
        column: Its name; empty for class folders.
        type: What kind of target it is.
        counts: Samples of each class or label, the most frequent first; empty for numbers.
        reason: Why it is thought to be the target.
        separator: What stands between several labels in a cell.
        missing: How many samples have none.
        declared: Whether the config has to say the type, because the values could be taken for another.
    """

    column: str
    type: TargetType
    counts: dict[str, int] = field(default_factory=dict)
    reason: str = ""
    separator: str | None = None
    missing: int = 0
    declared: bool = False

    def scaled(self, factor: float) -> Target:
        """With the numbers of a whole file, about, where these are of a part of it."""
        counts = {name: about(count * factor) for name, count in self.counts.items()}
        return replace(self, counts=counts, missing=about(self.missing * factor))

    @property
    def unevenness(self) -> float:
        """How many times as many samples the largest class has as the smallest."""
        if self.type not in ("binary", "multiclass") or not self.counts:
            return 1.0
        return max(self.counts.values()) / min(self.counts.values())

    @property
    def warnings(self) -> list[str]:
        """Says which classes have too few samples to train, validate and test on."""
        if self.type not in ("binary", "multiclass"):
            return []
        rare = [f"{name} {count}" for name, count in self.counts.items() if count < _ENOUGH]
        shown = ", ".join(rare[:6]) + (f", and {len(rare) - 6} more" if len(rare) > 6 else "")
        return [f"  too few to be in every split: {shown}; add some, or leave these classes out"] if rare else []

    @property
    def is_uneven(self) -> bool:
        """Whether some classes are rare."""
        return self.unevenness >= _UNEVEN

    @property
    def says(self) -> str:
        """The classes with their numbers, or that it is a number."""
        if self.type == "regression":
            return "a number"
        shown = [f"{name} {count:,}" for name, count in list(self.counts.items())[:6]]
        more = f", and {len(self.counts) - 6} more" if len(self.counts) > 6 else ""
        what = "labels" if self.type == "multilabel" else "classes"
        return f"{len(self.counts)} {what}: {', '.join(shown)}{more}"


def find_target(
    columns: Sequence[Column], options: Options, taken: Sequence[str] = (), absent: frozenset[str] = frozenset()
) -> Target:
    """Finds the column that is to be predicted.

    Args:
        columns: The columns of the training table.
        options: What was said about it.
        taken: Columns that are something else: texts, paths.
        absent: Columns that a table beside it lacks.

    Raises:
        ConfigError: If it has to be told, and nobody can be asked.
        DataError: If no column can be it.
    """
    by_name = {column.name: column for column in columns}
    if options.target is not None:
        if options.target not in by_name:
            raise ConfigError(f"target: {unknown('column', options.target, by_name)}")
        if options.target in taken:
            raise ConfigError(f"target: {options.target!r} cannot be the inputs as well; name another column")
        return read_target(by_name[options.target], options, "as given")
    named = [c for c in columns if _plain(c.name) in _USUAL.split() and c.name not in taken]
    if len(named) == 1 and named[0].distinct < 2:
        return read_target(named[0], options, "by its name")
    ranked = _rank([column for column in columns if column.name not in taken], absent)
    if not ranked:
        raise DataError(
            f"no column can be the target: {_listed(columns)}; a target has a few different values, or is a number. "
            "Name it with --target COLUMN"
        )
    score, column, reason = ranked[0]
    if score >= _CLEAR and (len(ranked) == 1 or ranked[1][0] < score):
        return read_target(column, options, reason)
    name = choose("Which column is to be predicted?", [c.name for _, c, _ in ranked], "--target COLUMN")
    return read_target(by_name[name], options, "as given")


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def _listed(columns: Sequence[Column]) -> str:
    return ", ".join(f"{c.name} ({c.distinct} different values)" for c in columns[:8])


def _rank(columns: Sequence[Column], absent: frozenset[str]) -> list[tuple[int, Column, str]]:
    """Columns that may be the target, the likeliest first, with a score and a reason."""
    possible = [c for c in columns if (c.has_classes or c.has_numbers or _labels(c)) and not c.is_identifier]
    classes = [c for c in possible if c.has_classes]
    found = []
    for column in possible:
        name = _plain(column.name)
        last = column.name == columns[-1].name
        if column.name in absent and len([c for c in possible if c.name in absent]) == 1:
            score, reason = 100, "the only column that the test table lacks"
        elif name in _USUAL.split():
            score, reason = 90, "by its name"
        elif name == "y":  # which may be the height of a point as well
            score, reason = 80, "by its name"
        elif name in _LIKELY.split():
            score, reason = 70 + last, "by its name" + " and place" * last
        elif len(possible) == 1:
            score, reason = 60, "the only column that can be it"
        elif len(classes) == 1 and column is classes[0]:
            score, reason = 55, "the only column with classes"
        else:
            score, reason = 10 + 20 * last + 5 * column.has_classes, "the last column"
        found.append((score, column, reason))
    return sorted(found, key=lambda item: -item[0])


def read_target(column: Column, options: Options, reason: str) -> Target:
    """What kind of target a column holds.

    Raises:
        DataError: If it cannot be a target.
    """
    if column.distinct < 2:
        value = next(iter(column.counts), "nothing")
        raise DataError(f"target: column {column.name!r} holds {value!r} alone; there is nothing to learn")
    marks = {None: _SEPARATORS, "multilabel": (*_SEPARATORS, " ")}.get(options.target_type, ())
    several = _labels(column, marks)
    if several is not None:
        separator, counts = several
        return Target(column.name, "multilabel", counts, reason, separator, column.missing)
    kind = options.target_type or _type(column)
    shown = ", ".join(map(repr, column.examples[:2] or list(column.counts)[:2]))
    if kind == "regression":
        if column.kind not in ("number", "whole"):
            raise DataError(f"target: column {column.name!r} holds no numbers, but {shown}; leave --target_type out")
        return Target(column.name, kind, {}, reason, None, column.missing, declared=True)
    many = column.distinct > max(_FEW, column.present // 2) and options.target_type is None
    if kind == "multilabel" or not column.counts or many:
        raise DataError(
            f"target: column {column.name!r} has {column.distinct:,} different values, such as {shown}; these are no "
            f"{'labels with a separator' if kind == 'multilabel' else 'classes'}. Name another column"
        )
    if kind == "binary" and column.distinct != 2:
        raise DataError(f"target: column {column.name!r} has {column.distinct} different values; binary needs 2")
    declared = options.target_type is not None or column.floating
    return Target(column.name, kind, column.counts, reason, None, column.missing, declared)


def _type(column: Column) -> TargetType:
    if column.has_numbers:
        return "regression"
    return "binary" if column.distinct == 2 else "multiclass"


def _labels(column: Column, separators: Sequence[str] = _SEPARATORS) -> tuple[str, dict[str, int]] | None:
    """The separator of several labels in a cell, and how often each label occurs; ``None`` for other columns."""
    if column.kind != "string" or not column.counts or column.is_path:
        return None
    for separator in separators:
        cells = {cell: [p.strip() for p in cell.split(separator) if p.strip()] for cell in column.counts}
        several = sum(column.counts[cell] for cell, parts in cells.items() if len(parts) > 1)
        alone = {parts[0] for parts in cells.values() if len(parts) == 1}
        atoms: dict[str, int] = {}
        for cell, parts in cells.items():
            for part in set(parts):
                atoms[part] = atoms.get(part, 0) + column.counts[cell]
        joined = {part for parts in cells.values() if len(parts) > 1 for part in parts}
        if several and len(atoms) < len(cells) and alone & joined and min(atoms.values()) > 1:
            return separator, dict(sorted(atoms.items(), key=lambda item: (-item[1], item[0])))
    return None
