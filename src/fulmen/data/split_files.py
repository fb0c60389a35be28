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
    sides = table.group_by("sample").aggregate([("split", "count_distinct")])
    torn = sides.filter(pc.greater(sides["split_count_distinct"], 1))["sample"]
    if len(torn):
        raise DataError(f"split_by: {path} has sample {torn[0].as_py()!r} in two splits; remove one of the lines")
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

    names = pa.array(np.arange(len(sides)) if keys is None else keys).cast(pa.string())
    where = pc.index_in(names, value_set=table["sample"].combine_chunks())
    named = where.is_valid().to_numpy(zero_copy_only=False)
    if not named.any():
        raise DataError(
            f"split_by: the file names none of the {len(sides)} samples; it names {table['sample'][0].as_py()!r}, "
            f"these data have {names[0].as_py()!r}"
            if len(table) and len(names)
            else "split_by: the file is empty"
        )
    if keys is None and len(table) > named.sum():
        raise DataError(
            f"split_by: the file names {len(table)} rows, and these data have {len(sides)}; rows are named by number, "
            "so that it fits the data it was made from, or these with rows appended"
        )
    written = pc.index_in(table["split"].combine_chunks(), value_set=pa.array(SPLITS)).to_numpy() + 1
    result = sides.copy()
    result[named] = written[where.drop_null().to_numpy()]
    moved = np.flatnonzero((given != 0) & ((given == _TEST) != (result == _TEST)))
    if len(moved):
        row = int(moved[0])
        raise DataError(
            f"split_by: the file has {names[row].as_py()!r} in {SPLITS[result[row] - 1]}, the data themselves in "
            f"{SPLITS[given[row] - 1]}; it was made from other data"
        )
    return result
