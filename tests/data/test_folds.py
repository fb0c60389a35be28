"""Folds: a partition of all but the test samples, balanced by class, whole in groups, ordered in time."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from fulmen.core.errors import DataError
from fulmen.data import ArrayData, DiabetesData, DigitsData, IrisData
from fulmen.data.folds import folds_by_time, stratified_folds
from fulmen.data.splitting import Samples, Splitting

FOLDS = st.integers(2, 6)


def check_partition(splitting: dict[str, Any], samples: Samples, folds: int) -> list[dict[str, Any]]:
    """The splits of all folds; test samples stay, each other one validates once and trains in the other folds."""
    found = [Splitting(**splitting, folds=folds, fold=fold)(samples) for fold in range(folds)]
    for rows in found:
        assert np.array_equal(rows["test"], found[0]["test"])
        together = np.sort(np.concatenate([rows[split] for split in ("train", "val", "test")]))
        assert np.array_equal(together, np.arange(samples.size))
    validated = np.sort(np.concatenate([rows["val"] for rows in found]))
    assert np.array_equal(validated, np.setdiff1d(np.arange(samples.size), found[0]["test"]))
    return found


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 3), min_size=12, max_size=100), FOLDS, st.integers(0, 5), st.booleans(), st.booleans())
def test_folds_are_equal_in_size_and_in_every_class(
    labels: list[int], folds: int, seed: int, keyed: bool, testing: bool
) -> None:
    keys = [f"{i}.png" for i in range(len(labels))] if keyed else None
    samples = Samples(len(labels), np.array(labels), keys)
    found = check_partition({"seed": seed, "test_fraction": 0.1 if testing else 0.0}, samples, folds)
    sizes = [len(rows["val"]) for rows in found]
    assert max(sizes) - min(sizes) <= 1
    for c in set(labels):
        counts = [int((samples.labels[rows["val"]] == c).sum()) for rows in found]  # type: ignore[index]
        assert max(counts) - min(counts) <= 1


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 25), min_size=40, max_size=120), st.integers(2, 4), st.integers(0, 3))
def test_groups_stay_whole_in_folds(groups: list[int], folds: int, seed: int) -> None:
    values = np.array(groups)
    labels = values % 2
    assume(len(set(groups)) >= folds)
    samples = Samples(len(groups), labels, column=lambda _: values)
    found = check_partition({"seed": seed, "by": {"group": "who"}, "test_fraction": 0.0}, samples, folds)
    for rows in found:
        assert not set(values[rows["train"]]) & set(values[rows["val"]])
        assert len(rows["val"])


def test_groups_are_dealt_as_evenly_as_scikit_learn_does() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), rng.integers(1, 25, 60))
    ours = np.bincount(stratified_folds(groups / 60, None, 5))
    theirs = [len(test) for _, test in GroupKFold(5).split(groups, groups=groups)]
    assert np.ptp(ours) <= np.ptp(theirs)
    labels = rng.integers(0, 3, 60)[groups]  # one class a group
    parts = stratified_folds(groups / 60, labels, 5)
    shares = np.array([np.bincount(labels[parts == f], minlength=3) / (parts == f).sum() for f in range(5)])
    reference = StratifiedGroupKFold(5).split(labels, labels, groups)
    expected = np.array([np.bincount(labels[test], minlength=3) / len(test) for _, test in reference])
    assert np.ptp(shares, axis=0).max() <= np.ptp(expected, axis=0).max() + 0.02


def test_the_same_file_twice_stays_in_one_fold() -> None:
    keys = [f"{i // 2}.png" for i in range(60)]
    for rows in check_partition({}, Samples(60, np.arange(60) // 2 % 3, keys), 4):
        assert not {keys[i] for i in rows["train"]} & {keys[i] for i in rows["val"]}


def test_given_validation_samples_join_and_test_samples_stay() -> None:
    given_splits = np.repeat(["train", "val", "test"], [50, 20, 30])
    found = check_partition({}, Samples(100, given=given_splits), 5)
    assert found[0]["test"].tolist() == [*range(70, 100)]
    assert [len(rows["val"]) for rows in found] == [14] * 5
    assert any((rows["train"] >= 50).any() for rows in found)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 50), min_size=20, max_size=80), st.integers(2, 4), st.sampled_from([0.0, 0.2]))
def test_folds_by_time_train_on_what_is_older(times: list[int], folds: int, test_fraction: float) -> None:
    values = np.array(times)
    samples = Samples(len(times), column=lambda _: values)
    try:
        found = [
            Splitting(test_fraction=test_fraction, by={"time": "t"}, folds=folds, fold=fold)(samples)
            for fold in range(folds)
        ]
    except DataError as error:
        if "different times do not fill" not in str(error) and "gets none" not in str(error):
            raise
        reject()
    seen: set[int] = set()
    for rows in found:
        assert values[rows["train"]].max() < values[rows["val"]].min()
        assert not len(rows["test"]) or values[rows["val"]].max() < values[rows["test"]].min()
        assert np.array_equal(rows["test"], found[0]["test"])
        assert not seen & set(rows["val"].tolist())
        seen |= set(rows["val"].tolist())
    pool = set(range(len(times))) - set(found[0]["test"].tolist()) - set(found[0]["train"].tolist())
    assert seen == pool  # all but the oldest part, which only trains


def test_parts_by_time_are_equal_where_times_differ() -> None:
    assert np.bincount(folds_by_time(np.linspace(0, 1, 60), 5) + 1).tolist() == [10] * 6


@pytest.mark.parametrize(
    ("samples", "splitting", "message"),
    [
        (Samples(3), {}, "folds: 5 folds need as many samples at least; there are 3"),
        (
            Samples(30, column=lambda _: np.arange(30) % 3),
            {"by": {"group": "g"}},
            "folds: 5 folds need as many groups at least; there are 3",
        ),
        (
            Samples(30, column=lambda _: np.arange(30) % 4),
            {"by": {"time": "t"}},
            "folds: 4 different times do not fill 5 folds",
        ),
    ],
)
def test_too_few_for_so_many_folds(samples: Samples, splitting: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Splitting(test_fraction=0.0, folds=5, **splitting)(samples)


# Views


@pytest.mark.parametrize("make", [IrisData, DiabetesData, DigitsData, lambda: ArrayData(np.eye(40), np.arange(40) % 2)])
def test_views_share_memory_and_leave_the_original_alone(make: Any) -> None:
    data = make()
    data.setup("fit")
    before = {name: part.rows.clone() for name, part in data.datasets.items()}
    mean = {name: value.clone() for name, value in data.statistics.items()}
    seen = []
    for fold in range(3):
        view = data.view(fold, 3)
        assert type(view) is type(data)
        view.setup("fit")
        assert view.inputs.data_ptr() == data.inputs.data_ptr()
        assert view.datasets["train"].inputs.data_ptr() == data.inputs.data_ptr()
        assert view.datasets["test"].rows.tolist() == before["test"].tolist()
        if mean:
            assert not np.array_equal(view.statistics["mean"], mean["mean"])  # learned from its own training split
        seen += view.datasets["val"].rows.tolist()
    assert sorted(seen) == sorted(before["train"].tolist() + before["val"].tolist())
    assert {name: part.rows.tolist() for name, part in data.datasets.items()} == {
        name: rows.tolist() for name, rows in before.items()
    }
    assert all(np.array_equal(data.statistics[name], value) for name, value in mean.items())
    assert data.splitting.folds is None


def test_a_view_equals_data_that_are_made_with_the_fold() -> None:
    made = IrisData(folds=5, fold=2)
    made.setup("fit")
    view = IrisData().view(2, 5)
    view.setup("fit")
    for split in ("train", "val", "test"):
        assert view.datasets[split].rows.tolist() == made.datasets[split].rows.tolist()  # type: ignore[attr-defined]
