"""`lightning plugins`: what can be plugged in. Reads package metadata only; imports no plugin and no torch."""

from __future__ import annotations

import argparse
from collections import Counter

from fulmen.core.registry import KINDS, registry


def run(command: str, arguments: list[str]) -> None:
    """Runs `lightning plugins list`.

    Args:
        command: ``plugins``.
        arguments: What follows it.
    """
    parser = argparse.ArgumentParser(prog=f"lightning {command}", description="What can be plugged in.")
    actions = parser.add_subparsers(dest="action", required=True)
    lister = actions.add_parser("list", help="every component: kind, name, distribution, version")
    lister.add_argument("--kind", choices=list(KINDS), help="only this kind")
    print(listing(parser.parse_args(arguments).kind))


def listing(kind: str | None = None) -> str:
    """A table of all components, with what keeps any of them from being used.

    Args:
        kind: Only this kind, a key of :data:`fulmen.core.registry.KINDS`.
    """
    found = registry()
    components = found.components(kind)
    usable = Counter((c.kind, c.name) for c in components if found.problem(c) is None)
    rows = [("KIND", "NAME", "DISTRIBUTION", "VERSION", "")]
    for c in components:
        note = found.problem(c) or ""
        if not note and usable[c.kind, c.name] > 1:
            note = f"also provided by another distribution: write {c.qualified!r}"
        rows.append((c.kind, c.name, c.distribution or "", c.version or "", note))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return "\n".join(
        "  ".join([*(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=False)), row[4]]).rstrip() for row in rows
    )
