"""What is learned from the columns of a training split, and how it makes inputs of any rows.

scikit-learn's transformers learn; what they learned is kept in names and numbers, which a checkpoint holds without
pickle; applying it is array code, so that millions of rows take seconds. Tests hold both sides equal.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fulmen.core.errors import DataError
from fulmen.data.columns import NO, YES, Column, as_dates, as_numbers

if TYPE_CHECKING:
    import pyarrow as pa

Learned = dict[str, Any]
"""What was learned of one column: names, numbers, lists and mappings."""
Describe = Callable[[int], str]
_DAY = 86_400e6  # microseconds


def learn(
    column: Column,
    values: pa.ChunkedArray,
    missing: Collection[str],
    min_frequency: int,
    max_categories: int,
    describe: Describe,
) -> Learned:
    """What the preprocessing has to know of a column.

    Numbers: the median, which takes the place of missing values; whether any is missing, which becomes an input of its
    own; mean and standard deviation of the result. Dates become numbers: days since 1970, month, weekday, and
    hour where any time is not midnight. Categories: the values with a code of their own. Values that are rarer than
    ``min_frequency`` share code 0 with those that appear only later: so there is something to learn about
    the unknown.

    Args:
        column: What the column is taken for; not ``ignore``.
        values: Its values in the training split.
        missing: Words that stand for a missing value.
        min_frequency: Categories of fewer rows have no code of their own.
        max_categories: So many categories, the most frequent ones, have a code of their own.
        describe: What messages call a row of these values.

    Raises:
        DataError: If the values are not of this kind.
    """
    if column.kind == "category":
        found = _learn_categories(values, column.numeric, missing, min_frequency, max_categories)
        return {"name": column.name, "kind": column.kind, "numeric": column.numeric, **found}
    parts = _parts(column.name, column.kind, values, describe, None)
    gaps = bool(np.isnan(next(iter(parts.values()))).any())
    return {
        "name": column.name,
        "kind": column.kind,
        "parts": {name: _learn_numbers(numbers) for name, numbers in parts.items()},
        "indicator": gaps,
    }


def _learn_numbers(numbers: NDArray[np.float64]) -> dict[str, float]:
    from sklearn.preprocessing import StandardScaler

    gaps = np.isnan(numbers)
    median = float(np.median(numbers[~gaps])) if not gaps.all() else 0.0
    scaler = StandardScaler(copy=False).fit(np.where(gaps, median, numbers)[:, None])
    return {"median": median, "mean": float(scaler.mean_[0]), "scale": float(scaler.scale_[0])}


def _learn_categories(
    values: pa.ChunkedArray, numeric: bool, missing: Collection[str], min_frequency: int, max_categories: int
) -> dict[str, Any]:
    from sklearn.preprocessing import OrdinalEncoder

    keys, indices = category_keys(values, numeric, missing)
    counts: dict[str | None, int] = {None: int((indices < 0).sum())}
    for key, count in zip(keys, np.bincount(indices[indices >= 0], minlength=len(keys)).tolist(), strict=True):
        counts[key] = counts.get(key, 0) + count
    gaps = counts.pop(None) >= min_frequency
    frequent = sorted((-count, key) for key, count in counts.items() if key is not None and count >= min_frequency)
    kept = [[key] for _, key in frequent[:max_categories]]
    if not kept:
        return {"values": [], "missing": gaps}
    encoder = OrdinalEncoder().fit(np.array(kept, dtype=object))
    return {"values": [str(value) for value in encoder.categories_[0]], "missing": gaps}


def cardinality(learned: Learned) -> int:
    """How many codes a category column has: 0 for the unknown, one a value, and one for missing values."""
    return 1 + len(learned["values"]) + int(learned["missing"])


def width(learned: Learned) -> int:
    """How many numbers a column that is no category becomes."""
    return len(learned["parts"]) + int(learned["indicator"])


def encode_numbers(learned: Learned, values: pa.ChunkedArray, describe: Describe) -> Iterator[NDArray[np.float64]]:
    """The inputs ``(N,)`` that a number, a date or a yes/no column becomes, one after the other.

    Args:
        learned: What was learned of the column.
        values: Its values, of any rows.
        describe: What messages call a row of these values.

    Raises:
        DataError: If the values are not of the kind that was learned, or infinite.
    """
    parts = number_parts(learned, values, describe)
    gaps = None
    for name, numbers in learned["parts"].items():
        part = parts.pop(name)
        gaps = np.isnan(part)
        part = np.where(gaps, numbers["median"], part)
        part -= numbers["mean"]
        part /= numbers["scale"]
        yield part
    if learned["indicator"]:
        assert gaps is not None
        yield gaps.astype(np.float64)


def number_parts(learned: Learned, values: pa.ChunkedArray, describe: Describe) -> dict[str, NDArray[np.float64]]:
    """The numbers ``(N,)`` of a column that is no category, by name and as they are, NaN where there is no value.

    Args:
        learned: What was learned of the column.
        values: Its values, of any rows.
        describe: What messages call a row of these values.

    Raises:
        DataError: If the values are not of the kind that was learned, or infinite.
    """
    found = _parts(learned["name"], learned["kind"], values, describe, set(learned["parts"]))
    return {name: found[name] for name in learned["parts"]}


def encode_categories(learned: Learned, values: pa.ChunkedArray, missing: Collection[str]) -> NDArray[np.int64]:
    """The codes ``(N,)`` of a category column; 0 where the value is rare or was not in the training split.

    Args:
        learned: What was learned of the column.
        values: Its values, of any rows.
        missing: Words that stand for a missing value.
    """
    codes: Mapping[str | None, int] = {value: i for i, value in enumerate(learned["values"], 1)}
    codes = {**codes, None: len(codes) + 1 if learned["missing"] else 0}
    keys, indices = category_keys(values, learned["numeric"], missing)
    table = np.array([codes.get(key, 0) for key in [*keys, None]], np.int64)
    return np.asarray(table[indices])


def category_keys(
    values: pa.ChunkedArray, numeric: bool, missing: Collection[str] = ()
) -> tuple[list[str | None], NDArray[np.int64]]:
    """The different values of a column as texts, and the number of each row's value.

    Args:
        values: The column.
        numeric: Whether texts are numbers: then "1.0" is "1".
        missing: Words that stand for a missing value.

    Returns:
        The texts, ``None`` for such a word (two may be equal); and ``(N,)`` which of them a row holds, -1 for none.
    """
    if values.null_count == len(values):
        return [], np.full(len(values), -1)
    encoded = values.dictionary_encode().combine_chunks()
    words = {word.strip() for word in missing}
    keys = [_key(value, numeric) for value in encoded.dictionary.to_pylist()]
    indices = np.asarray(encoded.indices.fill_null(-1).to_numpy(), np.int64)
    return [None if key in words else key for key in keys], indices


def _key(value: object, numeric: bool) -> str:
    """A value as text; 1, 1.0 and, where numbers are expected, "1.0" are the same.

    >>> _key(1.0, False), _key("1.0", True), _key(" 01", False), _key(True, False)
    ('1', '1', '01', 'true')
    """
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value).strip()
    if numeric or isinstance(value, float):
        try:
            number = float(text)
        except ValueError:
            return text
        return str(int(number)) if number.is_integer() else str(number)
    return text


def _parts(
    name: str, kind: str, values: pa.ChunkedArray, describe: Describe, wanted: Collection[str] | None
) -> dict[str, NDArray[np.float64]]:
    """The numbers of a column by name, NaN where there is no value."""
    if values.null_count == len(values):
        return {part: np.full(len(values), np.nan) for part in wanted or [name]}
    if kind == "date":
        dates = as_dates(values)
        if dates is None:
            raise _wrong(name, kind, values, describe)
        return _date_parts(name, dates, wanted)
    numbers = _as_yes_no(values) if kind == "boolean" else None
    numbers = as_numbers(values) if numbers is None else numbers
    if numbers is None:
        raise _wrong(name, kind, values, describe)
    if np.isinf(numbers).any():
        row = int(np.flatnonzero(np.isinf(numbers))[0])
        raise DataError(f"{describe(row)}: column {name!r} is infinite; repair it, or leave the cell empty")
    return {name: numbers}


def _date_parts(name: str, dates: NDArray[Any], wanted: Collection[str] | None) -> dict[str, NDArray[np.float64]]:
    gaps = np.isnat(dates)
    days = dates.astype(np.int64) / _DAY
    parts = {
        f"{name} days": days,
        f"{name} month": (dates.astype("M8[M]").astype(np.int64) % 12 + 1).astype(np.float64),
        f"{name} weekday": (np.floor(days) + 3) % 7,  # 0 is Monday; 1970-01-01 was a Thursday
        f"{name} hour": days % 1 * 24,
    }
    for part in parts.values():
        part[gaps] = np.nan
    if wanted is None:
        wanted = [key for key, part in parts.items() if not key.endswith(" hour") or np.nanmax(part) > 0]
    return {key: part for key, part in parts.items() if key in wanted}


def _as_yes_no(values: pa.ChunkedArray) -> NDArray[np.float64] | None:
    """1 for yes, 0 for no; ``None`` where other words are found."""
    import pyarrow as pa

    if not pa.types.is_string(values.type):
        return None
    keys, indices = category_keys(values, False, ())
    words = [(key or "").lower() for key in keys]
    if not set(words) <= YES | NO:
        return None
    return np.array([*(float(word in YES) for word in words), np.nan])[indices]


def _wrong(name: str, kind: str, values: pa.ChunkedArray, describe: Describe) -> DataError:
    """Says which value is not of the kind, and in which row."""
    from pyarrow import compute

    distinct = values.drop_null().unique()
    bad = next((i for i in range(len(distinct)) if not _fits(kind, distinct.slice(i, 1))), 0)
    row = compute.index(values, distinct[bad]).as_py()
    should = {"number": "a number", "date": "a date, such as 2026-01-31", "boolean": "yes/no or true/false"}[kind]
    return DataError(
        f"{describe(row)}: column {name!r} holds {distinct[bad].as_py()!r}, and should be {should}; repair it, "
        f"empty the cell, or set `types: {{{name}: category}}` (or `ignore`) and train again"
    )


def _fits(kind: str, value: pa.Array) -> bool:
    import pyarrow as pa

    one = pa.chunked_array([value])
    if kind == "date":
        return as_dates(one) is not None
    return (kind == "boolean" and _as_yes_no(one) is not None) or as_numbers(one) is not None
