"""The most memory that a part of a program took."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def reset_peaks() -> None:
    """Starts measuring anew, so that runs which share a process are told apart (on Linux and on CUDA devices)."""
    import torch

    if _CLEAR.exists():
        with contextlib.suppress(OSError):  # some sandboxes forbid it: then the peak is that of the whole process
            _CLEAR.write_text("5")  # proc(5): resets the peak resident set size
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peaks() -> dict[str, Any]:
    """Bytes at the peak: ``cpu`` (resident set of this process), and ``gpu`` (allocated by torch) or ``None``."""
    import torch

    gpu = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return {"cpu": _resident(), "gpu": gpu or None}


def _resident() -> int:
    if _STATUS.exists():
        lines = _STATUS.read_text().splitlines()
        kilobytes = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), None)
        if kilobytes is not None:
            return int(kilobytes) * 1024
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
