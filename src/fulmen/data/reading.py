"""Tables from files: CSV and its relatives, JSON lines, Parquet."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from fulmen.core.errors import DataError, nearest, unknown
from fulmen.data.delimited import Delimited, check_names
from fulmen.data.encoding import find_encoding, open_bytes, open_text

if TYPE_CHECKING:
    import pyarrow as pa

MISSING = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "null", "NULL", "None", "?")
"""What a cell without a value holds."""
_SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": None}
_JSON = (".jsonl", ".ndjson", ".json")
_ENDINGS = (*_SEPARATORS, *_JSON, ".parquet", ".pq")


def read_table(
    path: str | Path,
    *,
    separator: str | None = None,
    quoting: bool = True,
    encoding: str | None = None,
    header: bool | Sequence[str] = True,
    columns: Sequence[str] | None = None,
    missing: Sequence[str] = MISSING,
    as_text: Sequence[str] = (),
    decimal: str = ".",
) -> pa.Table:
    r"""Reads a table from a file; its ending says how.

    Args:
        path: ``.csv``, ``.tsv``, ``.txt``, ``.jsonl``, ``.json`` (each also with ``.gz``) or ``.parquet``.
        separator: What stands between cells; ``None``: a comma in ``.csv``, a tab in ``.tsv``, and in ``.txt`` and
            without an ending the one that the first lines hold. Given, any other ending is read as text too.
        quoting: Whether ``"`` around a cell keeps separators and line ends in it, and ``""`` means ``"``.
        encoding: Of text files, such as ``latin-1``; ``None``: what :func:`find_encoding` finds.
        header: Whether the first line holds the names; or the names. Without names, columns are called ``0``, ``1``...
        columns: Which columns to read, in this order; ``None``: all.
        missing: What a cell without a value holds, except in columns ``as_text``, where only an empty cell does.
        as_text: Columns that stay text, word for word, whatever they look like.
        decimal: The decimal point of numbers.

    Returns:
        At least one row; text is ``string``, numbers are ``int64`` or ``float64`` (or as in Parquet), with nulls where
        values are missing.

    Raises:
        DataError: If there is no such file, or it is no such table.
    """
    path = Path(path)
    kind = _kind(path, separator)
    try:
        if kind == "parquet":
            table = _read_parquet(path, columns)
        elif kind == "json":
            table = _read_json(path, encoding)
        else:
            encoding = encoding or find_encoding(path)
            separator = separator or _SEPARATORS[kind] or _sniff(path, encoding)
            text = Delimited(path, separator, quoting, encoding, header)
            absent = next((name for name in columns or () if name not in text.names), None)
            if absent is not None:
                raise DataError(f"{path}: {no_column(absent, text.names)}")
            table = text.read(columns, missing, as_text, decimal)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    check_names(path, table.column_names)
    if columns is not None:
        table = table.select([_checked(table, name, path) for name in columns])
    if not table.num_rows:
        raise DataError(f"{path} holds the names of columns but no row")
    return _with_nulls(table, set(missing), set(as_text))


def first_line(path: Path, header: bool | Sequence[str] = True) -> int:
    """The line of the first row in a table's file, from 1; files without lines count rows.

    >>> first_line(Path("a.csv")), first_line(Path("a.csv"), header=["x"]), first_line(Path("a.jsonl.gz"))
    (2, 1, 1)
    """
    in_rows = {suffix.lower() for suffix in path.suffixes} & {*_JSON, ".parquet", ".pq"}
    return 1 if in_rows or header is not True else 2


def column(table: pa.Table, name: str) -> pa.ChunkedArray:
    """A column by its name.

    Args:
        table: What :func:`read_table` gave.
        name: The column's name.

    Raises:
        DataError: If there is none.
    """
    return table[_checked(table, name)]


def _checked(table: pa.Table, name: str, path: Path | None = None) -> str:
    if name in table.column_names:
        return name
    raise DataError(f"{path}: " * (path is not None) + no_column(name, table.column_names))


def no_column(name: str, names: Sequence[str]) -> str:
    """Says that there is no such column; and that the names may be a row of data, where they look like that.

    >>> print(no_column("text", ["5.1", "setosa"]))
    unknown column 'text'. Allowed: 5.1, setosa; if the first line is no header, set `header: [NAME, ...]`
    """
    looks_like_data = any(_is_number(n) and n != str(i) for i, n in enumerate(names)) or max(map(len, names)) > 60
    hint = "; if the first line is no header, set `header: [NAME, ...]`" if looks_like_data else ""
    return unknown("column", name, [n if len(n) <= 60 else f"{n[:57]}..." for n in names]) + hint


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _kind(path: Path, separator: str | None) -> str:
    """``parquet``, ``json``, or the ending of a text table."""
    if path.is_dir():
        raise DataError(f"{str(path)!r} is a folder; a table is a file ({', '.join(_ENDINGS)})")
    if not path.is_file():
        found = [p.name for p in islice(path.parent.iterdir(), 10_000)] if path.parent.is_dir() else []
        close = nearest(path.name, found)
        hint = f"; did you mean {str(path.parent / close)!r}?" if close else ""
        raise DataError(f"there is no file {str(path)!r} (from {Path.cwd()}){hint}")
    if not path.stat().st_size:
        raise DataError(f"{path} is empty (0 bytes)")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    suffix = (suffixes[-2:-1] if suffixes[-1:] == [".gz"] else suffixes[-1:]) or [""]
    if suffix[0] in (".parquet", ".pq"):
        return "parquet"
    if suffix[0] in _JSON:
        return "json"
    if suffix[0] not in (*_SEPARATORS, "") and separator is None:
        raise DataError(
            f"{path}: the ending {suffix[0]!r} is not known; allowed: {', '.join(_ENDINGS)}. A text table of another "
            "ending needs `separator`; a spreadsheet is saved as CSV first"
        )
    return suffix[0] if suffix[0] in _SEPARATORS else ".txt"


def _sniff(path: Path, encoding: str) -> str:
    """The separator that the first lines hold equally often; a tab where there is none."""
    with open_text(path, encoding) as file:
        lines = [line for line in islice(file, 20) if line.strip()]
    marks = [mark for mark in "\t;,|" if all(mark in line for line in lines)]
    even = [mark for mark in marks if len({line.count(mark) for line in lines}) == 1]
    return next(iter([*even, *marks]), "\t")


def _read_parquet(path: Path, columns: Sequence[str] | None) -> pa.Table:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        names = parquet.read_schema(path).names
        absent = next((name for name in columns or () if name not in names), None)
        if absent is not None:
            raise DataError(f"{path}: {no_column(absent, names)}")
        table = parquet.read_table(path, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
    for i, field in enumerate(table.schema):
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            kind = pa.string()
        elif pa.types.is_decimal(kind):
            kind = pa.float64()
        if kind != field.type:
            table = table.set_column(i, field.name, table.column(i).cast(kind))
    return table


def _read_json(path: Path, encoding: str | None) -> pa.Table:
    import pyarrow as pa
    from pyarrow import json as arrow_json

    encoding = encoding or find_encoding(path)
    try:
        with open_bytes(path) as file:
            is_list = file.read(64).lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"[")
        if is_list:
            with open_text(path, encoding) as text:
                return pa.Table.from_pylist(json.load(text))
        with pa.input_stream(str(path), compression="detect") as stream:
            source = stream if encoding == "utf-8" else pa.transcoding_input_stream(stream, encoding, "utf-8")
            return arrow_json.read_json(source, arrow_json.ReadOptions(block_size=1 << 24))
    except (pa.ArrowException, ValueError, LookupError, AttributeError) as error:
        raise DataError(f"{path}: {_bad_json_line(path, encoding) or error}") from error


def _bad_json_line(path: Path, encoding: str) -> str:
    with open_text(path, encoding, errors="replace") as file:
        for number, line in enumerate(file, 1):
            try:
                good = not line.strip() or isinstance(json.loads(line), dict)
            except ValueError:
                good = False
            if not good:
                return f'line {number} is no JSON object, such as {{"text": ...}}: {line.strip()[:60]!r}'
    return ""


def _with_nulls(table: pa.Table, missing: set[str], as_text: set[str]) -> pa.Table:
    """Nulls in the place of words that mean a missing value; columns ``as_text`` made text."""
    import pyarrow as pa
    from pyarrow import compute

    words = pa.array(sorted({*missing, *(f" {word}" for word in missing)}), pa.string())
    for i, name in enumerate(table.column_names):
        values = table.column(i)
        if name in as_text and not pa.types.is_string(values.type):
            values = _as_text(name, values)
        if pa.types.is_string(values.type):
            found = compute.is_in(values, pa.array([""]) if name in as_text else words)
            if compute.any(found).as_py():
                values = compute.if_else(found, pa.scalar(None, pa.string()), values)
        if values is not table.column(i):
            table = table.set_column(i, name, values)
    return table


def _as_text(name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    try:
        return values.cast(pa.string())
    except pa.ArrowException as error:
        raise DataError(
            f"column {name!r} holds {values.type}, such as {values.drop_null()[0].as_py()!r}, where text is needed; "
            "write the items as one text, such as 'a|b', or name another column"
        ) from error
