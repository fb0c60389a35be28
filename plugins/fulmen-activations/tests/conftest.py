"""What the tests share: every activation of this package by name, and the values where formulas go wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import distribution

import pytest
import torch
from torch import Tensor

# The networks of the tests are tiny: threads that wait for each other would take four times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

NAMES = sorted(
    entry.name for entry in distribution("fulmen-activations").entry_points if entry.group == "fulmen.activations"
)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    """Each activation of this package in turn."""
    return str(request.param)


@pytest.fixture
def names() -> list[str]:
    """All of them."""
    return NAMES


@pytest.fixture
def normal() -> Callable[..., Tensor]:
    """Normal numbers of a shape, the same ones each time."""

    def draw(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)

    return draw
