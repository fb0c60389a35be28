"""One short question, where there is somebody to answer it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fulmen.core.errors import ConfigError, nearest

_SHOWN = 12


def choose(what: str, candidates: Sequence[str], option: str, default: str | None = None) -> str:
    """Asks which of some candidates is meant.

    Args:
        what: The question, such as ``Which column is to be predicted?``.
        candidates: What can be answered, best guess first.
        option: The option that gives the answer on the command line, such as ``--target``.
        default: What an empty answer means; ``None``: the first candidate.

    Raises:
        ConfigError: If nobody can be asked, or the answer is none of the candidates.
    """
    first = default or candidates[0]
    shown = ", ".join(candidates[:_SHOWN]) + (f", and {len(candidates) - _SHOWN} more" * (len(candidates) > _SHOWN))
    if not sys.stdin.isatty():
        raise ConfigError(f"{what} Give {option}: {shown}")
    print(f"{what} ({shown})")
    try:
        answer = input(f"[{first}] ").strip() or first
    except EOFError:
        raise ConfigError(f"{what} Give {option}: {shown}") from None
    if answer not in candidates:
        close = nearest(answer, candidates)
        raise ConfigError(f"{answer!r} is none of them" + (f"; did you mean {close!r}?" if close else f": {shown}"))
    return answer
