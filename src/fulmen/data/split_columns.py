"""Columns that decide a split: groups and times."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fulmen.core.errors import DataError


def as_groups(values: NDArray[Any], name: str, what: str = "group") -> tuple[list[str], NDArray[np.int64]]:
    """The groups in the order in which they appear, and the number of each sample's group.

    Args:
        values: ``(N,)`` texts, numbers or dates.
        name: What messages call the column.
        what: What messages call a value.

    Raises:
        DataError: If a value is missing.

    >>> as_groups(np.array(["b", "a", "b"]), "person")
    (['b', 'a'], array([0, 1, 0]))
    """
    import pyarrow as pa

    encoded = _column(values, name, what).dictionary_encode()
    names = encoded.dictionary.cast(pa.string()).to_pylist()
    return names, encoded.indices.to_numpy().astype(np.int64)


def as_times(values: NDArray[Any], name: str) -> NDArray[np.generic]:
    """Times that can be sorted: numbers or dates as they are, texts as numbers or ISO 8601 dates.

    Args:
        values: ``(N,)`` texts, numbers or dates.
        name: What messages call the column.

    Raises:
        DataError: If a value is missing, or no time.

    >>> as_times(np.array(["10", "9"]), "year"), as_times(np.array(["2026-01-31 12:00"]), "taken")
    (array([10.,  9.]), array(['2026-01-31T12:00:00.000000'], dtype='datetime64[us]'))
    """
    import pyarrow as pa

    column = _column(values, name, "time")
    if not pa.types.is_string(column.type):
        return np.asarray(column.to_numpy(zero_copy_only=False))
    for kind in (pa.float64(), pa.timestamp("us"), pa.timestamp("us", tz="UTC")):
        try:
            times = column.cast(kind)
        except pa.ArrowInvalid as error:
            reason = error
            continue
        return np.asarray(times.to_numpy(zero_copy_only=False))
    raise DataError(
        f"split_by: column {name!r} holds texts that are no times ({reason}); write numbers, or dates such as "
        "2026-01-31 or 2026-01-31 18:30:00, all in one form"
    )


def _column(values: NDArray[Any], name: str, what: str) -> Any:
    """As an array of arrow, none of which is missing."""
    import pyarrow as pa

    try:
        column = pa.array(values, from_pandas=True)  # NaN and NaT are missing
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"split_by: column {name!r} holds values of several kinds ({error})") from error
    missing = column.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_string(column.type):
        import pyarrow.compute as pc

        missing = missing | np.asarray(pc.equal(pc.utf8_trim_whitespace(column).fill_null(""), "").to_numpy(False))
    if missing.any():
        raise DataError(
            f"split_by: {int(missing.sum())} samples have no {what} in column {name!r}, the first is row "
            f"{int(np.flatnonzero(missing)[0])}; fill them in, or remove these samples"
        )
    return column
