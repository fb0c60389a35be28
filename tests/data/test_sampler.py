"""Which samples a process sees."""

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, spearmanr

from fulmen.core.batch import PADDING
from fulmen.data.sampler import ShardedSampler

SIZES = st.integers(0, 60)
REPLICAS = st.integers(1, 6)


def samplers(size: int, replicas: int, shuffle: bool, seed: int = 0) -> list[ShardedSampler]:
    data: Any = range(size)
    return [ShardedSampler(data, shuffle, seed, num_replicas=replicas, rank=r) for r in range(replicas)]


@settings(deadline=None, max_examples=100)
@given(SIZES, REPLICAS)
def test_evaluation_sees_every_sample_once(size: int, replicas: int) -> None:
    """Also with fewer samples than processes."""
    seen = [list(s) for s in samplers(size, replicas, shuffle=False)]
    assert {len(part) for part in seen} == {len(s) for s in samplers(size, replicas, shuffle=False)}
    assert len({len(part) for part in seen}) == 1
    real = sorted(i for part in seen for i in part if i != PADDING)
    assert real == list(range(size))
    assert sum(part.count(PADDING) for part in seen) < replicas
    assert all(PADDING not in part[:-1] for part in seen)  # only the last may be padding


def test_fewer_samples_than_processes() -> None:
    assert [list(s) for s in samplers(2, 4, shuffle=False)] == [[0], [1], [PADDING], [PADDING]]
    assert [list(s) for s in samplers(3, 4, shuffle=True)] == [[], [], [], []]


@settings(deadline=None, max_examples=100)
@given(SIZES, REPLICAS, st.integers(1, 5), st.integers(0, 2**32 - 1), st.integers(0, 5))
def test_processes_together_see_the_batches_of_one(size: int, replicas: int, batch: int, seed: int, epoch: int) -> None:
    (alone,) = samplers(size, 1, shuffle=True, seed=seed)
    together = samplers(size, replicas, shuffle=True, seed=seed)
    for s in (alone, *together):
        s.set_epoch(epoch)
    parts = [list(s) for s in together]
    assert [len(s) for s in together] == [len(p) for p in parts] == [size // replicas] * replicas
    whole = list(alone)
    assert sorted(whole) == list(range(size))
    for step in range(size // (batch * replicas)):
        seen = [i for part in parts for i in part[step * batch : (step + 1) * batch]]
        assert sorted(seen) == sorted(whole[step * batch * replicas : (step + 1) * batch * replicas])


@settings(deadline=None, max_examples=50)
@given(SIZES, REPLICAS)
def test_training_sees_no_sample_twice_and_leaves_few_out(size: int, replicas: int) -> None:
    seen = list(itertools.chain(*samplers(size, replicas, shuffle=True)))
    assert len(set(seen)) == len(seen) == size - size % replicas


def test_order_depends_on_seed_and_epoch_alone() -> None:
    (first,), (second,), (other,) = (samplers(100, 1, shuffle=True, seed=s) for s in (3, 3, 4))
    orders = []
    for epoch in range(3):
        first.set_epoch(epoch)
        second.set_epoch(epoch)
        other.set_epoch(epoch)
        assert list(first) == list(first) == list(second)
        assert list(first) != list(other)
        orders.append(tuple(first))
    assert len(set(orders)) == 3


def test_evaluation_order_is_that_of_the_data() -> None:
    (sampler,) = samplers(10, 1, shuffle=False, seed=5)
    sampler.set_epoch(2)
    assert list(sampler) == list(range(10))


# Drawn by weight


def drawn(size: int, replicas: int, weights: Any, epoch: int = 0, **options: Any) -> list[list[int]]:
    data: Any = range(size)
    found = []
    for rank in range(replicas):
        made = ShardedSampler(data, True, 3, replicas, rank, weights=weights, **options)
        made.set_epoch(epoch)
        found.append(list(made))
    return found


def test_rows_are_drawn_in_proportion_to_their_weights() -> None:
    weights = torch.tensor([0.0, 1.0, 2.0, 5.0]).repeat(10_000)
    (rows,) = drawn(40_000, 1, weights)
    shares = np.bincount(np.array(rows) % 4, minlength=4) / len(rows)
    assert shares == pytest.approx([0, 1 / 8, 2 / 8, 5 / 8], abs=0.01)  # 4 standard deviations
    assert shares[0] == 0
    assert len(rows) == 40_000


def test_classes_are_drawn_equally_often() -> None:
    classes = torch.tensor([0] * 9_000 + [1] * 900 + [2] * 100)
    (rows,) = drawn(10_000, 1, (1 / classes.bincount())[classes])
    counts = classes[rows].bincount()
    assert chisquare(counts.numpy()).pvalue > 0.001
    with pytest.raises(AssertionError):  # the test would see the classes' own shares
        assert chisquare(classes.bincount().numpy()).pvalue > 0.001


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 60), REPLICAS, st.integers(0, 3))
def test_processes_together_draw_what_one_draws(size: int, replicas: int, epoch: int) -> None:
    weights = torch.rand(size, generator=torch.Generator().manual_seed(size))
    (alone,) = drawn(size, 1, weights, epoch)
    together = drawn(size, replicas, weights, epoch)
    assert Counter(itertools.chain(*together)) == Counter(alone[: size - size % replicas])
    assert drawn(size, 1, weights, epoch) == [alone]


