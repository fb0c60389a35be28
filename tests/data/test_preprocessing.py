"""What is learned of columns, beside what scikit-learn does with the same rows."""

from __future__ import annotations

import datetime
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from fulmen.core.errors import DataError
from fulmen.data.columns import Kind, infer_column
from fulmen.data.preprocessing import Learned, cardinality, encode_categories, encode_numbers, learn, width
from fulmen.data.reading import MISSING
from fulmen.data.table_rows import TableRows, one_hot

DESCRIBE = "a.csv, row {}".format


def col(values: Any, kind: Any = None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, kind)])


def learned(values: Any, kind: Kind, name: str = "x", min_frequency: int = 1, max_categories: int = 999) -> Learned:
    made = col(values)
    return learn(infer_column(name, made, kind), made, MISSING, min_frequency, max_categories, DESCRIBE)


def numbers(known: Learned, values: Any) -> np.ndarray[Any, Any]:
    return np.stack(list(encode_numbers(known, col(values), DESCRIBE)), axis=1)


def codes(known: Learned, values: Any) -> list[int]:
    found: list[int] = encode_categories(known, col(values), MISSING).tolist()
    return found


NUMBERS = st.lists(st.none() | st.floats(-1e6, 1e6, allow_subnormal=False), min_size=3, max_size=30)


@settings(deadline=None, max_examples=100)
@given(train=NUMBERS.filter(lambda v: any(x is not None for x in v)), other=NUMBERS)
def test_numbers_as_scikit_learn(train: list[float | None], other: list[float | None]) -> None:
    known = learned(train, "number")
    first, second = (np.array(v, float)[:, None] for v in (train, other))
    imputer = SimpleImputer(strategy="median", add_indicator=True).fit(first)
    expected = imputer.transform(second)
    expected[:, :1] = StandardScaler().fit(imputer.transform(first)[:, :1]).transform(expected[:, :1])
    np.testing.assert_allclose(numbers(known, other), expected, rtol=1e-9, atol=1e-9)
    assert width(known) == expected.shape[1]


WORDS = st.lists(st.none() | st.sampled_from(["a", "b", "c", "dd", "Z", "é"]), min_size=1, max_size=40)


@settings(deadline=None, max_examples=100)
@given(train=WORDS, other=WORDS, least=st.integers(1, 4), most=st.integers(1, 6))
def test_categories_as_scikit_learn(train: list[str | None], other: list[str | None], least: int, most: int) -> None:
    known = learned(train, "category", min_frequency=least)
    present = [[word] for word in train if word is not None and train.count(word) >= least]
    gaps = train.count(None) >= least
    if present:
        encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1).fit(np.array(present, object))
        expected = encoder.transform(np.array([[word or "?"] for word in other], object))[:, 0] + 1
        expected = np.where([word is None for word in other], cardinality(known) - 1 if gaps else 0, expected)
        assert codes(known, other) == expected.astype(int).tolist()
    assert cardinality(known) == 1 + len({word for [word] in present}) + gaps
    few = learned(train, "category", max_categories=most)
    kept = sorted({w for w in train if w}, key=lambda word: (-train.count(word), word))[:most]
    assert few["values"] == sorted(kept)


def test_one_hot_as_scikit_learn() -> None:
    train, other = ["a", "b", "c", "a"], ["c", "unseen", "a", "b"]
    known = learned(train, "category")
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(np.array(train)[:, None])
    inputs = torch.tensor([[0.5, code, 1] for code in codes(known, other)])
    made = one_hot(inputs, [cardinality(known), 3])
    np.testing.assert_array_equal(made[:, 1:4], encoder.transform(np.array(other)[:, None]))
    np.testing.assert_array_equal(made[:, 0], np.full(4, 0.5))
    np.testing.assert_array_equal(made[:, 4:], np.tile([1, 0], (4, 1)))


def test_rare_and_unseen_categories_share_code_0() -> None:
    known = learned(["a"] * 3 + ["b"] * 2 + ["once", None], "category", min_frequency=2)
    assert known["values"] == ["a", "b"]
    assert codes(known, ["a", "b", "once", "never", None]) == [1, 2, 0, 0, 0]  # one missing value is rare too
    known = learned(["a", "a", None, "NA"], "category", min_frequency=2)
    assert codes(known, ["a", None, "?", "b"]) == [1, 2, 2, 0]


