"""Columns that say, or should say, how a table is divided."""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from fulmen.cli.init.columns import Column
from fulmen.cli.init.entries import Entry
from fulmen.cli.init.training import shares

_SPLITS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}
_OWNER = re.compile(
    r"(patient|subject|user|customer|client|person|participant|speaker|author|group|session|scene)", re.IGNORECASE
)


def split_by(columns: Sequence[Column], target: str | None) -> Entry | None:
    """The key `split_by`: of a column that names the splits; or, as a comment, of one that groups or dates rows."""
    for column in columns:
        if column.name == target:
            continue
        values = {value.strip().lower() for value in column.counts}
        if (
            column.kind == "string"
            and len(values) > 1
            and "train" in values | {v[:5] for v in values}
            and values <= _SPLITS
        ):
            return Entry("split_by", {"column": column.name}, "this column says which row trains, validates and tests")
    for column in columns:
        if column.name != target and _OWNER.search(column.name) and 2 < column.distinct < column.present / 2:
            reason = f"keeps the rows of one {column.name} on one side"
            return Entry("split_by", {"group": column.name}, reason, active=False)
    for column in columns:
        if column.kind == "date" and column.name != target and column.distinct > 2:
            return Entry(
                "split_by", {"time": column.name}, "trains on the oldest rows, tests on the newest", active=False
            )
    return None


def divided(division: Entry | None, rows: int, has: AbstractSet[str], of: str) -> Sequence[Entry]:
    """The keys that say how rows are divided."""
    if division is not None and division.active:
        return [division]
    found = shares(rows, has, of)
    return [*([division] if division is not None else []), *found]
