"""What columns are taken for."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fulmen.core.errors import ConfigError
from fulmen.data.columns import as_dates, as_numbers, describe, infer_column, infer_columns

RNG = np.random.default_rng(0)
DAY = datetime.date(2020, 1, 31)


def col(values: Any, kind: Any = None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, kind)])


CASES: dict[str, tuple[Any, str, str]] = {
    "fractions": (RNG.normal(size=50), "number", " to "),
    "many whole numbers": ([int(i) for i in RNG.integers(0, 80, 200)], "number", " to "),
    "many with gaps": ([None, *(float(i) for i in RNG.integers(0, 80, 200))], "number", " to "),
    "numbers in texts": ([" 1.5", "2", "-3e2", None] * 5, "number", "-300 to 2"),
    "two numbers": ([0, 1] * 10, "number", "0 to 1"),
    "one number or nothing": ([1.0, None] * 10, "number", "1 to 1"),
    "a rating": ([1, 2, 3, 4, 5] * 9, "category", "1 to 5"),
    "a rating in texts": (["1", "2", "3"] * 9, "category", "1 to 3"),
    "a rating with gaps": ([1.0, 2.0, None, 3.0] * 9, "category", "1 to 3"),
    "quarters": ([0.25, 0.5, 0.75] * 9, "number", " to "),
    "row numbers": (list(range(100, 150)), "ignore", "identifier"),
    "row numbers of a part": ([int(i) for i in RNG.permutation(100)[:70]], "ignore", "identifier"),
    "few different whole numbers": (list(range(8)), "number", "0 to 7"),
    "large and all different": ([int(i) * 10_007 for i in RNG.permutation(60)], "number", " to "),
    "one number": ([7] * 30, "ignore", "one value"),
    "one word": (["a"] * 30, "ignore", "one value"),
    "one word or nothing": (["a", None] * 30, "category", "100%"),
    "nothing": ([None] * 5, "ignore", "no value"),
    "words": (["red", "green ", "blue", "green"] * 9, "category", "50%"),
    "few rows of words": (["a", "b", "a", "c", "b", "a"], "category", "50%"),
    "names": ([f"name {i}" for i in range(40)], "ignore", "text that is different"),
    "few names": (["Ann", "Bob", "Cay"], "ignore", "text that is different"),
    "tickets": ([f"ticket {i // 2}" for i in range(90)], "ignore", "text that is different"),
    "decimal commas": ([f"{i},5" for i in range(40)], "ignore", "numbers with a comma? set `decimal`"),
    "towns": ([f"town {i % 30}" for i in range(300)], "category", "3%"),
    "booleans": ([True, False, None] * 9, "boolean", ""),
    "yes and no": (["Yes", "no", None] * 9, "boolean", "yes or no"),
    "dates": ([DAY, DAY.replace(day=1)] * 9, "date", "2020-01-01 to 2020-01-31"),
    "dates in texts": (["2020-01-31", None, "2019-05-01 10:00"] * 9, "date", "2019-05-01 to 2020-01-31"),
    "times of day": ([datetime.time(10, i) for i in range(20)], "number", "36,000 to 37,140"),
    "lists": ([[1], [2]], "ignore", "no number, text or date"),
}


@pytest.mark.parametrize("name", CASES)
def test_infer(name: str) -> None:
    values, kind, why = CASES[name]
    found = infer_column("x", col(values))
    assert (found.kind, why in found.why) == (kind, True), found


@pytest.mark.parametrize("name", [n for n in CASES if n not in ("lists", "nothing")])
def test_a_column_stored_as_text_is_taken_for_the_same(name: str) -> None:
    """One odd value elsewhere in the file makes a column text: what the training rows hold decides all the same."""
    values, kind, _ = CASES[name]
    as_text = [None if v is None or v != v else str(v) for v in values]
    assert infer_column("x", col(as_text, pa.string())).kind == kind


def test_counts() -> None:
    found = infer_column("x", col([1.5, None, float("nan"), 1.5, 2.0]))
    assert (found.missing, found.distinct) == (2, 2)
    found = infer_column("x", col(["a", None, " a", "b", "b", "a"]))
    assert (found.missing, found.distinct) == (1, 2)


def test_overrides() -> None:
    table = pa.table({"zip": [10, 20, 30] * 30, "note": ["a", "b", "c"] * 30})
    assert [c.kind for c in infer_columns(table)] == ["category", "category"]
    found = infer_columns(table, {"zip": "number", "note": "ignore"})
    assert [(c.kind, c.why) for c in found] == [("number", "as `types` says"), ("ignore", "as `types` says")]
    assert infer_column("x", col([None, None]), "number").kind == "number"
    with pytest.raises(ConfigError, match="types: unknown column 'zpi'; did you mean 'zip'"):
        infer_columns(table, {"zpi": "number"})
    with pytest.raises(ConfigError, match="types: zip: unknown type 'numbr'; did you mean 'number'"):
        infer_columns(table, {"zip": "numbr"})  # type: ignore[dict-item]


def test_numbers_and_dates() -> None:
    np.testing.assert_array_equal(as_numbers(col(["1", " 2.5 ", None])), [1, 2.5, np.nan])
    np.testing.assert_array_equal(as_numbers(col(["10:30", None, "00:00:05"])), [37800, np.nan, 5])
    np.testing.assert_array_equal(as_numbers(col([True, None])), [1, np.nan])
    assert as_numbers(col(["1", "x"])) is None
    assert as_numbers(col([DAY])) is None
    expected = np.array(["2020-01-31", "NaT"], "M8[us]")
    for values in ([DAY, None], ["2020-01-31", None], ["2020-01-31T00:00:00Z", None]):
        np.testing.assert_array_equal(as_dates(col(values)), expected)
    zoned = col([datetime.datetime(2020, 1, 31, tzinfo=datetime.UTC), None])
    np.testing.assert_array_equal(as_dates(zoned), expected)
    assert as_dates(col(["yesterday"])) is None
    assert as_dates(col([1])) is None


def test_describe_is_aligned() -> None:
    table = pa.table({"a": [1.5, 2.5, None, 1.5, 2.5], "a long name": ["x", "y", "x", "x", "y"]})
    lines = describe(infer_columns(table)).splitlines()
    assert lines[0].split() == ["column", "type", "missing", "distinct", "why"]
    assert lines[1] == "a            number          1         2  1.5 to 2.5"
    assert lines[2] == "a long name  category        0         2  the most frequent value in 60% of the rows"