def test_the_same_category_in_other_clothes() -> None:
    known = learned([1, 2, 3] * 9, "category")
    assert codes(known, [3.0, 1.0, None]) == codes(known, ["3", " 1.0", None]) == [3, 1, 0]
    known = learned([True, False], "category")
    assert codes(known, ["true", "False"]) == [2, 0]
    assert codes(learned(["01", "1"], "category"), ["1", "01", "1.0"]) == [2, 1, 0]
    assert codes(learned(["a", "b"], "category"), [None, None]) == [0, 0]


def test_dates_by_the_calendar() -> None:
    days = ["2020-02-29", "2021-12-31", None, "1969-12-31"]
    known = learned(days, "date")
    assert list(known["parts"]) == ["x days", "x month", "x weekday"]
    raw = [datetime.date.fromisoformat(d or "1969-12-31") for d in days]  # a day in the gap's place, for now
    parts = np.array([[(d - datetime.date(1970, 1, 1)).days, d.month, d.weekday()] for d in raw], float)
    parts[2] = np.median(np.delete(parts, 2, 0), axis=0)
    made = numbers(known, days)
    np.testing.assert_allclose(made[:, :3], make_pipeline(StandardScaler()).fit_transform(parts), rtol=1e-9)
    np.testing.assert_array_equal(made[:, 3], [0, 0, 1, 0])
    with_hours = learned(["2020-02-29 18:30", "2020-02-28", "2020-02-27"], "date")
    assert with_hours["parts"]["x hour"]["median"] == 0
    assert with_hours["parts"]["x hour"]["mean"] == pytest.approx(18.5 / 3)


def test_yes_and_no() -> None:
    known = learned(["Yes", "no", "no", None], "boolean")
    scale = known["parts"]["x"]
    np.testing.assert_allclose(numbers(known, ["NO", "yes", None])[:, 0] * scale["scale"] + scale["mean"], [0, 1, 0])
    np.testing.assert_allclose(numbers(known, [False, True, None]), numbers(known, ["no", "yes", None]))


def test_a_constant_column_gives_finite_inputs() -> None:
    known = learned([5.0, None, 5.0], "number")
    np.testing.assert_array_equal(numbers(known, [5.0, 7.0, None]), [[0, 0], [2, 0], [0, 1]])
    np.testing.assert_array_equal(numbers(learned([1.0, 2.0], "number"), [None, None]), [[0.0], [0.0]])
    np.testing.assert_array_equal(numbers(learned([None, None], "number"), [None, 3.0]), [[0, 1], [3, 0]])


def test_what_is_learned_is_plain() -> None:
    for known in (learned([1.0, None], "number"), learned(["a", "b"], "category"), learned(["2020-01-01"], "date")):
        assert json.loads(json.dumps(known)) == known


def test_wrong_values_are_named() -> None:
    known = learned([1.0, 2.0], "number", name="age")
    with pytest.raises(DataError, match=r"a\.csv, row 2: column 'age' holds 'forty', and should be a number"):
        numbers(known, ["1", None, "forty", "x"])
    with pytest.raises(DataError, match=r"a\.csv, row 1: column 'age' is infinite"):
        numbers(known, [1.0, float("inf")])
    with pytest.raises(DataError, match="row 1: column 'x' holds 'soon', and should be a date, such as 2026-01-31"):
        numbers(learned(["2020-01-01"], "date"), ["2020-01-01", "soon"])
    with pytest.raises(DataError, match="row 0: column 'x' holds 'perhaps', and should be yes/no"):
        numbers(learned(["yes", "no"], "boolean"), ["perhaps", "yes"])
    with pytest.raises(DataError, match="row 1: column 'x' holds 'b', and should be a number"):
        learned(["1", "b"], "number")


def test_batches_are_gathered() -> None:
    inputs = torch.arange(12.0).reshape(6, 2)
    rows = TableRows(inputs, torch.tensor([4, 1, 3]), torch.tensor([7, 8, 9]))
    batch = rows.__getitems__([2, 0])
    assert batch.inputs.tolist() == [[6, 7], [8, 9]]
    assert batch.targets is not None
    assert batch.targets.tolist() == [9, 7]
    assert batch.index.tolist() == [2, 0]
    padded = rows.__getitems__([0, -1])
    assert padded.index.tolist() == [0, -1]
    assert rows[1].inputs.tolist() == [2, 3]
    assert TableRows(inputs, torch.tensor([0]), None)[0].targets is None
