"""A table, or a sample of it where it is large."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fulmen.cli.init.dialect import Dialect, find_dialect
from fulmen.cli.init.entries import about
from fulmen.cli.init.folders import ending
from fulmen.cli.init.options import Options
from fulmen.core.errors import DataError
from fulmen.data.encoding import find_encoding, open_bytes
from fulmen.data.reading import read_table

if TYPE_CHECKING:
    import pyarrow as pa

TEXTS = frozenset({".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz"})
JSON = frozenset({".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz"})
PARQUET = frozenset({".parquet", ".pq"})
TABLES = TEXTS | JSON | PARQUET
_WHOLE = 1 << 24
"""Files of so many bytes are read as a whole; of larger ones some parts."""
_PARTS = 8
_PART_ROWS = 5000
_HEAD = 1 << 19
_USUAL = {".csv": ",", ".tsv": "\t", ".csv.gz": ",", ".tsv.gz": "\t"}


@dataclass(frozen=True)
class Sample:
    """What was read of a table.

    Attributes:
        path: The file.
        table: Its rows, or some of them from all parts of the file.
        rows: How many rows the file has; about, where it was not read as a whole.
        whole: Whether it was read as a whole.
        reading: What `read_table` must be told, other than its defaults.
        reasons: Why, by the same names.
    """

    path: Path
    table: pa.Table
    rows: int
    whole: bool
    reading: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def size(self) -> str:
        """The number of rows, for people."""
        if self.whole:
            return f"{self.rows:,} rows"
        return f"about {about(self.rows):,} rows, of which {len(self.table):,} were read"


def read_sample(path: Path, options: Options) -> Sample:
    """Reads a table, or parts of it where it is large.

    Args:
        path: The file.
        options: What was said about it.

    Raises:
        DataError: If it is no table.
    """
    kind = ending(path.name)
    if kind in PARQUET and path.is_file():
        return _of_parquet(path)
    if path.is_file() and path.stat().st_size > _WHOLE and kind in (TEXTS | JSON | {""}):
        with _parts(path) as (part, share):
            try:
                found = _of_text(part, kind, options)
            except DataError as error:
                raise DataError(str(error).replace(str(part), str(path))) from error
        rows = round(len(found.table) / share)
        return Sample(path, found.table, rows, False, found.reading, found.reasons)
    return _of_text(path, kind, options)


def _of_text(path: Path, kind: str, options: Options) -> Sample:
    if kind not in TEXTS | {""} or not path.is_file() or not path.stat().st_size:
        table = read_table(path, encoding=options.encoding)
        return Sample(path, table, len(table), True, *_encoding(path, options))
    encoding = options.encoding or find_encoding(path)
    with open_bytes(path) as file:
        head = file.read(_HEAD)
    text = head.decode(encoding, errors="replace")
    text = text.removeprefix("\ufeff") if len(head) < _HEAD else text.removeprefix("\ufeff").rpartition("\n")[0]
    _check_text(text, path)
    dialect = find_dialect(text, kind, options.separator, None, options.header)
    table = read_table(
        path, separator=dialect.separator, quoting=dialect.quoting, encoding=encoding, header=dialect.header
    )
    reading, reasons = _encoding(path, options)
    if not dialect.header:
        table = table.rename_columns([f"column_{i + 1}" for i in range(len(table.column_names))])
    _note_dialect(dialect, kind, options, reading, reasons)
    return Sample(path, table, len(table), True, reading, reasons)


def _check_text(text: str, path: Path) -> None:
    if "\x00" in text:
        raise DataError(
            f"{path} is no text: it holds bytes that are no characters; known are {', '.join(sorted(TABLES))}"
        )


def _note_dialect(
    dialect: Dialect, kind: str, options: Options, reading: dict[str, Any], reasons: dict[str, str]
) -> None:
    """What differs from `read_table`'s defaults, and why."""
    if dialect.separator != _USUAL.get(kind):
        reading["separator"] = dialect.separator
        reasons["separator"] = "what stands between two cells"
    if not dialect.quoting:
        reading["quoting"] = False
        reasons["quoting"] = 'in this file " is a plain character'
    if not dialect.header:
        reading["header"] = False
        reasons["header"] = "the file has no header" + f": {dialect.why_header}" * bool(dialect.why_header)


def _encoding(path: Path, options: Options) -> tuple[dict[str, Any], dict[str, str]]:
    found = options.encoding or find_encoding(path)
    if found in ("utf-8", "utf-8-sig"):
        return {}, {}
    return {"encoding": found}, {"encoding": "given" if options.encoding else "it is not UTF-8; this is a guess"}


@contextmanager
def _parts(path: Path) -> Iterator[tuple[Path, float]]:
    """A temporary file with lines from all parts of a large one, and which share of it they are."""
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / path.name.removesuffix(".gz").removesuffix(".GZ")
        size = path.stat().st_size
        packed = part.name != path.name
        with open_bytes(path) as source, part.open("wb") as target:
            length = _WHOLE // _PARTS
            target.write(source.read(length).rpartition(b"\n")[0] + b"\n")
            for i in range(1, 1 if packed else _PARTS):  # what is packed can only be read from its start
                source.seek(i * (size - length) // (_PARTS - 1))
                lines = source.read(length).partition(b"\n")[2].rpartition(b"\n")[0]
                target.write(lines + b"\n" * bool(lines))
        yield part, part.stat().st_size / (size * (4 if packed else 1))


def _of_parquet(path: Path) -> Sample:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
    with file:
        rows, groups = file.metadata.num_rows, file.num_row_groups
        if rows <= _PARTS * _PART_ROWS or os.path.getsize(path) <= _WHOLE:
            return Sample(path, read_table(path), rows, True)
        chosen = sorted({i * (groups - 1) // (_PARTS - 1) for i in range(_PARTS)})
        each = _PARTS * _PART_ROWS // len(chosen)
        batches = [next(file.iter_batches(batch_size=each, row_groups=[i])) for i in chosen]
        return Sample(path, pa.Table.from_batches(batches), rows, False)
