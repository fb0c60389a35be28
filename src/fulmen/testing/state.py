"""The state that every component of a process shares, which none may change."""

from __future__ import annotations

import os
import pickle
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

TORCH_RANDOM = "torch's random numbers"


def snapshot() -> dict[str, object]:
    """Global state by name, in a form that can be compared."""
    return {
        "Python's random numbers": random.getstate(),
        "numpy's random numbers": pickle.dumps(np.random.get_state()),  # noqa: NPY002 (it is what may change)
        TORCH_RANDOM: torch.get_rng_state().numpy().tobytes(),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's gradient mode": torch.is_grad_enabled(),
        "torch's deterministic mode": torch.are_deterministic_algorithms_enabled(),
        "torch's number of threads": torch.get_num_threads(),
        "the filters of warnings": list(warnings.filters),
        "os.environ": dict(os.environ),
    }


def changes(before: dict[str, object]) -> list[str]:
    """What differs from an earlier :func:`snapshot`, by name."""
    now = snapshot()
    return [
        f"os.environ ({', '.join(_variables(value, now[name]))})" if name == "os.environ" else name
        for name, value in before.items()
        if now[name] != value
    ]


def _variables(before: Any, now: Any) -> list[str]:
    return sorted(key for key in {*before, *now} if before.get(key) != now.get(key))


@contextmanager
def isolated(seed: int = 0) -> Iterator[None]:
    """Seeds every stream of random numbers, and puts them and torch's settings back afterwards.

    ``os.environ`` is left: what an import sets there, others may rely on.
    """
    python, numpy, dtype = random.getstate(), np.random.get_state(), torch.get_default_dtype()  # noqa: NPY002
    gradients, threads = torch.is_grad_enabled(), torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
            torch.set_default_dtype(dtype)
            torch.set_grad_enabled(gradients)
            if torch.are_deterministic_algorithms_enabled() != deterministic:
                torch.use_deterministic_algorithms(deterministic)
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
