"""Columns that say, or should say, how a table is divided."""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from fulmen.cli.init.columns import Column
from fulmen.cli.init.entries import Entry
from fulmen.cli.init.training import shares

_SPLITS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}
_TRAIN = {"train", "training"}
_OWNER = re.compile(
    r"(patient|subject|user|customer|client|person|participant|speaker|author|group|session|scene)", re.IGNORECASE
)


def split_column(columns: Sequence[Column], target: str | None) -> Entry | None:
    """The key `split_by` of a column that says which row trains, validates and tests."""
    for column in columns:
        values = {value.strip().lower() for value in column.counts}
        if (
            column.name != target
            and column.kind == "string"
            and len(values) > 1
            and values <= _SPLITS
            and values & _TRAIN
        ):
            return Entry("split_by", {"column": column.name}, "this column says which row trains, validates and tests")
    return None


def split_hint(columns: Sequence[Column], target: str) -> Entry | None:
    """The key `split_by`, as a comment, of a column that groups or dates rows."""
    others = [column for column in columns if column.name != target]
    for column in others:
        if _OWNER.search(column.name) and 2 < column.distinct < column.present / 2:
            reason = f"keeps the rows of one {column.name} on one side"
            return Entry("split_by", {"group": column.name}, reason, active=False)
    for column in others:
        if column.kind == "date" and column.distinct > 2:
            reason = "trains on the oldest rows, tests on the newest"
            return Entry("split_by", {"time": column.name}, reason, active=False)
    return None


def divided(division: Entry | None, rows: int, has: AbstractSet[str], of: str) -> Sequence[Entry]:
    """The keys that say how rows are divided.

    Args:
        division: The key `split_by`, if there is one.
        rows: How many rows there are.
        has: Splits that have a file of their own.
        of: What the rows are, in words.
    """
    if division is not None and division.active:
        return [division]
    found = shares(rows, has, of)
    return [division, *found] if division is not None and found else found
