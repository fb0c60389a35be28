"""What a check of data finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """Something about the data that a person should know before training on them.

    Attributes:
        check: The check's short name, such as ``duplicates``.
        severity: ``error`` stops ``fit``; ``warning`` is said before it starts; ``note`` is for who asks, by
            ``lightning check``.
        what: What was found, in one sentence.
        where: Where, the first 1,000 of them: a file, ``file:row``, a column.
        count: How many there are.
        fix: What to do about it.
    """

    check: str
    severity: Severity
    what: str
    where: tuple[str, ...]
    count: int
    fix: str
