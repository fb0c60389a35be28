"""How a text table is written: its separator, its quotes, and whether it has a header."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fulmen.data.reading import MISSING

_SEPARATORS = (",", ";", "\t", "|")
_LINES = 2000
_EVEN = 0.98
"""Share of the lines that have as many cells as the first, where the separator is the right one."""
_NUMBERS = 0.9
_REPEATED = 0.1


@dataclass(frozen=True)
class Dialect:
    """How a text table is written.

    Attributes:
        separator: What stands between two cells.
        quoting: Whether quotes around a cell keep separators and line ends in it.
        header: Whether the first line holds the names of the columns.
        why_header: What speaks against a header, where there is none.
    """

    separator: str
    quoting: bool
    header: bool
    why_header: str = ""


def find_dialect(
    text: str, ending: str, separator: str | None = None, quoting: bool | None = None, header: bool | None = None
) -> Dialect:
    r"""Finds out how a text table is written.

    Args:
        text: Its first lines, whole.
        ending: The file's ending, which says what is usual.
        separator: The separator, if it is known.
        quoting: Whether cells are quoted, if it is known.
        header: Whether there is a header, if it is known.

    >>> find_dialect("a fine film\t1\na bore\t0\n", ".tsv")
    Dialect(separator='\t', quoting=True, header=False, why_header='column 2 holds a number in the first line too')
    """
    lines = [line for line in text.splitlines() if line.strip()][:_LINES]
    separator = separator or _find_separator(lines, ending)
    if quoting is None:
        quoting = not _has_plain_quotes(lines, separator)
    rows = _rows(lines, separator, quoting)
    against = _against_a_header(rows) if header is None else ""
    return Dialect(separator, quoting, not against if header is None else header, against)


def _rows(lines: Sequence[str], separator: str, quoting: bool) -> list[list[str]]:
    how: Any = csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE
    try:
        return [row for row in csv.reader([f"{line}\n" for line in lines], delimiter=separator, quoting=how) if row]
    except csv.Error:  # a cell that is too long: what has been cut off a quote
        return [row for row in csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE) if row]


def _evenness(rows: Sequence[Sequence[str]]) -> float:
    """Share of the rows that have as many cells as the first; 0 for one cell a row."""
    width = len(rows[0]) if rows else 1
    return sum(len(row) == width for row in rows) / len(rows) if width > 1 else 0.0


def _find_separator(lines: Sequence[str], ending: str) -> str:
    """What cuts all lines into equally many cells, more than one; in doubt what the ending says."""
    usual = {".csv": ",", ".csv.gz": ","}.get(ending, "\t")
    even = {mark: max(_evenness(_rows(lines, mark, q)) for q in (True, False)) for mark in _SEPARATORS}
    if even[usual] >= _EVEN:
        return usual
    best = max(_SEPARATORS, key=lambda mark: even[mark])
    return best if even[best] >= _EVEN else usual


def _has_plain_quotes(lines: Sequence[str], separator: str) -> bool:
    """Whether quotes are plain characters: each line by itself is even, and read with quotes lines would vanish."""
    if not any('"' in line for line in lines) or _evenness(_rows(lines, separator, quoting=False)) < 1:
        return False
    try:
        strict = list(csv.reader([f"{line}\n" for line in lines], delimiter=separator, strict=True))
    except csv.Error:
        return True
    return len(strict) < len(lines)


def _against_a_header(rows: Sequence[Sequence[str]]) -> str:
    """What speaks against a header, or nothing."""
    if len(rows) < 2:
        return ""
    first, rest = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    against = ""
    for i, cell in enumerate(first):
        below = [row[i].strip() for row in rest if row[i].strip() not in MISSING]
        if not below:
            continue
        if sum(map(_is_number, below)) >= _NUMBERS * len(below):
            if not _is_number(cell):
                return ""
            against = against or f"column {i + 1} holds a number in the first line too"
        elif cell.strip() in _repeated(below):
            against = against or f"column {i + 1} holds {cell.strip()!r} in the first line, and below as well"
    return against


def _repeated(cells: Sequence[str]) -> set[str]:
    """The values of a column that has few."""
    counts = Counter(cells)
    return {value for value in counts if counts[value] > 1} if len(counts) <= max(_REPEATED * len(cells), 2) else set()


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True
