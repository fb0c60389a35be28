"""Which samples a process sees."""

import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

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
