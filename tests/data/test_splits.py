"""Splits: shares, stability, seeds, errors."""

from typing import Any
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fulmen.core.errors import ConfigError, DataError
from fulmen.data.splits import SPLITS, assign, check_split, positions_by_key, positions_by_row


def split_of_rows(labels: list[int], seed: int = 0) -> dict[int, str]:
    rows = assign(positions_by_row(labels, seed), 0.2, 0.1)
    return {int(row): name for name in SPLITS for row in rows[name]}


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 3), max_size=120), st.integers(0, 5))
def test_every_row_is_in_one_split(labels: list[int], seed: int) -> None:
    rows = assign(positions_by_row(labels, seed), 0.2, 0.1)
    together = np.sort(np.concatenate([rows[name] for name in SPLITS]))
    np.testing.assert_array_equal(together, np.arange(len(labels)))


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(1, 8), min_size=1, max_size=5),
    st.integers(0, 10**6),
    st.integers(0, 9),
    st.integers(0, 9),
)
def test_whole_blocks_are_split_exactly_in_every_class(blocks: list[int], seed: int, val: int, test: int) -> None:
    labels = np.repeat(np.arange(len(blocks)), 20 * np.array(blocks))
    np.random.default_rng(seed).shuffle(labels)
    rows = assign(positions_by_row(labels, seed), val / 20, test / 20)
    for c, number in enumerate(blocks):
        counts = {name: int((labels[rows[name]] == c).sum()) for name in SPLITS}
        assert counts == {"train": (20 - val - test) * number, "val": val * number, "test": test * number}


def by_row_one_class_after_the_other(labels: list[object], seed: int) -> np.ndarray[Any, Any]:
    """The same in few words: what is written first, splits of runs that were made depend on."""
    positions = np.empty(len(labels))
    names = [str(label) for label in labels]
    for name in set(names):
        rows = [i for i, other in enumerate(names) if other == name]
        draws = np.random.default_rng([seed, crc32(name.encode())]).random((-(-len(rows) // 20), 2, 20))
        positions[rows] = (draws[:, 0].argsort(axis=1) + draws[:, 1]).ravel()[: len(rows)] / 20
    return positions


@settings(deadline=None, max_examples=50)
@given(
    st.one_of(
        st.lists(st.integers(-3, 40), max_size=150),
        st.lists(st.sampled_from(["ant", "bee", "Ünder", "1"]), max_size=150),
        st.lists(st.booleans(), max_size=150),
        st.lists(st.sampled_from([0.5, 1.0, 2.0]), max_size=60),
    ),
    st.integers(0, 9),
)
def test_positions_are_those_of_every_class_by_itself(labels: list[object], seed: int) -> None:
    np.testing.assert_array_equal(positions_by_row(labels, seed), by_row_one_class_after_the_other(labels, seed))


def test_rows_that_are_drawn_for_in_parts_get_the_same_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.arange(3000) % 3
    expected = positions_by_row(labels, 1)
    monkeypatch.setattr("fulmen.data.splits._CHUNK", 60)
    np.testing.assert_array_equal(positions_by_row(labels, 1), expected)


def test_shares_of_rare_classes() -> None:
    labels = np.array([0] * 5000 + [1] * 333 + [2] * 47)
    rows = assign(positions_by_row(labels, 0), 0.15, 0.15)
    for c, size in enumerate((5000, 333, 47)):
        for name in ("val", "test"):
            assert (labels[rows[name]] == c).sum() == pytest.approx(0.15 * size, abs=3)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 3), max_size=80), st.lists(st.integers(0, 5), max_size=80))
def test_appended_rows_move_no_old_row(old: list[int], new: list[int]) -> None:
    before, after = split_of_rows(old), split_of_rows(old + new)
    assert {row: after[row] for row in before} == before


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=8), max_size=60, unique=True), st.data())
def test_inserted_and_removed_keys_move_no_other_key(keys: list[str], data: st.DataObject) -> None:
    kept = data.draw(st.permutations(keys))[: len(keys) // 2]

    def splits(names: list[str]) -> dict[str, str]:
        rows = assign(positions_by_key(names, 0), 0.3, 0.2)
        return {names[row]: split for split in SPLITS for row in rows[split]}

    before, after = splits(keys), splits(kept)
    assert after == {key: before[key] for key in kept}


def test_keys_are_spread_evenly() -> None:
    positions = positions_by_key([f"class/{i}.png" for i in range(20_000)], 0)
    assert ((positions >= 0) & (positions < 1)).all()
    counts = np.histogram(positions, 20, (0, 1))[0]
    assert counts == pytest.approx(np.full(20, 1000), abs=150)  # about 5 standard deviations


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_same_seed_same_split_another_seed_another(seed: int) -> None:
    labels, keys = [i % 3 for i in range(200)], [str(i) for i in range(200)]
    for positions, items in ((positions_by_row, labels), (positions_by_key, keys)):
        first = positions(items, seed)
        np.testing.assert_array_equal(first, positions(items, seed))
        assert not np.array_equal(first, positions(items, seed + 1))


def test_positions_are_in_the_unit_interval() -> None:
    positions = positions_by_row([0] * 10_000, 3)
    assert positions.min() >= 0
    assert positions.max() < 1
    assert len(positions_by_row([], 0)) == 0
    assert len(positions_by_key([], 0)) == 0


def test_no_validation_and_no_test() -> None:
    rows = assign(positions_by_row([0] * 40, 0), 0.0, 0.0)
    assert [len(rows[name]) for name in SPLITS] == [40, 0, 0]


@pytest.mark.parametrize(
    ("val", "test", "message"),
    [(-0.1, 0.1, "val_fraction: -0.1"), (0.1, 1.0, "test_fraction: 1.0"), (0.5, 0.5, "leave nothing to train on")],
)
def test_fractions_out_of_range(val: float, test: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        assign(np.zeros(3), val, test)


def test_check_split() -> None:
    labels = np.array([0, 1, 2, 2])
    check_split({"train": np.array([0, 1, 2])}, labels, ["a", "b", "c"])
    check_split({"train": np.array([0])}, None, [])
    with pytest.raises(DataError, match="no sample of class 'b', 'c'"):
        check_split({"train": np.array([0])}, labels, ["a", "b", "c"])
    with pytest.raises(DataError, match="training split is empty"):
        check_split({"train": np.array([], dtype=np.int64)}, labels, ["a", "b", "c"])
