"""Results that take long to compute, kept by the contents that they were computed from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fulmen.data import cache


def content_key(parts: Iterable[str], version: int) -> str:
    """A name for these texts, in this order, as this version of a computation sees them."""
    lines = list(parts)
    digest = blake2b(f"{version} {len(lines)}\0".encode(), digest_size=16)
    digest.update("\0".join(lines).encode("utf-8", "surrogatepass"))
    digest.update(np.fromiter(map(len, lines), np.int64, len(lines)).tobytes())
    return digest.hexdigest()


def remembered(name: str, compute: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """What was computed under this name before, or is computed now and kept.

    A file that is broken is written anew; where nothing can be written, nothing is kept.

    Args:
        name: With everything that the result depends on.
        compute: Gives the result.
    """
    file = cache.folder() / "checks" / f"{name}.npy"
    try:
        kept: NDArray[Any] = np.load(file, allow_pickle=False)
        return kept
    except (OSError, ValueError, EOFError):
        result = compute()
    part = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as opened:
            np.save(opened, result, allow_pickle=False)
        part.replace(file)
    except OSError:
        part.unlink(missing_ok=True)
    return result
