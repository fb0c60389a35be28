"""Which texts say nearly the same, found by MinHash."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fulmen.data.checks.listing import Rows
from fulmen.data.checks.pairs import candidates

VERSION = 1
"""Another number for another way of comparing: what older ones kept is not read."""
SHINGLE = 5
"""Characters in a shingle."""
SIMILAR = 0.8
"""Share of shingles that near duplicates have in common: about one word in twenty differs."""
READ = 2000
"""Characters of each text that are compared."""
_BANDS, _ROWS = 8, 4
_BLOCK = 2_000_000
_NOISE = re.compile(r"[\W_]+")


def normalized(text: str) -> str:
    """The text without case, punctuation and repeated blanks; what has no letters or digits stays as it is.

    >>> normalized("Great  FILM!!"), normalized(" :-) ")
    ('great film', ':-)')
    """
    return _NOISE.sub(" ", text.casefold()).strip() or text.strip()


def similar_texts(texts: Sequence[str]) -> NDArray[np.int64]:
    """Pairs of texts that share at least ``SIMILAR`` of all their shingles (Jaccard index of sets).

    MinHash in 8 bands of 4 (A. Broder, "On the resemblance and containment of documents", 1997; bands as in Leskovec,
    Rajaraman and Ullman, "Mining of Massive Datasets", 3.4): a pair with an index of 0.8 is found with a probability of
    0.98, one of 0.9 with 0.9997; each is then counted exactly.

    Args:
        texts: Normalized. Of each, the first ``READ`` characters are compared; shorter ones than a shingle are not.

    Returns:
        ``(P, 2)`` pairs ``i < j``.
    """
    long = np.flatnonzero(np.fromiter((len(text) >= SHINGLE for text in texts), np.bool_, len(texts)))
    signatures = _signatures([texts[i][:READ] for i in long.tolist()])
    bands = signatures.reshape(len(long), _BANDS, _ROWS)
    factors = _odd(_ROWS)
    keys = (bands * factors).sum(axis=2, dtype=np.uint64)

    def similar(i: Rows, j: Rows) -> NDArray[np.bool_]:
        estimated: NDArray[np.bool_] = (signatures[i] == signatures[j]).mean(axis=1) >= SIMILAR - 0.25
        return estimated

    pairs = long[candidates(keys, similar)]
    kept = [_jaccard(texts[i][:READ], texts[j][:READ]) >= SIMILAR for i, j in pairs]
    return pairs[np.array(kept, np.bool_)]


def _odd(count: int, seed: int = 0) -> NDArray[np.uint64]:
    """Odd numbers of 64 bits, the same every time."""
    return np.random.default_rng(seed).integers(1 << 62, 1 << 63, count, dtype=np.uint64) | np.uint64(1)


def _signatures(texts: Sequence[str]) -> NDArray[np.uint64]:
    """MinHash of each text, ``(N, bands * rows)``, by blocks of texts."""
    size = _BANDS * _ROWS
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    ends = np.cumsum(lengths)
    cuts = np.searchsorted(ends, np.arange(_BLOCK, int(ends[-1]) if len(ends) else 0, _BLOCK)) + 1
    result = np.empty((len(texts), size), np.uint64)
    for rows in np.split(np.arange(len(texts)), np.unique(cuts)):
        if len(rows):
            result[rows] = _of_block("".join(texts[rows[0] : rows[-1] + 1]), lengths[rows], size)
    return result


def _of_block(text: str, lengths: NDArray[np.int64], size: int) -> NDArray[np.uint64]:
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    windows = len(codes) - SHINGLE + 1
    shingles = np.zeros(windows, np.uint64)
    for place, factor in enumerate(_odd(SHINGLE, seed=1)):
        shingles += codes[place : place + windows] * factor  # modulo 2^64
    shingles ^= shingles >> np.uint64(31)
    ends = np.cumsum(lengths)
    whole = np.ones(windows, np.bool_)  # shingles that end in the text that they begin in
    for back in range(1, SHINGLE):
        whole[ends[:-1] - back] = False
    shingles = shingles[whole]
    counts = lengths - SHINGLE + 1
    starts = np.cumsum(counts) - counts
    found = np.empty((len(lengths), size), np.uint64)
    for number, factor in enumerate(_odd(size, seed=2)):
        found[:, number] = np.minimum.reduceat(shingles * factor >> np.uint64(16), starts)
    return found


def _jaccard(one: str, other: str) -> float:
    a, b = (frozenset(text[i : i + SHINGLE] for i in range(len(text) - SHINGLE + 1)) for text in (one, other))
    return len(a & b) / len(a | b)
