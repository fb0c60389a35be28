"""The table that a command ends with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TITLES = {"test": "test metric", "val": "validation metric"}


def summary(stage: str | None, scores: Mapping[str, float], paths: Mapping[str, Any]) -> str:
    """Scores and paths as a table.

    Args:
        stage: ``test`` or ``val``.
        scores: Logged name -> value.
        paths: What is where; ``None`` is left out.

    >>> print(summary("test", {"test/loss": 0.25, "test/accuracy": 0.5}, {"best": None}))
    <BLANKLINE>
    test metric
    loss         0.2500
    accuracy     0.5000
    """
    rows = [(name.removeprefix(f"{stage}/"), f"{value:.4f}") for name, value in scores.items()]
    places = [(name, _short(path)) for name, path in paths.items() if path]
    title = [_TITLES[stage]] if stage is not None and rows else []
    width = max(map(len, [*title, *(name for name, _ in [*rows, *places])]), default=0)
    lines = [*title, *(f"{name:<{width}}  {value}" for name, value in rows)]
    return "\n".join(["", *lines, *([""] if rows and places else []), *(f"{n:<{width}}  {p}" for n, p in places)])


def _short(path: Any) -> str:
    """The path from the current folder, where that is shorter."""
    relative = os.path.relpath(path)
    return relative if not relative.startswith("..") else str(Path(path))