def test_a_row_that_is_drawn_again_is_another_draw() -> None:
    size, epochs = 50, 1 << 20
    (rows,) = drawn(size, 1, torch.ones(size), epoch=7)
    (draws,) = drawn(size, 1, torch.ones(size), epoch=7, draws=True)
    assert len(set(rows)) < size
    assert len(set(draws)) == size
    assert [draw % size for draw in draws] == rows
    seen: Counter[int] = Counter()
    for draw in draws:
        assert draw // size == 7 + seen[draw % size] * epochs
        seen[draw % size] += 1


# In batches of similar length

LENGTHS = torch.randint(1, 100, (1003,), generator=torch.Generator().manual_seed(0))


def bucketed(epoch: int = 0) -> list[list[int]]:
    """The batches of 8 of one process."""
    data: Any = range(len(LENGTHS))
    made = ShardedSampler(data, True, lengths=LENGTHS, batch_size=8)
    made.set_epoch(epoch)
    rows = list(made)
    assert len(rows) == len(made)
    return [rows[i : i + 8] for i in range(0, len(rows), 8)]


def padding(batches: list[list[int]]) -> float:
    """Share of the places in padded batches that hold nothing."""
    longest = [int(LENGTHS[batch].max()) * len(batch) for batch in batches]
    return 1 - float(sum(int(LENGTHS[batch].sum()) for batch in batches)) / sum(longest)


@pytest.mark.parametrize("epoch", [0, 1])
def test_buckets_are_a_partition(epoch: int) -> None:
    batches = bucketed(epoch)
    assert sorted(itertools.chain(*batches)) == list(range(len(LENGTHS)))
    assert [len(rows) for rows in batches] == [8] * 125 + [3]
    assert bucketed(epoch) == bucketed(epoch) != bucketed(1 - epoch)


def test_buckets_pad_less() -> None:
    data: Any = range(len(LENGTHS))
    plain = list(ShardedSampler(data, True))
    without = padding([plain[i : i + 8] for i in range(0, len(plain), 8)])
    with_buckets = padding(bucketed())
    assert without > 0.4
    assert with_buckets < 0.05


def test_batches_of_buckets_come_in_random_order() -> None:
    means = [LENGTHS[rows].float().mean().item() for rows in bucketed()]
    assert abs(spearmanr(means, range(len(means))).statistic) < 0.2
    first = [LENGTHS[rows].float().mean().item() for rows in bucketed(1)]
    assert abs(spearmanr(means, first).statistic) < 0.2


@pytest.mark.parametrize("weighted", [False, True])
def test_global_batches_do_not_depend_on_processes(weighted: bool) -> None:
    data: Any = range(996)
    options: Any = {"lengths": LENGTHS[:996]}
    if weighted:
        options["weights"] = torch.rand(996, generator=torch.Generator().manual_seed(1))
    batches = {}
    for replicas in (1, 2, 3):
        size = 12 // replicas
        rows = [
            list(ShardedSampler(data, True, 0, replicas, rank, batch_size=size, **options)) for rank in range(replicas)
        ]
        batches[replicas] = [
            sorted(itertools.chain(*(part[i : i + size] for part in rows))) for i in range(0, len(rows[0]), size)
        ]
    assert batches[1] == batches[2] == batches[3]
    assert len(batches[1]) == 83


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 9), max_size=60), REPLICAS)
def test_evaluation_from_long_to_short_sees_every_sample_once(lengths: list[int], replicas: int) -> None:
    data: Any = range(len(lengths))
    parts = [
        list(ShardedSampler(data, False, 0, replicas, r, lengths=torch.tensor(lengths), batch_size=4))
        for r in range(replicas)
    ]
    assert len({len(part) for part in parts}) == 1
    real = [i for part in parts for i in part if i != PADDING]
    assert sorted(real) == list(range(len(lengths)))
    for part in parts:
        assert PADDING not in part[:-1]
        mine = [lengths[i] for i in part if i != PADDING]
        assert mine == sorted(mine, reverse=True)


def test_no_samples_and_fewer_than_a_batch() -> None:
    data: Any = range(3)
    for size in (0, 3):
        rows = list(ShardedSampler(data[:size], True, lengths=LENGTHS[:size], batch_size=8))
        assert sorted(rows) == list(range(size))
