"""Targets from a column."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fulmen.core.errors import DataError
from fulmen.data.targets import num_outputs, read_targets


@pytest.mark.parametrize(
    ("cells", "kind", "names", "values"),
    [
        (["spam", "ham", "spam "], "binary", ["ham", "spam"], [1, 0, 1]),
        (["10", "9", "11"], "multiclass", ["9", "10", "11"], [1, 0, 2]),
        (["1", "0"], "binary", ["0", "1"], [1, 0]),
        (["1.0", "0.5", "-2e3"], "regression", None, [1.0, 0.5, -2000.0]),
        (["1.5", "a", "b"], "multiclass", ["1.5", "a", "b"], [0, 1, 2]),
        (["true", "false"], "binary", ["false", "true"], [1, 0]),
        (["²", "x"], "binary", ["x", "²"], [1, 0]),
    ],
)
def test_what_they_are_is_guessed(cells: list[str], kind: str, names: list[str] | None, values: list[float]) -> None:
    found = read_targets(cells)
    assert (found.target_type, found.class_names) == (kind, names)
    assert found.values.tolist() == values
    assert found.values.dtype == (torch.float32 if kind == "regression" else torch.int64)


def test_what_they_are_can_be_said() -> None:
    assert read_targets(["1", "2", "3"], "regression").values.tolist() == [1.0, 2.0, 3.0]
    assert read_targets(["0.5", "1.5", "0.5"], "binary").class_names == ["0.5", "1.5"]
    assert read_targets(["a", "b"], "multiclass").target_type == "multiclass"
    assert read_targets(["b"], "binary", ["a", "b"]).values.tolist() == [1]


@pytest.mark.parametrize(
    ("separator", "cells"), [("|", ["b|a", "", "c"]), (" ", ["b   a", "  ", " c"]), (";", ["b; a;", None, "c"])]
)
def test_several_labels(separator: str, cells: list[str | None]) -> None:
    found = read_targets(cells, label_separator=separator)
    assert (found.target_type, found.class_names) == ("multilabel", ["a", "b", "c"])
    assert found.values.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
    assert num_outputs(found.target_type, found.class_names) == 3


@pytest.mark.parametrize(
    ("cells", "options", "message"),
    [
        (["a", "", "b", None], {}, "2 samples have no label, the first is row 1"),
        (["1", "x"], {"target_type": "regression"}, "row 1: the target 'x' is no finite number"),
        (["1", "nan"], {"target_type": "regression"}, "row 1: the target 'nan' is no finite number"),
        (["1.5", "inf"], {}, "row 1: the target 'inf' is no finite number"),
        (["a", "a"], {}, "needs at least 2 classes; the target column holds 'a' alone"),
        (["a", "b", "c"], {"target_type": "binary"}, "a binary task has 2 classes; the targets hold 3: a, b, c"),
        (
            [f"id {i}" for i in range(50)],
            {},
            "50 samples have 50 different labels, such as 'id 0' and 'id 9': too many",
        ),
        (["a", "catt"], {"class_names": ["a", "cat"]}, "row 1: unknown class 'catt'; did you mean 'cat'"),
        (["a|x"], {"class_names": ["a"], "label_separator": "|"}, "row 0: unknown class 'x'"),
        (["", ""], {"label_separator": "|"}, "no sample has a label"),
        (["a"], {"target_type": "multilabel"}, "needs `label_separator`"),
        ([], {}, "needs at least 2 classes; the target column holds none alone"),
    ],
)
def test_mistakes(cells: list[str | None], options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as error:
        read_targets(cells, **options)
    assert message in str(error.value)
