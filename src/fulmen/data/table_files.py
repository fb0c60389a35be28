"""The files of a table, read as one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fulmen.core.errors import DataError, nearest
from fulmen.data.reading import first_line, no_column, read_table

if TYPE_CHECKING:
    import pyarrow as pa


class StackedTables:
    """Tables one below the other; each column is put together when it is asked for.

    Args:
        paths: Split -> file, in order.
        options: Arguments of :func:`fulmen.data.reading.read_table`.

    Raises:
        DataError: If a file cannot be read.
    """

    def __init__(self, paths: Mapping[str, Path], options: Mapping[str, Any]) -> None:
        self.paths, self.header = dict(paths), options.get("header", True)
        self.tables = [read_table(path, **options) for path in self.paths.values()]
        self.starts = np.cumsum([0, *(table.num_rows for table in self.tables)])
        self.names: list[str] = self.tables[0].column_names

    def __len__(self) -> int:
        return int(self.starts[-1])

    def require(self, names: Iterable[str]) -> None:
        """Raises :class:`DataError` if a file lacks one of the columns, and says which."""
        for path, table in zip(self.paths.values(), self.tables, strict=True):
            found = table.column_names
            absent = [name for name in names if name not in found]
            if len(absent) == 1:
                raise DataError(f"{path}: {no_column(absent[0], found)}")
            if absent:
                close = {name: nearest(name, found) for name in absent}
                said = [f"{name!r}" + (f" (did you mean {near!r}?)" if near else "") for name, near in close.items()]
                raise DataError(f"{path} lacks {len(absent)} columns: {', '.join(said)}. It has: {', '.join(found)}")

    def column(self, name: str) -> pa.ChunkedArray:
        """All values of a column.

        Raises:
            DataError: If a file lacks it.
        """
        self.require([name])
        return _one_type([table[name] for table in self.tables])

    def take(self, name: str, rows: NDArray[np.int64]) -> pa.ChunkedArray:
        """The values of a column in some rows, in ascending order; files without such a row need not have it."""
        parts = []
        for table, start, end in zip(self.tables, self.starts, self.starts[1:], strict=False):
            first, last = np.searchsorted(rows, [start, end])
            if last > first:
                parts.append(table[name] if last - first == end - start else table[name].take(rows[first:last] - start))
        return _one_type(parts)

    def drop(self, name: str) -> None:
        """Forgets a column, so that its memory is free."""
        self.tables = [table.drop_columns([name]) if name in table.column_names else table for table in self.tables]

    def given(self) -> NDArray[np.str_] | None:
        """The split that a row's file says; ``None`` if one file holds all."""
        if len(self.paths) == 1:
            return None
        return np.repeat(np.array(list(self.paths), dtype="<U5"), np.diff(self.starts))

    def describe(self, row: int) -> str:
        """What messages call a row: ``file:line``, with one line a row."""
        part = int(np.searchsorted(self.starts, row, side="right")) - 1
        path = list(self.paths.values())[part]
        return f"{path}:{row - int(self.starts[part]) + first_line(path, self.header)}"


def _one_type(columns: Sequence[pa.ChunkedArray]) -> pa.ChunkedArray:
    """Columns one below the other: of the same type, as numbers, or as text."""
    import pyarrow as pa

    kinds = {column.type for column in columns if not pa.types.is_null(column.type)}
    kind = reduce(_common, sorted(kinds, key=str)) if kinds else pa.null()
    return pa.chunked_array([chunk for column in columns for chunk in column.cast(kind).chunks], kind)


def _common(one: Any, other: Any) -> Any:
    import pyarrow as pa

    numbers = all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in (one, other))
    return pa.float64() if numbers else pa.string()
