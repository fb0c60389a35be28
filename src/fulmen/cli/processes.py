"""Processes beside each other, and trainings that need one of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def shared_cores(jobs: int) -> Iterator[None]:
    """Inside, processes that are started compute with their share of the cores, so that they do not fight.

    Args:
        jobs: How many there are at once.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = {name: str(max(1, cores // jobs)) for name in _THREADS if name not in os.environ}
    os.environ.update(given)
    try:
        yield
    finally:
        for name in given:
            os.environ.pop(name, None)


def starts_processes(trainer: Mapping[str, Any]) -> bool:
    """Whether a trainer may start processes of its own, which one parent cannot do twice.

    Args:
        trainer: Its options.

    >>> starts_processes({"devices": 1}), starts_processes({"devices": [0, 1]}), starts_processes({"strategy": "ddp"})
    (False, True, True)
    """
    devices, strategy = trainer.get("devices", "auto"), trainer.get("strategy", "auto")
    if trainer.get("num_nodes") not in (None, 1) or strategy not in (None, "auto"):
        return True
    if isinstance(devices, list):
        return len(devices) > 1
    if devices in (None, "auto", -1, "-1"):
        import torch

        return trainer.get("accelerator") != "cpu" and torch.cuda.device_count() > 1
    return str(devices) != "1"
