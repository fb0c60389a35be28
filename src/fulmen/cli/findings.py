"""Findings about data as tables for people, and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import takewhile
from textwrap import wrap

from fulmen.data.findings import Finding

WIDTH = 120
_SHOWN = 3
_STUCK = "\N{NO-BREAK SPACE}"
_HEAD = ("severity", "check", "how many")


def table(findings: Sequence[Finding], width: int = WIDTH) -> str:
    """Each finding with what it is, the first few places, and what to do.

    Args:
        findings: What was found.
        width: Columns of the table.

    >>> print(table([Finding("empty_texts", "warning", "1 text is empty", ("a.csv:7",), 1, "remove it")]))
    severity  check        how many
    warning   empty_texts         1  1 text is empty
                                     where: a.csv:7
                                     fix: remove it
    """
    rows = [(finding.severity, finding.check, f"{finding.count:,}") for finding in findings]
    widths = [max(map(len, column)) for column in zip(_HEAD, *rows, strict=True)]
    margin = " " * (sum(widths) + 6)
    lines = ["  ".join(_cells(_HEAD, widths))]
    for finding, row in zip(findings, rows, strict=True):
        text = [("", finding.what), ("where: ", _places(finding)), ("fix: ", finding.fix)]
        wrapped = [line for name, said in text if said for line in _wrap(name, said, width - len(margin))]
        lines.append("  ".join([*_cells(row, widths), wrapped[0]]))
        lines += [margin + line for line in wrapped[1:]]
    return "\n".join(lines)


def short_table(findings: Sequence[Finding], width: int = WIDTH) -> str:
    """A line a finding.

    >>> print(short_table([Finding("empty_texts", "warning", "1 text is empty", ("a.csv:7",), 1, "remove it")]))
    empty_texts  1 text is empty
    """
    name = max(len(finding.check) for finding in findings)
    lines = []
    for finding in findings:
        first, *others = _wrap("", finding.what, width - name - 2)
        lines += [f"{finding.check:<{name}}  {first}", *(" " * (name + 2) + line for line in others)]
    return "\n".join(lines)


def as_json(findings: Sequence[Finding], samples: Mapping[str, int]) -> str:
    """All of it for machines.

    Args:
        findings: What was found.
        samples: How many samples each split has.
    """
    kinds = Counter(finding.severity for finding in findings)
    counts = {f"{kind}s": kinds[kind] for kind in ("error", "warning", "note")}
    return json.dumps({"samples": dict(samples), **counts, "findings": [asdict(f) for f in findings]}, indent=2)


def tally(findings: Sequence[Finding]) -> str:
    """How many there are of each severity.

    >>> tally([Finding("leak", "warning", "", (), 1, ""), Finding("leak", "note", "", (), 1, "")])
    '1 warning, 1 note'
    """
    kinds = Counter(finding.severity for finding in findings)
    said = [f"{kinds[k]} {k}{'' if kinds[k] == 1 else 's'}" for k in ("error", "warning", "note") if kinds[k]]
    return ", ".join(said)


def _cells(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    severity, check, count = row
    return [severity.ljust(widths[0]), check.ljust(widths[1]), count.rjust(widths[2])]


def _wrap(name: str, text: str, width: int) -> list[str]:
    indent = " " * len(name)
    lines = [line for part in text.splitlines() for line in wrap(name + part, width, subsequent_indent=indent)]
    return [line.replace(_STUCK, " ") for line in lines] or [""]


def _places(finding: Finding) -> str:
    """The first few places; none is broken at its blanks."""
    shown = [place.replace(" ", _STUCK) for place in _shorter(finding.where[:_SHOWN])]
    more = finding.count - len(shown)
    if shown and more > 0:
        shown.append(f"and {more:,} more".replace(" ", _STUCK))
    return "; ".join(shown)


def _shorter(places: Sequence[str]) -> list[str]:
    """Places without the folder that they are all in.

    >>> _shorter(["/data/a/train.csv:7 = /data/a/train.csv:2", "/data/a/val.csv:1 = /data/a/train.csv:2"])
    ['train.csv:7 = train.csv:2', 'val.csv:1 = train.csv:2']
    """
    names = [name for place in places for name in place.split(" = ")]
    if len(names) < 2 or not all("/" in name for name in names):
        return list(places)
    folders = [name.split("/")[:-1] for name in names]
    same = [parts[0] for parts in takewhile(lambda parts: len(set(parts)) == 1, zip(*folders, strict=False))]
    shared = "".join(f"{part}/" for part in same)
    return [" = ".join(name.removeprefix(shared) for name in place.split(" = ")) for place in places]
