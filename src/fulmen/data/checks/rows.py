"""Which rows of an array are equal, by one number for each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

_AT_ONCE = 32 * 2**20  # bytes


def row_keys(array: NDArray[Any]) -> NDArray[np.uint64]:
    """A hash ``(N,)`` of each row's bytes; different rows have the same one in 1 of 2^64 pairs or so.

    Args:
        array: ``(N, ...)``, of any type of fixed size.
    """
    rows = np.ascontiguousarray(array).reshape(len(array), -1)
    width = rows.shape[1] * rows.itemsize
    word = next(size for size in (8, 4, 2, 1) if width % size == 0)
    words = rows.view(f"u{word}") if width else np.zeros((len(rows), 1), "u1")
    factors = np.random.default_rng(0).integers(1 << 63, size=words.shape[1], dtype=np.uint64) * np.uint64(
        2
    ) + np.uint64(1)
    keys = np.empty(len(rows), np.uint64)
    step = max(_AT_ONCE // (8 * words.shape[1]), 1)
    for start in range(0, len(rows), step):
        part = words[start : start + step].astype(np.uint64)
        part ^= part >> np.uint64(32)
        part *= factors
        part ^= part >> np.uint64(29)
        keys[start : start + step] = part.sum(axis=1, dtype=np.uint64)
    return keys


def column_keys(values: pa.ChunkedArray) -> NDArray[np.uint64]:
    """A number ``(N,)`` for each value of a column; missing values have one of their own."""
    import pyarrow as pa

    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or pa.types.is_boolean(values.type):
        numbers = values.cast(pa.float64()).to_numpy() + 0.0  # -0 is 0; missing values are NaN
        return np.where(np.isnan(numbers), np.nan, numbers).view(np.uint64)
    indices = values.dictionary_encode().combine_chunks().indices
    return np.asarray(indices.fill_null(-1).to_numpy(), np.int64).view(np.uint64)


def joint_keys(columns: Iterable[NDArray[np.uint64]], size: int) -> NDArray[np.uint64]:
    """A hash ``(size,)`` of the values that columns of numbers have in a row."""
    keys = np.zeros(size, np.uint64)
    for column in columns:
        keys = (keys ^ column) * np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, made odd
        keys ^= keys >> np.uint64(32)
    return keys


def with_targets(keys: NDArray[np.uint64], targets: NDArray[Any] | None) -> NDArray[np.uint64]:
    """A hash ``(N,)`` of rows that have a hash already, and their targets."""
    return keys if targets is None else joint_keys([keys, row_keys(targets)], len(keys))


def count_distinct(values: NDArray[Any]) -> int:
    """How many different values there are; by sorting, which is many times as fast as ``np.unique`` without counts.

    >>> count_distinct(np.array([3, 1, 3]))
    2
    """
    ordered = np.sort(values)
    return int((ordered[1:] != ordered[:-1]).sum()) + int(len(values) > 0)
