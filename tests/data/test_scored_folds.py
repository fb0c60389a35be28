"""Folds that are scored: who trains, who validates, who is scored, and that nobody is two of these."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st
from sklearn.model_selection import (
    GroupKFold,
    LeaveOneGroupOut,
    RepeatedStratifiedKFold,
    StratifiedKFold,
    TimeSeriesSplit,
)

from fulmen.core.errors import ConfigError, DataError
from fulmen.data import ArrayData, IrisData, TabularData
from fulmen.data.inner_splits import newest, part_of_training
from fulmen.data.splitting import Samples, Splitting

Rows = dict[str, Any]
LABELS = st.lists(st.integers(0, 3), min_size=24, max_size=120)


def column(values: Any) -> Callable[[str], Any]:
    return lambda name: np.asarray(values)


def scored(samples: Samples, folds: int, repeats: int = 1, **options: Any) -> list[list[Rows]]:
    """The splits of all folds, by repetition."""
    return [
        [
            Splitting(**options, folds=folds, fold=fold, fold_as="test", fold_repeat=repeat)(samples)
            for fold in range(folds)
        ]
        for repeat in range(repeats)
    ]


def check(samples: Samples, found: list[list[Rows]], own_test: Any, groups: Any = None) -> None:
    """Every sample but the data's own test samples is scored once a repetition; roles exclude each other."""
    pool = np.setdiff1d(np.arange(samples.size), own_test)
    for repetition in found:
        tested = np.sort(np.concatenate([rows["test"] for rows in repetition]))
        assert np.array_equal(tested, pool)
        for rows in repetition:
            together = np.sort(np.concatenate([rows["train"], rows["val"], rows["test"]]))
            assert np.array_equal(together, pool)  # each once, and no test sample of the data
            if groups is not None:
                sides = [set(groups[rows[split]]) for split in ("train", "val", "test")]
                assert sum(map(len, sides)) == len(set.union(*sides))


@settings(deadline=None, max_examples=50)
@given(LABELS, st.integers(2, 5), st.integers(0, 3), st.booleans(), st.sampled_from([None, "class", "random"]))
def test_by_class_and_at_random(labels: list[int], folds: int, seed: int, keyed: bool, by: Any) -> None:
    keys = [f"{i}.png" for i in range(len(labels))] if keyed else None
    samples = Samples(len(labels), np.array(labels), keys)
    options = {"seed": seed, "by": by, "val_fraction": 0.2, "test_fraction": 0.15}
    own = Splitting(**options)(samples)["test"]
    found = scored(samples, folds, 3, **options)
    check(samples, found, own)
    for repetition in found:
        sizes = [len(rows["test"]) for rows in repetition]
        assert max(sizes) - min(sizes) <= 1
        for rows in repetition:
            rest = len(rows["train"]) + len(rows["val"])
            counts = np.bincount(np.array(labels)[np.r_[rows["train"], rows["val"]]])
            singles = 0 if by == "random" else (counts == 1).sum()  # the only one of its class trains
            assert abs(len(rows["val"]) - 0.2 * (rest - singles)) < 1 or len(rows["val"]) == 1


@settings(deadline=None, max_examples=50)
@given(LABELS, st.integers(2, 5))
def test_classes_have_the_counts_of_stratified_k_fold(labels: list[int], folds: int) -> None:
    values = np.array(labels)
    assume(np.bincount(values)[np.bincount(values) > 0].min() >= folds)  # it refuses smaller classes
    found = scored(Samples(len(values), values), folds, test_fraction=0.0)[0]
    ours = np.array([np.bincount(values[rows["test"]], minlength=4) for rows in found])
    splits = StratifiedKFold(folds, shuffle=True, random_state=0).split(values, values)
    theirs = np.array([np.bincount(values[test], minlength=4) for _, test in splits])
    assert np.array_equal(np.sort(ours, axis=0), np.sort(theirs, axis=0))


def test_the_inner_split_holds_the_shares_of_classes() -> None:
    labels = np.random.default_rng(0).choice(4, 1000, p=[0.7, 0.2, 0.08, 0.02])
    for rows in scored(Samples(1000, labels), 5, val_fraction=0.15, test_fraction=0.1)[0]:
        rest = np.concatenate([rows["train"], rows["val"]])
        wanted = np.bincount(labels[rest]) * 0.15
        assert (abs(np.bincount(labels[rows["val"]], minlength=4) - wanted) < 1).all()
        assert set(labels[rows["train"]]) == {0, 1, 2, 3}


