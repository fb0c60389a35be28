"""What the columns of a table are: numbers, categories, yes or no, dates, or nothing to learn from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fulmen.core.errors import ConfigError, unknown

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["number", "category", "boolean", "date", "ignore"]
KINDS: tuple[str, ...] = get_args(Kind)
FEW = 10
"""Whole numbers of so few different values (a class, a rating, a month) are categories."""
_FEW_WORDS = 20
_TRIED_FIRST = 1000
_YES_NO = ({"true", "false"}, {"yes", "no"}, {"y", "n"}, {"t", "f"})
YES = frozenset({"true", "yes", "y", "t"})
NO = frozenset({"false", "no", "n", "f"})


@dataclass(frozen=True)
class Column:
    """What a column is taken for.

    Attributes:
        name: Its name.
        kind: ``number``, ``category``, ``boolean``, ``date``, or ``ignore``.
        why: Why it is ignored; else what it holds.
        missing: Rows without a value.
        distinct: Different values.
        numeric: Whether the values are numbers (also of a ``category``, so that 1.0 is 1).
    """

    name: str
    kind: Kind
    why: str
    missing: int
    distinct: int
    numeric: bool = False


def infer_columns(table: pa.Table, kinds: Mapping[str, Kind] | None = None) -> list[Column]:
    """What each column of a table is taken for.

    Args:
        table: The rows to learn from, without the target.
        kinds: What some are said to be.

    Raises:
        ConfigError: If ``kinds`` names a column or a kind that there is not.
    """
    check_kinds(kinds or {}, table.column_names)
    return [infer_column(name, table[name], (kinds or {}).get(name)) for name in table.column_names]


def check_kinds(kinds: Mapping[str, str], names: Collection[str]) -> None:
    """Raises :class:`ConfigError` if ``kinds`` names a column or a kind that there is not."""
    for name, kind in kinds.items():
        if name not in names:
            raise ConfigError(f"types: {unknown('column', name, names)}")
        if kind not in KINDS:
            raise ConfigError(f"types: {name}: {unknown('type', str(kind), KINDS)}")


def infer_column(name: str, values: pa.ChunkedArray, kind: Kind | None = None) -> Column:
    """What a column is taken for, by its values alone: not by the type in which they are stored.

    * ``ignore``: no value at all; one value everywhere; whole numbers that count rows; texts that are different in
      most rows (names, tickets, free text).
    * ``boolean``: true/false or yes/no.
    * ``category``: text with repeated values; whole numbers of 3 to 10 different values.
    * ``date``: dates and times as ISO 8601 writes them (2026-01-31, 2026-01-31 18:30).
    * ``number``: all other numbers.

    Args:
        name: The column's name.
        values: Its values in the rows to learn from.
        kind: What it is said to be; ``None``: what it looks like.

    >>> import pyarrow as pa
    >>> infer_column("fare", pa.chunked_array([[7.25, 8.05, None, 53.1]])).kind
    'number'
    """
    numbers = as_numbers(values)
    if numbers is not None:
        found = numbers[~np.isnan(numbers)]
        missing = len(numbers) - len(found)
        distinct = _count_distinct(found)
        looks, why = _of_numbers(found, distinct, missing)
        if _is(values, "boolean"):
            looks, why = ("boolean", why) if looks == "number" else (looks, why)
    else:
        missing = values.null_count
        looks, why, distinct = _of_others(values)
    if distinct == 0:
        looks, why = "ignore", "no value"
    elif distinct == 1 and not missing:
        looks, why = "ignore", "one value in all rows"
    if kind is not None and kind != looks:
        looks, why = kind, "as `types` says"
    as_written = kind == "category" and _is(values, "string")  # 01 is not 1
    return Column(name, looks, why, missing, distinct, numbers is not None and not as_written)


def _of_numbers(found: NDArray[np.float64], distinct: int, missing: int) -> tuple[Kind, str]:
    if not distinct:
        return "ignore", "no value"
    low, high = float(found.min()), float(found.max())
    if distinct > 2 and bool(np.isfinite(found).all()) and bool((found == np.round(found)).all()):
        dense = distinct == len(found) >= 20 and not missing and high - low < 2 * len(found)
        if dense:
            return "ignore", "an identifier: whole numbers, each once"
        if distinct <= FEW and distinct < len(found):
            return "category", f"whole numbers {_show(low)} to {_show(high)}"
    return "number", f"{_show(low)} to {_show(high)}"


def _show(number: float) -> str:
    return f"{number:,.0f}" if number.is_integer() and abs(number) < 1e15 else f"{number:.4g}"


def _of_others(values: pa.ChunkedArray) -> tuple[Kind, str, int]:
    """Of dates, texts and what else there is: the kind, why, and how many different values there are."""
    import pyarrow as pa
    from pyarrow import compute

    present = len(values) - values.null_count
    dates = as_dates(values)
    if dates is not None and present:
        found = dates[~np.isnat(dates)]
        return "date", f"{found.min().astype('M8[D]')} to {found.max().astype('M8[D]')}", _count_distinct(found)
    if not pa.types.is_string(values.type):
        return "ignore", f"holds {values.type}, which is no number, text or date", present
    words = compute.utf8_trim_whitespace(values)
    distinct = int(compute.count_distinct(words).as_py())
    if distinct == 2 and {w.lower() for w in compute.unique(words).to_pylist() if w} in _YES_NO:
        return "boolean", "yes or no", distinct
    if distinct > 0.2 * present and (distinct > _FEW_WORDS or distinct > 0.5 * present):
        commas = _parse(compute.replace_substring(words.slice(0, _TRIED_FIRST), ",", "."), pa.float64()) is not None
        hint = "; numbers with a comma? set `decimal`" if commas else ""
        return "ignore", f"text that is different in most rows{hint}", distinct
    counts = compute.value_counts(words.drop_null()).field("counts")
    share = compute.max(counts).as_py() / present if present else 0
    return "category", f"the most frequent value in {share:.0%} of the rows", distinct


def as_numbers(values: pa.ChunkedArray) -> NDArray[np.float64] | None:
    """A column as numbers, NaN where there is no value; times of day in seconds.

    Args:
        values: Numbers, booleans, times of day, or texts that are all numbers.

    Returns:
        ``(N,)``; ``None`` if they are no numbers, or no value is there.

    >>> import pyarrow as pa
    >>> as_numbers(pa.chunked_array([["1", None, " 2.5"]]))
    array([1. , nan, 2.5])
    """
    import pyarrow as pa
    from pyarrow import compute

    kind = values.type
    if values.null_count == len(values):
        return None
    if pa.types.is_string(kind):
        found = _parse(values, pa.float64())
        return _times_of_day(values) if found is None else np.asarray(found.to_numpy(), np.float64)
    if pa.types.is_time(kind):
        unit = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[kind.unit]
        values = compute.divide(
            values.cast(pa.int32() if kind.bit_width == 32 else pa.int64()).cast(pa.float64()), unit
        )
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        return None
    return np.asarray(values.cast(pa.float64()).to_numpy(), np.float64)


def _times_of_day(words: pa.ChunkedArray) -> NDArray[np.float64] | None:
    """Seconds since midnight of texts such as 18:30 or 18:30:05."""
    import pyarrow as pa

    found = _parse(words, pa.timestamp("us"), before="1970-01-01 ")
    if found is None:
        return None
    seconds = np.asarray(found.to_numpy(), "M8[us]").astype(np.int64) / 1e6
    return np.where(words.is_null().to_numpy(), np.nan, seconds)


def as_dates(values: pa.ChunkedArray) -> NDArray[np.datetime64] | None:
    """A column as times, NaT where there is no value.

    Args:
        values: Dates, timestamps, or texts that are all dates of ISO 8601.

    Returns:
        ``(N,)`` ``datetime64[us]``; ``None`` if they are no dates.
    """
    import pyarrow as pa

    if pa.types.is_date(values.type) or pa.types.is_timestamp(values.type):
        return np.asarray(values.cast(_plain_time(values.type)).to_numpy(), "M8[us]")
    if not pa.types.is_string(values.type):
        return None
    found = _parse(values, pa.timestamp("us"))
    found = _parse(values, pa.timestamp("us", tz="UTC")) if found is None else found
    return None if found is None else np.asarray(found.to_numpy(), "M8[us]")


def _parse(texts: pa.ChunkedArray, kind: Any, before: str = "") -> pa.ChunkedArray | None:
    """Texts as another type; ``None`` if one is not of it. A few are tried first: to fail on millions takes long."""
    import pyarrow as pa
    from pyarrow import compute

    made = None
    for part in (texts.slice(0, _TRIED_FIRST), texts):
        words = compute.utf8_trim_whitespace(part)
        words = compute.binary_join_element_wise(before, words, "") if before else words
        try:
            made = words.cast(kind)
        except pa.ArrowInvalid:
            return None
    return made


def _plain_time(kind: Any) -> Any:
    import pyarrow as pa

    return pa.timestamp("us", tz=kind.tz if pa.types.is_timestamp(kind) else None)


def _is(values: pa.ChunkedArray, kind: Literal["boolean", "string"]) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_boolean(values.type) if kind == "boolean" else pa.types.is_string(values.type))


def _count_distinct(values: NDArray[Any]) -> int:
    import pyarrow as pa
    from pyarrow import compute

    return int(compute.count_distinct(pa.array(values)).as_py())


def describe(columns: Sequence[Column]) -> str:
    """A table for people: what each column is taken for, and why.

    >>> print(describe([Column("age", "number", "0.4 to 80", 177, 88)]))
    column  type    missing  distinct  why
    age     number      177        88  0.4 to 80
    """
    rows = [(c.name[:30], c.kind, f"{c.missing:,}", f"{c.distinct:,}", c.why) for c in columns]
    head = ("column", "type", "missing", "distinct", "why")
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(4)]
    return "\n".join(_line(row, widths) for row in [head, *rows])


def _line(row: Iterable[str], widths: Sequence[int]) -> str:
    name, kind, missing, distinct, why = row
    cells = [name.ljust(widths[0]), kind.ljust(widths[1]), missing.rjust(widths[2]), distinct.rjust(widths[3]), why]
    return "  ".join(cells).rstrip()
