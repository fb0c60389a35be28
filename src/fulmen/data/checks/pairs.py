"""Which samples are copies of another, or nearly so: found by sorting, never by comparing all with all."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fulmen.data.checks.listing import Rows
from fulmen.data.checks.pictures import SIDE

_AT_ONCE = 10_000
WINDOW = 64
"""With how many of those that share a key each is compared."""


def firsts(keys: NDArray[Any]) -> Rows:
    """For each sample, the first one with the same key; itself if it is that.

    Args:
        keys: ``(N,)`` numbers.

    >>> firsts(np.array([7, 3, 7]))
    array([0, 1, 0])
    """
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    found: Rows = first[inverse.ravel()].astype(np.int64)
    return found


def firsts_of(keys: Iterable[Hashable]) -> Rows:
    """The same for keys of any kind.

    >>> firsts_of(["b", "a", "b"])
    array([0, 1, 0])
    """
    seen: dict[Hashable, int] = {}
    return np.array([seen.setdefault(key, row) for row, key in enumerate(keys)], np.int64)


def candidates(
    keys: NDArray[np.integer[Any]], similar: Callable[[Rows, Rows], NDArray[np.bool_]] | None = None
) -> NDArray[np.int64]:
    """Pairs of samples that share a key in one column or more.

    Where more than ``WINDOW`` samples share a key, each is paired with the next ``WINDOW`` of them only: time and
    memory stay in proportion to ``N``.

    Args:
        keys: ``(N, bands)``.
        similar: Which of the pairs ``i, j`` are kept; ``None``: all.

    Returns:
        ``(P, 2)`` pairs ``i < j``, each once.

    >>> candidates(np.array([[1, 5], [2, 5], [3, 6]]))
    array([[0, 1]])
    """
    found = [np.empty(0, np.int64)]
    for band in keys.T:
        order = np.argsort(band, kind="stable")  # equal keys keep their order, so that i < j
        band = band[order]
        start = np.arange(len(order))
        for distance in range(1, WINDOW + 1):
            start = start[: np.searchsorted(start, len(order) - distance)]
            start = start[band[start] == band[start + distance]]
            if not len(start):
                break
            i, j = order[start], order[start + distance]
            kept = slice(None) if similar is None else similar(i, j)
            found.append(i[kept] * len(order) + j[kept])
    pairs = np.unique(np.concatenate(found))
    return np.stack([pairs // max(len(keys), 1), pairs % max(len(keys), 1)], axis=1)


def earliest(size: int, pairs: NDArray[np.int64]) -> Rows:
    """For each of ``size`` samples, the first one that it makes a pair with; itself if none comes before it.

    >>> earliest(4, np.array([[0, 2], [1, 2]]))
    array([0, 1, 0, 3])
    """
    first = np.arange(size)
    np.minimum.at(first, pairs[:, 1], pairs[:, 0])
    return first


def similar_pictures(thumbnails: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Pairs of images that show the same: one made smaller, compressed again, or slightly changed in brightness.

    A difference hash of 64 bits (is a pixel darker than its right neighbour? N. Krawetz, "Kind of Like That", 2013)
    finds those that differ in few bits, and the thumbnails must be correlated: on flat ground many different images
    have nearly the same hash. All pairs that differ in up to 3 bits are found, since one of 4 parts of 16 bits is then
    the same; up to 6 bits, most of them.

    Args:
        thumbnails: ``(N, 16, 16)`` grey values.

    Returns:
        ``(P, 2)`` pairs ``i < j``.
    """
    rows = thumbnails[:, 0::2].astype(np.int16) + thumbnails[:, 1::2]
    bits = np.packbits((rows[..., 0::2] < rows[..., 1::2]).reshape(-1, 64), axis=1)
    words = bits.view(np.uint64)[:, 0]

    def similar(i: Rows, j: Rows) -> NDArray[np.bool_]:
        near = np.flatnonzero(_count_bits(words[i] ^ words[j]) <= 6)
        same = np.zeros(len(i), np.bool_)
        for some in np.array_split(near, len(near) // _AT_ONCE + 1):
            same[some] = _correlation(thumbnails[i[some]], thumbnails[j[some]]) >= 0.98
        return same

    return candidates(bits.view(np.uint16), similar)


def _count_bits(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """How many bits of each are set (H. S. Warren, Hacker's Delight, 2nd ed., figure 5-2); NumPy 1 has no function."""
    pairs = words - ((words >> np.uint64(1)) & np.uint64(0x5555555555555555))
    fours = (pairs & np.uint64(0x3333333333333333)) + ((pairs >> np.uint64(2)) & np.uint64(0x3333333333333333))
    bytes_ = (fours + (fours >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.asarray((bytes_ * np.uint64(0x0101010101010101)) >> np.uint64(56))


def _correlation(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Pearson's correlation of images ``(P, 16, 16)``, pair by pair; 0 for those of one colour."""
    a, b = (part.reshape(len(part), SIDE * SIDE).astype(np.float64) for part in (one, other))
    a, b = (part - part.mean(axis=1, keepdims=True) for part in (a, b))
    norm = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    result: NDArray[np.float64] = (a * b).sum(axis=1) / np.where(norm > 0, norm, 1)
    return result
