"""Splits that are written beside a run, and read again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fulmen.core.errors import DataError, unknown
from fulmen.data.splits import SPLITS

_TEST = 1 + SPLITS.index("test")


def write_split(path: Path, parts: Iterable[tuple[str, Sequence[object]]]) -> None:
    """Writes which sample is in which split, as CSV with the columns ``sample`` and ``split``.

    Args:
        path: The file.
        parts: A split and names of samples in it, part by part: no more than one is held as text.
    """
    import pyarrow as pa
    from pyarrow import csv

    schema = pa.schema({"sample": pa.string(), "split": pa.string()})
    with csv.CSVWriter(path, schema) as file:
        for split, names in parts:
            column = pa.array(names).cast(pa.string())
            file.write_table(pa.table([column, pa.repeat(split, len(column))], schema=schema))


def read_split(path: Path) -> Any:
    """Reads what :func:`write_split` wrote: a table of arrow with the columns ``sample`` and ``split``.

    Raises:
        DataError: If there is no such file, or it is no split.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv

    if not path.is_file():
        raise DataError(f"split_by: there is no file {str(path)!r} (from {Path.cwd()})")
    types = {"sample": pa.string(), "split": pa.string()}
    try:
        table = csv.read_csv(path, convert_options=csv.ConvertOptions(column_types=types, include_columns=[*types]))
    except (pa.ArrowInvalid, KeyError) as error:
        raise DataError(f"split_by: {path} is no split (columns sample,split): {error}") from error
    wrong = next((v for v in pc.unique(table["split"]).to_pylist() if v not in SPLITS), None)
    if wrong is not None:
        raise DataError(f"split_by: {path} holds {unknown('split', wrong, SPLITS)}")
    return table


def sides_from_file(
    table: Any, keys: Sequence[str] | None, given: NDArray[np.int8], sides: NDArray[np.int8]
) -> NDArray[np.int8]:
    """The side of each sample as a file says; of those that it does not name, as without it.

    Args:
        table: What :func:`read_split` gives.
        keys: Names of the samples; ``None``: their row numbers.
        given: ``(N,)`` what the data say themselves: 0 nothing, else 1 + the split's place in ``SPLITS``.
        sides: ``(N,)`` where the samples are without a file, as 1 + the split's place.

    Raises:
        DataError: If the file cannot have been made from these data, or from fewer of them.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    samples = table["sample"].combine_chunks()
    written = pc.index_in(table["split"].combine_chunks(), value_set=pa.array(SPLITS)).to_numpy().astype(np.int8) + 1
    lines, first = _lines_of_rows(samples, len(sides)) if keys is None else _lines_of_keys(samples, keys)
    torn = np.flatnonzero(written[first] != written)
    if len(torn):
        raise DataError(
            f"split_by: the file has {samples[int(torn[0])].as_py()!r} in two splits; remove one of its lines"
        )
    named = lines >= 0
    if not named.any():
        names = samples[0].as_py() if len(samples) else "nothing"
        raise DataError(
            f"split_by: the file names none of the {len(sides)} samples: it names {names!r}, these data have "
            f"{'0' if keys is None else keys[0]!r}"
        )
    result = np.where(named, written[lines], sides)
    moved = np.flatnonzero((given != 0) & ((given == _TEST) != (result == _TEST)))
    if len(moved):
        row = int(moved[0])
        raise DataError(
            f"split_by: the file has {samples[int(lines[row])].as_py()!r} in {SPLITS[result[row] - 1]}, the data "
            f"themselves in {SPLITS[given[row] - 1]}; it was made from other data"
        )
    return result


def _lines_of_rows(samples: Any, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The line of each row in a file of row numbers, -1 for none; and of each line, one that names the same."""
    import pyarrow as pa

    try:
        rows = samples.cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid:  # names, not numbers
        return np.full(size, -1), np.arange(len(samples))
    if len(rows) and (rows.min() < 0 or rows.max() >= size):
        raise DataError(
            f"split_by: the file names row {rows.max()}, and these data have {size} rows; rows are named by number, so "
            "that it fits the data it was made from, or these with rows appended"
        )
    lines = np.full(size, -1)
    lines[rows] = np.arange(len(rows))
    return lines, lines[rows]


def _lines_of_keys(samples: Any, keys: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The same in a file of names."""
    import pyarrow as pa
    import pyarrow.compute as pc

    lines = pc.index_in(pa.array(keys, pa.string()), value_set=samples)
    return lines.fill_null(-1).to_numpy().astype(np.int64), pc.index_in(samples, value_set=samples).to_numpy()