def test_repetitions_are_other_folds_of_the_same_samples() -> None:
    labels = np.arange(120) % 3
    samples = Samples(120, labels)
    found = scored(samples, 4, 3, test_fraction=0.2)
    folds = [[tuple(rows["test"]) for rows in repetition] for repetition in found]
    assert len({fold for repetition in folds for fold in repetition}) == 12
    own = Splitting(test_fraction=0.2)(samples)["test"]
    check(samples, found, own)  # of every repetition: the test samples are those of the first
    sizes = sorted(
        len(test) for _, test in RepeatedStratifiedKFold(n_splits=4, n_repeats=3).split(labels[:96], labels[:96])
    )
    assert sorted(len(fold) for repetition in folds for fold in repetition) == sizes


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 20), min_size=40, max_size=120), st.integers(2, 5), st.integers(0, 3), st.booleans())
def test_groups_stay_whole(groups: list[int], folds: int, seed: int, keyed: bool) -> None:
    values = np.array(groups)
    keys = [f"{i}.png" for i in range(len(groups))] if keyed else None
    samples = Samples(len(groups), values % 2, keys, column=column(values))
    options: dict[str, Any] = {"seed": seed, "by": {"group": "who"}, "test_fraction": 0.1}
    try:
        own = Splitting(**options, folds=2, fold_as="train")(samples)["test"]
        found = scored(samples, folds, 2, **options)
    except DataError as error:  # few groups do not fill everything
        if not any(said in str(error) for said in ("as many groups", "none to spare", "gets none")):
            raise
        reject()
    check(samples, found, own, values)
    assert all(len(rows["val"]) for repetition in found for rows in repetition)


def test_groups_are_as_even_as_group_k_fold() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(50), rng.integers(1, 20, 50))
    found = scored(Samples(len(groups), column=column(groups)), 5, by={"group": "g"}, test_fraction=0.0)[0]
    theirs = [len(test) for _, test in GroupKFold(5).split(groups, groups=groups)]
    assert np.ptp([len(rows["test"]) for rows in found]) <= np.ptp(theirs)
    shares = [len(rows["val"]) / (len(rows["train"]) + len(rows["val"])) for rows in found]
    assert all(0.12 < share < 0.18 for share in shares)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 8), min_size=20, max_size=90), st.integers(0, 3), st.booleans())
def test_a_fold_for_each_group_is_leave_one_group_out(groups: list[int], seed: int, labelled: bool) -> None:
    values = np.array(groups)
    labels = (values * 7 + np.arange(len(values))) % 3 if labelled else None
    samples = Samples(len(values), labels, column=column(values))
    splitting = Splitting(seed=seed, by={"group": "who"}, test_fraction=0.0)
    assume(len(set(groups)) > 2)  # else nobody is left to validate
    names = splitting.groups(samples)
    assert sorted(names) == sorted({str(group) for group in groups})
    found = scored(samples, len(names), seed=seed, by={"group": "who"}, test_fraction=0.0)[0]
    ours = {tuple(rows["test"]) for rows in found}
    theirs = {tuple(test) for _, test in LeaveOneGroupOut().split(values, groups=values)}
    assert ours == theirs
    for name, rows in zip(names, found, strict=True):
        assert set(map(str, values[rows["test"]])) == {name}


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 60), min_size=30, max_size=90), st.integers(2, 4), st.sampled_from([0.0, 0.2]))
def test_by_time_older_samples_train_and_the_newest_of_them_validate(
    times: list[int], folds: int, test_fraction: float
) -> None:
    values = np.array(times)
    samples = Samples(len(times), column=column(values))
    options: dict[str, Any] = {"by": {"time": "t"}, "test_fraction": test_fraction}
    try:
        own = Splitting(**options, folds=2, fold_as="train")(samples)["test"]
        found = scored(samples, folds, **options)[0]
    except DataError as error:
        if not any(said in str(error) for said in ("different times", "gets none", "one time alone")):
            raise
        reject()
    seen: set[int] = set()
    for rows in found:
        assert values[rows["train"]].max() < values[rows["val"]].min()
        assert values[rows["val"]].max() < values[rows["test"]].min()
        assert not len(own) or values[rows["test"]].max() < values[own].min()
        assert not set(own) & {*rows["train"], *rows["val"], *rows["test"]}
        assert not seen & {*rows["test"]}
        seen |= {*rows["test"]}


def test_by_time_is_time_series_split() -> None:
    values = np.arange(60)
    found = scored(Samples(60, column=column(values)), 5, by={"time": "t"}, test_fraction=0.0, val_fraction=0.2)[0]
    for rows, (train, test) in zip(found, TimeSeriesSplit(5).split(values), strict=True):
        assert rows["test"].tolist() == test.tolist()
        assert sorted([*rows["train"], *rows["val"]]) == train.tolist()
        assert rows["val"].tolist() == train[-len(rows["val"]) :].tolist()
        assert len(rows["val"]) == round(0.2 * len(train))


