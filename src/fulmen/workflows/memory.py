"""How much memory a process takes, whether more will do, and giving it back."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

_KIB = 1024
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_memory() -> int | None:
    """The highest resident memory of this process, in bytes; ``None`` where the system does not tell.

    So far, or on Linux since :func:`reset_peaks`.
    """
    if _STATUS.exists():
        lines = _STATUS.read_text().splitlines()
        kilobytes = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), None)
        if kilobytes is not None:
            return int(kilobytes) * _KIB
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * _KIB)


def reset_peaks() -> None:
    """Starts measuring anew, so that runs which share a process are told apart (on Linux and on CUDA devices)."""
    import torch

    if _CLEAR.exists():
        with contextlib.suppress(OSError):  # some sandboxes forbid it: then the peak is that of the whole process
            _CLEAR.write_text("5")  # proc(5): resets the peak resident set size
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peaks() -> dict[str, Any]:
    """Bytes at the peak: ``cpu`` (:func:`peak_memory`), and ``gpu`` (allocated by torch) or ``None``."""
    import torch

    gpu = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return {"cpu": peak_memory(), "gpu": gpu or None}


def give_back() -> None:
    """Lets go of the memory that a training held which failed: it may have been short of it. Takes 0.2 s."""
    import gc

    gc.collect()
    give_back_gpu()


def give_back_gpu() -> None:
    """Lets go of the GPU memory that a training held, before the next one needs it."""
    import gc

    import torch

    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()


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
