"""Modes of a network's parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def mode_kept(module: nn.Module) -> Iterator[None]:
    """Gives each part of a module its mode back; parts may rest in evaluation mode while others train."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
