"""How much memory a process takes, and whether more will do."""

from __future__ import annotations

import sys

_KIB = 1024


def peak_memory() -> int | None:
    """The highest resident memory of this process so far, in bytes; ``None`` where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * _KIB)


def next_exceeds(peaks: list[int | None], available: int | None) -> bool:
    """Whether the next doubling is likely to take more memory than there is: it grows by twice the last growth.

    Args:
        peaks: Highest memory of each doubling so far.
        available: What is left.

    >>> next_exceeds([100, 110, 130], available=30), next_exceeds([100, 110, 130], available=50)
    (True, False)
    """
    known = [peak for peak in peaks if peak is not None]
    return available is not None and len(known) > 1 and 2 * (known[-1] - known[-2]) > available
