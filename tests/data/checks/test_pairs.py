"""Pairs are found by sorting; what is found is what comparing all with all finds."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.checks.conftest import photo

from fulmen.data.checks.pairs import WINDOW, candidates, earliest, firsts, firsts_of, similar_pictures
from fulmen.data.checks.rows import count_distinct, joint_keys, row_keys


@given(st.lists(st.integers(0, 5), max_size=30))
def test_firsts(keys: list[int]) -> None:
    expected = [keys.index(key) for key in keys]
    assert firsts(np.array(keys, np.int64)).tolist() == expected
    assert firsts_of(keys).tolist() == expected
    assert count_distinct(np.array(keys, np.int64)) == len(set(keys))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=25))
def test_candidates_are_those_that_share_a_key(keys: list[tuple[int, int]]) -> None:
    found = candidates(np.array(keys, np.int64).reshape(-1, 2))
    expected = {
        (i, j) for j in range(len(keys)) for i in range(j) if keys[i][0] == keys[j][0] or keys[i][1] == keys[j][1]
    }
    assert {(int(i), int(j)) for i, j in found} == expected
    assert len(found) == len(expected)


def test_a_key_of_all_gives_pairs_in_proportion() -> None:
    assert len(candidates(np.zeros((5000, 1), np.int64))) < 5000 * WINDOW


def test_earliest_takes_the_first_partner() -> None:
    assert earliest(5, np.array([[0, 3], [1, 3], [2, 4], [3, 4]])).tolist() == [0, 1, 2, 0, 2]
    assert earliest(2, np.empty((0, 2), np.int64)).tolist() == [0, 1]


def thumbnail(seed: int, noise: float = 0.0) -> np.ndarray:
    image = np.asarray(photo(seed).convert("L").resize((16, 16)), np.float64)
    return (image + np.random.default_rng(seed + 1).normal(0, noise, image.shape)).clip(0, 255).astype(np.uint8)


def test_similar_pictures_among_many() -> None:
    others = [thumbnail(seed) for seed in range(300)]
    again = [thumbnail(seed, noise=1.0) for seed in (7, 100, 250)]
    found = similar_pictures(np.stack([*others, *again]))
    assert {(int(i), int(j)) for i, j in found} == {(7, 300), (100, 301), (250, 302)}


def test_pictures_of_one_colour_are_like_no_other() -> None:
    assert len(similar_pictures(np.stack([np.full((16, 16), value, np.uint8) for value in (0, 0, 90, 255)]))) == 0


def test_no_pictures() -> None:
    assert similar_pictures(np.empty((0, 16, 16), np.uint8)).shape == (0, 2)


@settings(max_examples=50)
@given(st.data())
def test_equal_rows_and_no_others_have_equal_keys(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([np.uint8, np.int16, np.float32, np.float64]))
    values = data.draw(st.lists(st.lists(st.integers(0, 2), min_size=3, max_size=3), min_size=1, max_size=30))
    array = np.array(values, kind)
    keys = row_keys(array)
    same = (array[:, None] == array[None]).all(axis=2)
    assert np.array_equal(keys[:, None] == keys[None], same)
    columns = joint_keys((array[:, i].astype(np.uint64) for i in range(3)), len(array))
    assert np.array_equal(columns[:, None] == columns[None], same)


def test_a_million_rows_have_a_million_keys() -> None:
    numbers = np.arange(1_000_000, dtype=np.float32).reshape(-1, 1)  # a hundred thousand and more low bits are zero
    assert count_distinct(row_keys(np.hstack([numbers, numbers % 7]))) == len(numbers)
