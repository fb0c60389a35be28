from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.evaluation.made import predictions

from fulmen.evaluation import intervals, scores
from fulmen.evaluation.slices import groups, make_slices


def sizes(values: list[object] | np.ndarray) -> dict[str, int]:
    return {name: int(mask.sum()) for name, mask in groups(np.asarray(values))}


def test_numbers_are_divided_at_their_quartiles() -> None:
    found = sizes(np.arange(100.0))
    assert found == {"below 25": 25, "25 or more, below 50": 25, "50 or more, below 75": 25, "75 or more": 25}
    with_gaps = np.append(np.arange(100.0), [np.nan] * 7)
    assert sizes(with_gaps)["missing"] == 7


def test_few_numbers_and_texts_are_divided_by_value() -> None:
    assert sizes(np.array([1, 2, 2, 3])) == {"2": 2, "1": 1, "3": 1}
    assert sizes(np.array(["m", "f", "m", None, ""], object)) == {"m": 2, "f": 1, "missing": 2}
    assert sizes(np.array([True, False, True])) == {"True": 2, "False": 1}


def test_the_rarest_of_many_values_are_pooled() -> None:
    values = np.array([f"v{i}" for i in range(30) for _ in range(30 - i)], object)
    found = sizes(values)
    assert len(found) == 10
    assert found["v0"] == 30
    assert found["21 rarer values"] == sum(range(1, 22))


def test_times_are_divided_at_their_quartiles() -> None:
    days = np.array(["2024-01-01"], "datetime64[D]") + np.arange(40)
    assert list(sizes(days)) == [
        "below 2024-01-11", "2024-01-11 or more, below 2024-01-21", "2024-01-21 or more, below 2024-01-31",
        "2024-01-31 or more",
    ]  # fmt: skip


def test_a_value_that_most_samples_have_leaves_no_group_empty() -> None:
    values = np.append(np.zeros(90), np.arange(1, 21))
    assert sum(sizes(values).values()) == 110
    assert min(sizes(values).values()) > 0


@settings(deadline=None, max_examples=60)
@given(
    st.one_of(
        hnp.arrays(np.float64, st.integers(1, 60)),
        hnp.arrays(np.int64, st.integers(1, 60), elements=st.integers(-20, 20)),
        st.lists(st.one_of(st.none(), st.text(max_size=2)), min_size=1, max_size=60).map(
            lambda v: np.array([*v, None], object)[:-1]
        ),
    )
)
def test_every_sample_is_in_one_group(values: np.ndarray) -> None:
    masks = np.stack([mask for _, mask in groups(values)])
    assert (masks.sum(0) == 1).all()
    assert masks.any(1).all()


def test_a_slice_scores_as_its_samples_do() -> None:
    made = predictions("multiclass", 300)
    site = np.array(["a", "b", "c"], object)[np.arange(300) % 3]
    found = make_slices(made, {"site": site}, "accuracy", True, 200)
    assert [part.value for part in found] == ["a", "b", "c"]
    for part in found:
        rows = made.take(site == part.value)
        assert part.samples == 100
        assert part.scores == scores(rows)
        assert part.interval == intervals(rows, 200)["accuracy"]
        assert part.baseline == np.bincount(rows.targets).max() / 100
        assert not part.worse
        assert not part.better


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_slice_that_is_worse_is_found(task: str) -> None:
    made = predictions(task, 400)
    bad = np.arange(400) < 60
    if task == "binary":
        right = np.where(bad, 1 - made.targets, made.targets)
        made, metric = replace(made, predicted=right), "accuracy"
    else:
        off = (made.targets + np.where(bad, 9, 1)[:, None] * np.random.default_rng(0).normal(size=(400, 1))).astype(
            "f4"
        )
        made, metric = replace(made, predicted=off, scores=off), "mae"
    found = {p.value: p for p in make_slices(made, {"bad": bad}, metric, task == "binary", 300)}
    assert found["True"].worse
    assert found["False"].better
    assert not found["False"].worse


def test_a_few_wrong_samples_are_no_finding() -> None:
    made = predictions("binary", 200)
    made = replace(made, predicted=np.where(np.arange(200) % 4 == 0, 1 - made.targets, made.targets))
    tiny = np.where(np.arange(200) < 1, "x", "y")
    (_, alone) = sorted(make_slices(made, {"c": tiny}, "accuracy", True, 300), key=lambda part: -part.samples)
    assert alone.scores["accuracy"] == 0
    assert alone.interval is None
    assert not alone.worse
    twelve_right = np.where(
        (np.arange(200) % 4 != 0) & (np.arange(200) < 16), "x", "y"
    )  # 12 right of 12: 3 % by chance
    part = next(p for p in make_slices(made, {"c": twelve_right}, "accuracy", True, 1000) if p.value == "x")
    assert part.interval is not None
    assert part.interval.low == 1
    assert not part.better
