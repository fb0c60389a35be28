from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fulmen.core.errors import DataError
from fulmen.evaluation import Predictions

TASKS = ("multiclass", "binary", "multilabel", "regression")


def made(task: str, n: int = 7, seed: int = 0, names: list[str] | None = None) -> Predictions:
    draw = np.random.default_rng(seed)
    names = names or {"binary": ["no", "yes"], "regression": ["a", "b"]}.get(task, ["NA", "null", 'x, "y"'])
    raw = draw.normal(size=(n, len(names)))
    if task == "regression":
        targets, scores = raw * 1e6 / 3, (raw / 7).astype(np.float32)
        return Predictions(task, names, [f"s{i}" for i in range(n)], targets, scores, scores)
    p = np.exp(raw) / np.exp(raw).sum(1, keepdims=True) if task != "multilabel" else 1 / (1 + np.exp(-raw))
    if task == "multilabel":
        targets, predicted = draw.integers(0, 2, (n, len(names))), (p > 0.5).astype(np.int64)
    else:
        targets, predicted = draw.integers(0, len(names), n), p.argmax(1)
    return Predictions(
        task, names, [f"dir/{i}, a.png" for i in range(n)], targets, p.astype(np.float32), predicted, "test",
        {"fold": np.arange(n) % 3, "weight": draw.normal(size=n), "town": np.array(["", "NA", "é"] * n)[:n]},
    )  # fmt: skip


def same(one: Predictions, other: Predictions) -> None:
    assert (one.task, one.names, one.samples, one.split) == (other.task, other.names, other.samples, other.split)
    for name in ("targets", "scores", "predicted"):
        a, b = getattr(one, name), getattr(other, name)
        assert a.dtype == b.dtype, name
        np.testing.assert_array_equal(a, b)
    assert list(one.columns) == list(other.columns)
    for name, values in one.columns.items():
        np.testing.assert_array_equal(values, other.columns[name])


@pytest.mark.parametrize("task", TASKS)
def test_what_is_written_is_read_bit_by_bit(task: str, tmp_path: Path) -> None:
    given_ = made(task)
    given_.write(tmp_path / "deep" / "p.csv", checkpoint="best.ckpt")
    same(Predictions.read(tmp_path / "deep" / "p.csv"), given_)
    assert json.loads((tmp_path / "deep" / "p.json").read_text())["checkpoint"] == "best.ckpt"


@settings(deadline=None, max_examples=25)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), min_size=1), min_size=2, max_size=4,
                unique=True), st.integers(1, 9))  # fmt: skip
def test_any_names_are_kept(names: list[str], n: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        given_ = made("multiclass", n, names=names)
        given_.write(Path(folder) / "p.csv")
        same(Predictions.read(Path(folder) / "p.csv"), given_)


def test_the_table_can_be_read_by_others(tmp_path: Path) -> None:
    given_ = made("binary", 50)
    given_.write(tmp_path / "p.csv")
    table = pd.read_csv(tmp_path / "p.csv", keep_default_na=False)
    assert list(table) == [
        "sample",
        "fold",
        "weight",
        "town",
        "target",
        "prediction",
        "probability_no",
        "probability_yes",
    ]
    assert (table.target == table.prediction).mean() == (given_.targets == given_.predicted).mean()
    assert list(pd.read_csv(_written(made("multilabel"), tmp_path)))[4:7] == [
        "target_NA",
        "prediction_NA",
        "target_null",
    ]
    assert list(pd.read_csv(_written(made("regression"), tmp_path)))[1:3] == ["target_a", "prediction_a"]
    one = made("regression", names=["price"])
    assert list(pd.read_csv(_written(one, tmp_path))) == ["sample", "target", "prediction"]
    same(Predictions.read(tmp_path / "q.csv"), one)


def _written(predictions: Predictions, folder: Path) -> Path:
    predictions.write(folder / "q.csv")
    return folder / "q.csv"


@pytest.mark.parametrize("task", TASKS)
def test_parts_joined_are_the_whole(task: str) -> None:
    whole = made(task, 9)
    same(Predictions.join([whole.take(np.arange(4)), whole.take(np.arange(9) >= 4)]), whole)


def test_what_does_not_belong_together_is_not_joined() -> None:
    with pytest.raises(DataError, match=r"binary task with .* and of a multiclass task"):
        Predictions.join([made("binary"), made("multiclass")])


def test_a_column_that_one_part_lacks_is_left_out() -> None:
    whole = made("binary")
    plain = Predictions("binary", whole.names, whole.samples, whole.targets, whole.scores, whole.predicted)
    assert Predictions.join([whole, plain]).columns == {}


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        Predictions.read(tmp_path / "none.csv")
    made("binary").write(tmp_path / "p.csv")
    (tmp_path / "p.csv").write_text("sample,target,prediction\na,no,maybe\n")
    with pytest.raises(DataError, match="no table of predictions"):
        Predictions.read(tmp_path / "p.csv")
    (tmp_path / "p.json").unlink()
    with pytest.raises(DataError, match="two files"):
        Predictions.read(tmp_path / "p.csv")
