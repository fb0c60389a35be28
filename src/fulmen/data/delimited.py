"""Text tables: cells between separators."""

from __future__ import annotations

import csv as python_csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fulmen.core.errors import DataError
from fulmen.data.encoding import open_text

if TYPE_CHECKING:
    import pyarrow as pa

_UTF8 = ("utf8", "utf8sig")


class Delimited:
    """A text table: how it is written, and how it is read.

    Args:
        path: The file; ``.gz`` is unpacked.
        separator: What stands between cells, one character.
        quoting: Whether ``"`` around a cell keeps separators and line ends in it.
        encoding: Its name in Python.
        header: Whether the first line holds the names; or the names.

    Raises:
        DataError: If the names cannot be found.
    """

    def __init__(self, path: Path, separator: str, quoting: bool, encoding: str, header: bool | Sequence[str]) -> None:
        if len(separator) != 1 or ord(separator) > 127:
            raise DataError(f"separator: {separator!r} is not allowed; it is one character, such as ',' or '\\t'")
        self.path, self.separator, self.quoting, self.encoding = path, separator, quoting, encoding
        first, lines = self._first_row()
        self.skipped = lines if header is True else 0
        if isinstance(header, bool):
            self.names = [name.strip() or str(i) for i, name in enumerate(first)]
            self.names = self.names if header else [str(i) for i in range(len(first))]
        else:
            self.names = list(header)
            self.skipped = lines if self.names == [name.strip() for name in first] else 0  # they stand there too
            if len(self.names) != len(first):
                raise DataError(
                    f"header: {len(self.names)} names are given, the first line of {path} has {len(first)} cells "
                    f"(separated by {_quoted(separator)})"
                )
        others = [mark for mark in ",;\t|" if mark in first[0] and mark != separator] if len(first) == 1 else []
        if others and header is True:
            raise DataError(
                f"{path} has one column when cells are separated by {_quoted(separator)}: {first[0][:60]!r}; "
                f"set `separator: {_quoted(max(others, key=first[0].count))}`"
            )

    def read(
        self, columns: Sequence[str] | None, missing: Sequence[str], as_text: Sequence[str], decimal: str
    ) -> pa.Table:
        """The table, with pyarrow's types."""
        import pyarrow as pa
        from pyarrow import csv

        check_names(self.path, self.names)
        try:
            with pa.input_stream(str(self.path), compression="detect") as stream:
                table = csv.read_csv(
                    stream,
                    read_options=csv.ReadOptions(
                        column_names=self.names,
                        skip_rows=self.skipped,
                        encoding="utf8" if self._is_utf8 else self.encoding,
                        block_size=1 << 23,
                    ),
                    parse_options=csv.ParseOptions(
                        delimiter=self.separator,
                        quote_char='"' if self.quoting else False,
                        newlines_in_values=self.quoting,
                    ),
                    convert_options=csv.ConvertOptions(
                        null_values=[*missing, *(f" {word}" for word in missing)],
                        column_types={name: pa.string() for name in as_text},
                        include_columns=columns,
                        strings_can_be_null=False,
                        decimal_point=decimal,
                    ),
                )
        except (pa.ArrowInvalid, UnicodeError, LookupError) as error:
            raise self._explained(error) from error
        self._check_quotes(table)
        return table

    @property
    def _is_utf8(self) -> bool:
        return self.encoding.lower().replace("-", "").replace("_", "") in _UTF8

    @contextmanager
    def _rows(self, strict: bool) -> Iterator[Any]:
        """The rows as Python's own reader gives them, which knows the number of the line."""
        with open_text(self.path, self.encoding) as file:
            yield python_csv.reader(
                file,
                delimiter=self.separator,
                quoting=python_csv.QUOTE_MINIMAL if self.quoting else python_csv.QUOTE_NONE,
                strict=strict,
            )

    def _first_row(self) -> tuple[list[str], int]:
        """The cells of the first line that is not empty, and how many lines it and those before it take."""
        try:
            with self._rows(strict=False) as rows:
                first = next((row for row in rows if row), None)
                if first is None:
                    raise DataError(f"{self.path} is empty: it has no line with text")
                first[0] = first[0].removeprefix("\ufeff")
                return first, rows.line_num
        except (UnicodeError, LookupError, python_csv.Error) as error:
            raise self._explained(error) from error

    def _explained(self, error: Exception) -> DataError:
        """What is wrong with the file, and where."""
        if isinstance(error, LookupError):
            return DataError(f"encoding: {self.encoding!r} is not known; write utf-8, cp1252, latin-1 or the like")
        if isinstance(error, UnicodeError):
            return DataError(
                f"{self.path} cannot be read as {self.encoding}: {error}; set another `encoding` (cp1252, latin-1), or "
                "save the file as UTF-8"
            )
        return self._bad_row() or DataError(f"{self.path} cannot be read: {error}")

    def _bad_row(self) -> DataError | None:
        """The first row whose quotes do not match, or that has another number of cells."""
        start = 1
        try:
            with self._rows(strict=True) as rows:
                for row in rows:
                    if row and len(row) != len(self.names):
                        return DataError(
                            f"{self.path}, line {start}: {len(row)} cells, where {len(self.names)} are expected "
                            f"({', '.join(self.names[:8])}): {self.separator.join(row)[:80]!r}; repair the line (a "
                            f"cell that holds {_quoted(self.separator)} stands in quotes), or set another `separator`"
                        )
                    start = rows.line_num + 1
        except python_csv.Error as error:
            return DataError(
                f"{self.path}, line {start}: a quote does not match ({error}); if quotes are plain characters in this "
                "file, set `quoting: false`"
            )
        except UnicodeError:
            pass  # pyarrow's own message says more
        return None

    def _check_quotes(self, table: pa.Table) -> None:
        """A quote that is never closed swallows lines: cells with line ends in them are looked at closely."""
        import pyarrow as pa
        from pyarrow import compute

        texts = [c for c in table.columns if pa.types.is_string(c.type)]
        if self.quoting and any(compute.any(compute.match_substring(c, "\n")).as_py() for c in texts):
            error = self._bad_row()
            if error is not None:
                raise error


def check_names(path: Path, names: Sequence[str]) -> None:
    """Raises :class:`DataError` if two columns have the same name."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        places = [i + 1 for i, name in enumerate(names) if name == twice[0]]
        raise DataError(
            f"{path}: {len(places)} columns are called {twice[0]!r} (columns {', '.join(map(str, places))}); "
            "rename them in the file"
        )


def _quoted(separator: str) -> str:
    r"""As YAML takes it.

    >>> print(_quoted("\t"), _quoted(";"))
    "\t" ";"
    """
    return '"\\t"' if separator == "\t" else f'"{separator}"'
