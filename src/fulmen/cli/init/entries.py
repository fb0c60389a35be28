"""A config as lines: keys, values and the reason for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

_INDENT = "  "
_COMMENTS_AT = 46
"""Column in which comments begin, where the lines are short enough."""
_WIDTH = 118


@dataclass(frozen=True)
class Entry:
    """A key of a config.

    Attributes:
        key: The key.
        value: Its value; a list of entries is a section.
        comment: Why it has this value, or what it does; one line.
        active: Whether it counts; otherwise it is written as a comment, to be taken up by removing the ``# ``.
    """

    key: str
    value: Any
    comment: str = ""
    active: bool = True


def render(entries: Sequence[Entry]) -> str:
    """YAML with comments.

    >>> print(render([Entry("a", [Entry("b", "x: y", "a reason"), Entry("c", 2, active=False)])]), end="")
    a:
      b: 'x: y'                                 # a reason
      # c: 2
    """
    return "".join(f"{line}\n" for line in _lines(entries, ""))


def one_line(text: str) -> str:
    r"""What may stand in a comment: without line breaks and what an editor cannot show.

    >>> one_line("a\nb\x00c")
    'a b?c'
    """
    return " ".join("".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text).split())


def about(number: float) -> int:
    """A number of which two digits are known.

    >>> about(14_999_980), about(710.4), about(0)
    (15000000, 710, 0)
    """
    return int(float(f"{number:.2g}"))


def scalar(value: Any) -> str:
    """A value on one line of YAML, in quotes where it needs them.

    >>> scalar("a: b"), scalar({"name": "adam", "lr": 0.001}), scalar([64, 32]), scalar("yes"), scalar(None)
    ("'a: b'", '{name: adam, lr: 0.001}', '[64, 32]', "'yes'", 'null')
    """
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=float("inf"), sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def _lines(entries: Sequence[Entry], start: str) -> Iterator[str]:
    for entry in entries:
        begin = start if entry.active or start.endswith("# ") else f"{start}# "
        key = f"{begin}{scalar(entry.key)}:"
        if isinstance(entry.value, list) and entry.value and isinstance(entry.value[0], Entry):
            yield from _commented(key, entry.comment, start)
            yield from _lines(entry.value, f"{begin}{_INDENT}")
        else:
            yield from _commented(f"{key} {scalar(entry.value)}", entry.comment, start)


def _commented(line: str, comment: str, start: str) -> Iterator[str]:
    """The comment behind the line, or above it where the line is long."""
    comment = one_line(comment)
    beside = f"{line:<{_COMMENTS_AT - 2}}  # {comment}"
    if not comment:
        yield line
    elif len(beside) <= _WIDTH:
        yield beside
    else:
        yield from (f"{start}# {comment}", line)
