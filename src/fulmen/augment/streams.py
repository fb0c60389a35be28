"""Random numbers that depend on nothing but the seed, the epoch and the sample."""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray

_GOLDEN = 0x9E3779B97F4A7C15
_INCREMENT = (0xDA3E39CB94B95BDB << 1) | 1  # any odd number: which of PCG64's sequences is read


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finalizer of SplitMix64 (Steele et al. 2014, https://doi.org/10.1145/2714064.2660195): a bijection."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def sample_keys(seed: int, epoch: int | NDArray[np.int64], index: NDArray[np.int64]) -> NDArray[np.uint64]:
    """One 64-bit key for each sample of a batch.

    Args:
        seed: Seed of the run.
        epoch: Number of the epoch, or ``(N,)`` one a sample.
        index: ``(N,)`` row of each sample in its data set.

    Returns:
        ``(N,)`` keys; another seed, epoch or row gives another.

    >>> bool(sample_keys(0, 1, np.array([5]))[0] == sample_keys(0, 1, np.array([3, 5]))[1])
    True
    """
    keys = np.zeros(len(index), np.uint64)
    for part in (np.full(len(index), seed), np.full(len(index), epoch), index):
        keys = _mix(keys + part.astype(np.uint64) + np.uint64(_GOLDEN))
    return keys


class _PythonView(random.Random):
    """``random``'s functions on the numbers of a numpy stream: seeding a Mersenne Twister takes 5 microseconds."""

    def __init__(self, stream: np.random.Generator) -> None:
        self._stream, self._raw, self._draw = stream, stream.bit_generator.random_raw, stream.random
        super().__init__()

    def random(self) -> float:
        return self._draw()

    def getrandbits(self, k: int, /) -> int:
        if k <= 64:
            return int(self._raw()) >> (64 - k)
        return int.from_bytes(self._stream.bytes(k // 8 + 1), "little") >> (8 - k % 8)

    def seed(self, *_: object, **__: object) -> None:
        self.gauss_next = None  # the second of a pair of Gaussians

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self._stream,)


class Streams:
    """A numpy and a Python stream of random numbers, made once and reseeded for every sample.

    Both read the same source, one after the other.

    Attributes:
        numpy: For numpy's distributions.
        python: For ``random``'s functions.
    """

    def __init__(self) -> None:
        self.numpy = np.random.Generator(np.random.PCG64(0))
        self.python: random.Random = _PythonView(self.numpy)

    def reseed(self, key: int) -> None:
        """Starts both streams from a key, in 3 microseconds: making new ones takes ten times as long.

        Args:
            key: 64 bits, from :func:`sample_keys`.
        """
        state = key * 0xD1342543DE82EF95_9E3779B97F4A7C15 % (1 << 128)  # odd multiplier: no two keys share a state
        self.numpy.bit_generator.state = {
            "bit_generator": "PCG64",
            "state": {"state": state, "inc": _INCREMENT},
            "has_uint32": 0,
            "uinteger": 0,
        }
        self.python.seed()
