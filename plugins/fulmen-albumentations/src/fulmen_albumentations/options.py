"""Checks of options: what was given, what is allowed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fulmen.core.errors import ConfigError


def within(name: str, value: float, low: float, high: float = math.inf) -> float:
    """The value, if it lies in ``[low, high]``.

    Raises:
        ConfigError: If it does not.

    >>> within("p", 0.5, 0, 1)
    0.5
    """
    if not low <= value <= high or math.isinf(value):
        limit = f"{low:g} <= {name} <= {high:g}" if high < math.inf else f"{name} >= {low:g}"
        raise ConfigError(f"{name}: {value:g} is out of range; allowed: {limit}")
    return value


def interval(name: str, value: Sequence[float], low: float, high: float = math.inf) -> tuple[float, float]:
    """The two ends, if they are in order and lie in ``[low, high]``.

    Raises:
        ConfigError: If they are or do not.

    >>> interval("sigma", [0, 0.01], 0, 1)
    (0, 0.01)
    """
    first, last = value
    if first > last:
        raise ConfigError(f"{name}: [{first:g}, {last:g}] is out of order; write [{last:g}, {first:g}]")
    return within(name, first, low, high), within(name, last, low, high)


def probability(p: float) -> float:
    """The probability, if it is one.

    Raises:
        ConfigError: If it is not in [0, 1].
    """
    return within("p", p, 0, 1)


def size(image_shape: Sequence[int] | None) -> tuple[int, int]:
    """Height and width of ``(C, H, W)``.

    Raises:
        ConfigError: If no shape is given.
    """
    if image_shape is None:
        raise ConfigError("image_shape: None does not say what to cut to; write image_shape=(C, H, W)")
    _, height, width = image_shape
    return height, width