def test_a_fold_may_train_as_well_for_the_last_model() -> None:
    labels = np.arange(100) % 4
    given_splits = np.repeat(["train", "val", "test"], [60, 20, 20])
    for samples in (Samples(100, labels), Samples(100, labels, given=given_splits)):
        rows = Splitting(folds=5, fold=2, fold_as="train")(samples)
        own = Splitting()(samples)["test"]
        assert rows["test"].tolist() == own.tolist()
        assert not len(rows["val"])
        assert len(rows["train"]) + len(own) == 100


def test_without_a_share_nothing_validates() -> None:
    for rows in scored(Samples(50, np.arange(50) % 2), 5, val_fraction=0.0, test_fraction=0.0)[0]:
        assert not len(rows["val"])
        assert [len(rows["train"]), len(rows["test"])] == [40, 10]


def test_the_inner_split_hangs_on_seed_repetition_and_fold_alone() -> None:
    samples = Samples(200, np.arange(200) % 2)
    first, again = (scored(samples, 4, 2) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        for rows, same in zip(one, other, strict=True):
            assert all(np.array_equal(rows[split], same[split]) for split in rows)
    other_seed = scored(samples, 4, 2, seed=1)
    assert not np.array_equal(first[0][0]["val"], other_seed[0][0]["val"])


def test_a_class_of_one_sample_always_trains() -> None:
    labels = np.array([0] * 30 + [1] * 30 + [2])
    for seed in range(20):
        chosen = part_of_training(np.arange(61) / 61, labels, 0.3, [seed])
        assert not chosen[60]
        assert 17 <= chosen.sum() <= 19


def test_equal_times_validate_together() -> None:
    assert newest(np.array([0.1, 0.1, 0.1, 0.5, 0.9]), 0.2).tolist() == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fold_as": "validation", "folds": 3}, "fold_as: unknown use 'validation'"),
        ({"fold_as": "test"}, "fold_as: 'test' needs folds"),
        ({"fold_repeat": 1}, "fold_repeat: 1 needs folds"),
        ({"fold_repeat": -1, "folds": 3}, "fold_repeat: -1 is out of range"),
        ({"fold_repeat": 1, "folds": 3, "split_by": {"time": "t"}}, "folds by time follow from the times alone"),
    ],
)
def test_what_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        IrisData(**options)


def test_too_few_groups_to_validate_by() -> None:
    samples = Samples(20, column=column(np.arange(20) % 2))
    with pytest.raises(DataError, match="leaves 1 group to train on, and none to spare"):
        scored(samples, 2, by={"group": "g"}, test_fraction=0.0)


# Datamodules


def test_a_view_that_is_scored_equals_data_that_are_made_so() -> None:
    options: dict[str, Any] = {"folds": 4, "fold": 3, "fold_as": "test", "fold_repeat": 2}
    made, view = IrisData(**options), IrisData().view(**options)
    for data in (made, view):
        data.setup("fit")
    for split in ("train", "val", "test"):
        assert made.datasets[split].rows.tolist() == view.datasets[split].rows.tolist()  # type: ignore[attr-defined]
    assert np.allclose(made.statistics["mean"], made.inputs[made.datasets["train"].rows].mean(0))  # type: ignore[attr-defined]


def test_tables_learn_from_the_samples_that_train(tmp_path: Any) -> None:
    path = tmp_path / "people.csv"
    lines = [f"{i * 1.5},{'red' if i % 2 else 'blue'},{'yes' if i % 3 else 'no'}" for i in range(60)]
    path.write_text("\n".join(["age,colour,answer", *lines]) + "\n")
    data = TabularData(str(path), "answer")
    view = data.view(1, 3, fold_as="test")
    view.setup("fit")
    ages = view.datasets["train"].places.numpy()  # type: ignore[attr-defined]
    column = view.learned["columns"][0]
    assert column["parts"]["age"]["mean"] == pytest.approx(float((ages * 1.5).mean()))
    assert len(view.datasets["test"]) + len(view.datasets["val"]) + len(ages) == len(data.split_samples().labels) - 9  # type: ignore[arg-type]


def test_what_a_splitting_divides() -> None:
    who = np.repeat(["a", "b", "c"], 10)
    data = ArrayData(
        np.random.default_rng(0).random((30, 2)),
        np.arange(30) % 2,
        columns={"who": who},
        split_by={"group": "who"},
        test_fraction=0,
    )
    samples = data.split_samples()
    assert samples.size == 30
    assert samples.column is not None
    assert samples.column("who").tolist() == who.tolist()
    assert not data.datasets  # they stay as they are


def test_two_groups_of_different_classes_are_enough() -> None:
    """A group counts as of the class of its first sample: that each is the only one of it must not stop it."""
    samples = Samples(30, np.arange(30) % 2, column=column(np.arange(30) % 3))
    for rows in scored(samples, 3, by={"group": "g"}, test_fraction=0.0)[0]:
        assert [len(rows[split]) for split in ("train", "val", "test")] == [10, 10, 10]
