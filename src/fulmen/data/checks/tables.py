"""Tables: their columns, and their rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fulmen.data.checks.columns import Used, check_columns
from fulmen.data.checks.duplicates import repeats
from fulmen.data.checks.listing import Listing, Rows, amount
from fulmen.data.checks.pairs import firsts
from fulmen.data.checks.rows import column_keys, count_distinct, joint_keys, with_targets
from fulmen.data.columns import infer_column
from fulmen.data.findings import Finding
from fulmen.data.table_files import StackedTables

if TYPE_CHECKING:
    import pyarrow as pa


def check_tables(listing: Listing) -> Iterator[Finding]:
    """What is to be said of tables.

    Args:
        listing: All samples of a ``TabularData``; each data set has ``places``.
    """
    data: Any = listing.data
    tables: StackedTables = data.tables()
    places = np.concatenate([np.asarray(listing.dataset(split).places) for split in listing.present])
    listing = replace(listing, describe=lambda row: tables.describe(int(places[row])))
    used = [
        Used(c["name"], c["kind"], tables.column(c["name"]).take(places), c.get("numeric", False), data.missing)
        for c in data.learned["columns"]
    ]
    yield from check_columns(listing, used)
    yield from _ignored(data, tables, places[listing.rows("train")])
    keys = _keys(tables, places, set(data.target))
    yield from repeats(listing, firsts(with_targets(keys, listing.targets)), "row", alike=firsts(keys))


def _ignored(data: Any, tables: StackedTables, train: Rows) -> Iterator[Finding]:
    """Columns that were taken for nothing to learn from; those that a person ignores or splits by are no news."""
    by = data.splitting.by.values() if isinstance(data.splitting.by, dict) else ()
    known = {*data.target, *data.types, data.id_column, *by, *(column["name"] for column in data.learned["columns"])}
    found = [infer_column(name, tables.take(name, train)) for name in tables.names if name not in known]
    if found:
        what = amount(len(found), "column is", "columns are") + " ignored"
        where = tuple(f"{column.name} ({column.why})" for column in found)
        fix = f"if one is to be learned from, set data.types: {{{found[0].name}: category}} (or number)"
        yield Finding("ignored_columns", "note", what, where, len(found), fix)


def _keys(tables: StackedTables, places: Rows, target: set[str]) -> NDArray[np.uint64]:
    """A number for the values of each row, of all columns but the target and those that only count or name rows."""

    def columns() -> Iterator[NDArray[np.uint64]]:
        for name in tables.names:
            if name in target:
                continue
            values = tables.column(name)
            keys = column_keys(values)[places]
            if not _names_rows(values) or count_distinct(keys) < len(keys):
                yield keys

    return joint_keys(columns(), len(places))


def _names_rows(values: pa.ChunkedArray) -> bool:
    """Whether different values could be mere identifiers: whole numbers, or words without blanks."""
    import pyarrow as pa
    from pyarrow import compute

    if not pa.types.is_string(values.type):
        return bool(pa.types.is_integer(values.type))
    return not compute.any(compute.match_substring(compute.utf8_trim_whitespace(values), " ")).as_py()
