"""Random numbers that depend on seed, epoch and sample alone."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulmen.augment import Streams, sample_keys


def keys(seed: int, epoch: int, *rows: int) -> list[int]:
    return sample_keys(seed, epoch, np.array(rows)).tolist()


@given(st.integers(0, 2**31), st.integers(0, 10_000), st.lists(st.integers(0, 10**9), min_size=1, max_size=20))
def test_a_key_depends_on_its_own_row_alone(seed: int, epoch: int, rows: list[int]) -> None:
    assert keys(seed, epoch, *rows) == [keys(seed, epoch, row)[0] for row in rows]


def test_seeds_epochs_and_rows_all_count() -> None:
    found = [k for seed in range(10) for epoch in range(10) for k in keys(seed, epoch, *range(100))]
    assert len(set(found)) == 10 * 10 * 100


def test_keys_are_spread_evenly() -> None:
    found = sample_keys(0, 0, np.arange(100_000))
    for bit in (0, 1, 31, 32, 62, 63):
        share = ((found >> np.uint64(bit)) & np.uint64(1)).mean()
        assert share == pytest.approx(0.5, abs=0.008)  # five standard deviations


def test_first_draws_of_neighbours_are_uniform_and_uncorrelated() -> None:
    streams = Streams()
    draws = []
    for key in sample_keys(3, 5, np.arange(20_000)).tolist():
        streams.reseed(key)
        draws.append((streams.numpy.random(), streams.python.random()))
    table = np.array(draws)
    assert table.mean(0) == pytest.approx([0.5, 0.5], abs=0.011)  # five standard deviations of a mean of uniforms
    assert table.var(0) == pytest.approx([1 / 12, 1 / 12], rel=0.05)
    neighbours = np.corrcoef(table[1:, 0], table[:-1, 0])[0, 1]
    assert abs(neighbours) < 0.036
    assert abs(np.corrcoef(table.T)[0, 1]) < 0.036


def test_reseeding_starts_both_streams_anew() -> None:
    streams = Streams()
    streams.reseed(7)
    # a 32-bit draw leaves half a word in the generator: it must not survive
    first = (streams.numpy.integers(0, 10, dtype=np.uint32), streams.numpy.normal(), streams.python.gauss(0, 1))
    streams.reseed(7)
    assert (streams.numpy.integers(0, 10, dtype=np.uint32), streams.numpy.normal(), streams.python.gauss(0, 1)) == first
    streams.reseed(8)
    assert streams.numpy.normal() != first[1]


def test_global_states_are_left_alone() -> None:
    python, numpy = random.getstate(), np.random.get_state()[1]
    Streams().reseed(5)
    assert random.getstate() == python
    assert np.array_equal(np.random.get_state()[1], numpy)
