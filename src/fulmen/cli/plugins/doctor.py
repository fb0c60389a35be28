"""Says what is broken, incompatible, denied or colliding among all that can be plugged in, and how to mend it.

Every component that may load is imported. Errors end with exit code 2; warnings and advice do not.
"""

from __future__ import annotations

import argparse
import sysconfig
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

from fulmen.cli.plugins.options import options
from fulmen.core.errors import FulmenError, PluginError, nearest
from fulmen.core.registry import BASES, KINDS, OWN, Component, Registry, registry, scan

Level = Literal["error", "warning", "advice"]
_HEADS: dict[Level, str] = {"error": "errors", "warning": "warnings", "advice": "advice"}


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        level: ``error``: it cannot work; ``warning``: it works, but not as it looks; ``advice``: it could be better.
        what: What was found.
        mend: What to do.
    """

    level: Level
    what: str
    mend: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`lightning plugins doctor` takes no arguments."""


def run(options: argparse.Namespace) -> None:
    """Prints the findings.

    Raises:
        PluginError: If there are errors; says how many.
    """
    found, findings = examine()
    if not findings:
        distributions = {c.distribution for c in found.components()}
        print(f"{len(found.components())} components of {len(distributions)} distributions: nothing is wrong")
        return
    print(report(findings))
    counts = _counts(findings)
    if any(f.level == "error" for f in findings):
        raise PluginError(counts)
    print(f"\n{counts}")


def examine() -> tuple[Registry, list[Finding]]:
    """Looks at everything that can be plugged in.

    Returns:
        The registry (of all plugins, where one of the variables that keep plugins out is wrong), and what was found.
    """
    findings: list[Finding] = []
    try:
        found = registry()
    except PluginError as error:
        variable = str(error).partition(":")[0]
        findings.append(Finding("error", str(error), f"correct the environment variable {variable}, or unset it"))
        found = scan({})
    findings += [*_groups(), *_script(), *_collisions(found)]
    for component in found.components():
        findings += _component(found, component)
    return found, findings


def _groups() -> Iterator[Finding]:
    """Entry-point groups that look like ours and are not: their components are never seen."""
    installed = entry_points()
    for group in sorted(installed.groups):
        prefix, _, kind = group.partition(".")
        if prefix != OWN or kind in KINDS:
            continue
        close = nearest(kind, KINDS)
        right = f"rename it to {OWN}.{close}" if close else f"take one of {', '.join(f'{OWN}.{k}' for k in KINDS)}"
        for entry in installed.select(group=group):
            owner = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "a distribution"
            yield Finding(
                "error",
                f"{entry.name!r} of {owner} is in the entry-point group {group!r}, which nothing reads",
                f"{right} in its pyproject.toml, and install it again",
            )


def _script() -> Iterator[Finding]:
    """The script `lightning`, where another distribution's has replaced ours."""
    script = Path(sysconfig.get_path("scripts"), "lightning")
    if not script.is_file() or OWN in script.read_text(errors="ignore"):
        return
    entries = entry_points(group="console_scripts", name="lightning")
    others = {e.dist.name for e in entries if e.dist is not None and e.dist.name != OWN}
    yield Finding(
        "warning",
        f"the command `lightning` belongs to {' and '.join(sorted(others)) or 'another program'}",
        f"type `{OWN}`, the same command under a name of its own",
    )


def _collisions(found: Registry) -> Iterator[Finding]:
    """Names that several distributions have."""
    named: dict[tuple[str, str], list[Component]] = defaultdict(list)
    for component in found.components():
        if found.problem(component) is None:
            named[component.kind, component.name].append(component)
    for (kind, name), components in named.items():
        if len(components) < 2:
            continue
        what = f"{KINDS[kind]} {name!r} is provided by {' and '.join(c.provider for c in components)}"
        spellings = list(dict.fromkeys(c.qualified for c in components))
        if len(spellings) < len(components):
            yield Finding(
                "error", what, f"one distribution has the name twice; update it, or report it: {spellings[0]}"
            )
        else:
            denied = next(c.distribution for c in reversed(components) if c.distribution != OWN)
            yield Finding(
                "warning",
                what,
                f"write {' or '.join(map(repr, spellings))} in configs, or keep one out: FULMEN_PLUGINS_DENY={denied}",
            )


def _component(found: Registry, component: Component) -> Iterator[Finding]:
    what = f"{KINDS[component.kind]} {component.name!r} of {component.provider}"
    problem = found.problem(component)
    if problem is not None:
        if " is denied by " in problem:
            yield Finding(
                "warning", f"{what} may not load", f"unset {problem.rpartition(' is denied by ')[2]!r} to use it"
            )
        else:
            yield Finding("error", f"{what}: {problem}", f"pip install -U {component.distribution} {OWN}")
        return
    try:
        target = component.load()
    except FulmenError as error:
        cause, _, mend = str(error).partition("\n")
        yield Finding("error", cause, mend[:1].lower() + mend[1:])
        return
    yield from _target(component, what, target)
    if component.distribution != OWN:  # a person cannot mend ours, or torch's
        yield from _advice(component, what, target)


def _target(component: Component, what: str, target: Any) -> Iterator[Finding]:
    """Whether a component is something that its kind can use."""
    module, _, name = BASES[component.kind].partition(":")
    base = f"{module}.{name}"
    if not callable(target):
        yield Finding(
            "error", f"{what} is {component.value!r}, a {type(target).__name__}",
            f"its entry point must name a subclass of {base}, or a function that returns one",
        )  # fmt: skip
    elif isinstance(target, type):
        try:
            parent = getattr(import_module(module), name)
        except ImportError as error:
            yield Finding("error", f"{what} needs {module}: {error}", f"pip install {module.partition('.')[0]}")
            return
        if not issubclass(target, parent):
            yield Finding(
                "error", f"{what} is {component.value!r}, which is no {base}", f"make it a subclass of {base}"
            )


def _advice(component: Component, what: str, target: Any) -> Iterator[Finding]:
    """Options that a config can set, but that nothing checks or explains."""
    if not callable(target):
        return
    for without, missing, mend in (
        (
            "type",
            [o.name for o in options(component.kind, target) if o.hint is None],
            "annotate them: width: float = 1",
        ),
        (
            "description",
            [o.name for o in options(component.kind, target) if not o.text],
            "describe them in the docstring",
        ),
    ):
        if missing:
            yield Finding("advice", f"{what} has options without a {without}: {', '.join(missing)}", mend)


def report(findings: list[Finding]) -> str:
    """The findings as text, the gravest first."""
    parts = []
    for level, head in _HEADS.items():
        lines = [f"  {f.what}\n    -> {f.mend}" for f in findings if f.level == level]
        if lines:
            parts.append("\n".join([head, *lines]))
    return "\n\n".join(parts)


def _counts(findings: list[Finding]) -> str:
    counts = []
    for level, head in _HEADS.items():
        number = sum(f.level == level for f in findings)
        if number:
            counts.append(f"{number} {level if number == 1 else head}")
    return ", ".join(counts)
