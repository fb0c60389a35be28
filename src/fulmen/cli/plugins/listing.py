"""Lists every component that can be plugged in. Reads package metadata and source text; imports no plugin, no torch."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import asdict, dataclass

from fulmen.cli.plugins.kinds import read_kind
from fulmen.core.registry import KINDS, Registry, registry
from fulmen.core.summaries import summary


@dataclass(frozen=True)
class Row:
    """A component, as it is listed.

    Attributes:
        kind: A key of :data:`fulmen.core.registry.KINDS`.
        name: What a config calls it.
        distribution: Who provides it.
        version: The distribution's version.
        summary: What it does, in one line; may be empty.
        value: Where it is, ``module:name``.
        problem: What keeps it from being used, or from being named in one word; ``None`` if nothing does.
        qualified: The spelling that always names it.
    """

    kind: str
    name: str
    distribution: str | None
    version: str | None
    summary: str
    value: str
    problem: str | None
    qualified: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `lightning plugins list`."""
    parser.add_argument("--kind", help=f"only this kind: {', '.join(KINDS)}")
    parser.add_argument("--json", action="store_true", help="print a JSON list of objects")


def run(options: argparse.Namespace) -> None:
    """Prints the list."""
    found = rows(registry(), options.kind and read_kind(options.kind))
    if options.json:
        import json

        print(json.dumps([asdict(row) for row in found], indent=2))
    else:
        print(table(found))


def rows(found: Registry, kind: str | None = None) -> list[Row]:
    """Every component, with what keeps any of them from being used.

    Args:
        found: The registry of an environment.
        kind: Only this kind, a key of :data:`fulmen.core.registry.KINDS`.
    """
    components = found.components(kind)
    problems = [found.problem(c) for c in components]
    usable = Counter((c.kind, c.name) for c, problem in zip(components, problems, strict=True) if problem is None)
    made = []
    for c, problem in zip(components, problems, strict=True):
        if problem is None and usable[c.kind, c.name] > 1:
            problem = f"also provided by another distribution: write {c.qualified!r}"
        made.append(Row(c.kind, c.name, c.distribution, c.version, summary(c), c.value, problem, c.qualified))
    return made


def table(found: list[Row]) -> str:
    """Rows as aligned columns; the last holds the summary, and a problem in brackets."""
    lines = [("KIND", "NAME", "DISTRIBUTION", "VERSION", "SUMMARY")]
    for row in found:
        problem = f"[{row.problem}]" if row.problem else ""
        last = " ".join(filter(None, (row.summary, problem)))
        lines.append((row.kind, row.name, row.distribution or "", row.version or "", last))
    widths = [max(len(line[i]) for line in lines) for i in range(4)]
    return "\n".join(
        "  ".join([*(f"{cell:<{w}}" for cell, w in zip(line, widths, strict=False)), line[4]]).rstrip()
        for line in lines
    )
