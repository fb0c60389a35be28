"""Tells all about one component: what it does, its options with types and defaults, where it comes from.

NAME is a name (gelu), distribution:name where two provide it, or the dotted path of a class (my_file.Bump).
A name that several kinds have (mae is a loss and a metric) is shown for each. The component is imported.
"""

from __future__ import annotations

import argparse
import inspect
import shutil
import sys
import textwrap
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import Distribution, PackageMetadata, packages_distributions
from typing import Any

from fulmen.cli.plugins.kinds import config_line, read_kind
from fulmen.cli.plugins.options import Option, options, placeholder, takes_any, type_name
from fulmen.core.errors import PluginError, SpecError, unknown
from fulmen.core.registry import BASES, KINDS, KNOWN_PLUGINS, Component, registry
from fulmen.core.spec import EXTRA
from fulmen.core.summaries import FOREIGN, plain, summary

_LINKS = ("documentation", "docs", "homepage", "home-page", "home page", "repository", "source", "source code")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `lightning plugins info`."""
    parser.add_argument("name", metavar="NAME", help="a name, distribution:name, or package.module.Name")
    parser.add_argument("--kind", help=f"only this kind: {', '.join(KINDS)}")


def run(options: argparse.Namespace) -> None:
    """Prints what is known of the component.

    Raises:
        SpecError: If nothing has this name.
        PluginError: If what has it cannot be imported, or may not be.
    """
    kinds = [read_kind(options.kind)] if options.kind else list(KINDS)
    print("\n\n".join(describe(component) for component in find(options.name, kinds)))


def find(name: str, kinds: list[str]) -> list[Component]:
    """What a name means in each of some kinds.

    Raises:
        SpecError: If it means nothing in any of them.
    """
    distribution, _, bare = name.rpartition(":")
    if "." in bare and not distribution:
        return _by_path(name, kinds)
    having = [kind for kind in kinds if any(c.name == bare for c in registry().components(kind))]
    having = having or [kind for kind in kinds if any(bare in d.get(kind, "").split() for d in KNOWN_PLUGINS.values())]
    if not having and len(kinds) > 1:
        names = {c.name for c in registry().components()}
        raise SpecError(
            f"{unknown('component', bare, names).partition(' Allowed: ')[0]}\nSee `lightning plugins list`."
        )
    found = []
    problems: list[SpecError] = []
    for kind in having or kinds:
        try:
            found.append(registry().find(kind, name))
        except SpecError as error:
            problems.append(error)
    if not found:
        raise problems[0]
    return found


def _by_path(path: str, kinds: list[str]) -> list[Component]:
    """The component of a dotted path, once for each kind whose base it is a subclass of."""
    if len(kinds) == 1:
        return [registry().by_path(kinds[0], path)]
    module, _, name = path.rpartition(".")
    try:
        target = getattr(import_module(module), name)
    except Exception as error:  # whatever a module raises at import is named
        raise SpecError(f"{path!r} cannot be imported: {type(error).__name__}: {error}") from error
    found = [registry().by_path(kind, path) for kind in kinds if _is_of(target, kind)]
    if not found:
        bases = ", ".join(dict.fromkeys(base.replace(":", ".") for base in BASES.values()))
        raise SpecError(f"{path!r} is no class that can be plugged in: it must be a subclass of one of {bases}")
    return found


def _is_of(target: Any, kind: str) -> bool:
    """Whether a class is of a kind; a base whose package is not loaded cannot be its parent."""
    module, _, name = BASES[kind].partition(":")
    if not isinstance(target, type) or module.partition(".")[0] not in sys.modules:
        return False
    return issubclass(target, getattr(import_module(module), name))


def describe(component: Component) -> str:
    """All about a component, as text.

    Raises:
        PluginError: If it may not be used, or cannot be imported.
    """
    problem = registry().problem(component)
    if problem:
        raise PluginError(problem)
    target = component.load()
    found = options(component.kind, target)
    lines = [
        f"{KINDS[component.kind]} {component.name}",
        *_origin(component, target),
        "",
        _first_line(component, target),
    ]
    if found:
        lines += ["", "options", *_table(found)]
        if takes_any(target):
            lines.append("  ... and what it hands on to others (**kwargs)")
    elif takes_any(target):
        lines += ["", "options: none that it names; it takes any"]
    else:
        lines += ["", "options: none"]
    return "\n".join([*lines, "", "in a config", *_example(component, found)])


def _first_line(component: Component, target: Any) -> str:
    found = (
        FOREIGN.get(component.value)
        or inspect.cleandoc(target.__doc__ or "").partition("\n\n")[0]
        or summary(component)
    )
    return " ".join(plain(found).split()) or "(it has no docstring)"


def _origin(component: Component, target: Any) -> list[str]:
    lines = [f"  of       {component.provider}", f"  is       {component.value}"]
    source = inspect.unwrap(target)
    try:
        lines.append(f"  source   {inspect.getsourcefile(source)}:{inspect.getsourcelines(source)[1]}")
    except (OSError, TypeError):  # made at run time, or compiled
        lines.append(f"  source   none that can be shown ({type(target).__name__})")
    link = _link(component)
    return [*lines, f"  docs     {link}"] if link else lines


def _link(component: Component) -> str | None:
    """Where the documentation is: of the distribution that the class is in, which may be torch."""
    top = component.value.partition(":")[0].partition(".")[0]
    owner = next(iter(_owners().get(top, ())), component.distribution)
    if owner is None:
        return None
    metadata: PackageMetadata = Distribution.from_name(owner).metadata
    urls = {"home-page": metadata["Home-page"]} if "Home-page" in metadata else {}
    for entry in metadata.get_all("Project-URL") or []:
        label, _, url = entry.partition(",")
        urls[label.strip().lower()] = url.strip()
    return next((urls[label] for label in _LINKS if urls.get(label)), None)


@cache
def _owners() -> Mapping[str, list[str]]:
    """Top-level module -> the distributions that list it."""
    return packages_distributions()


def _table(found: list[Option]) -> list[str]:
    rows = [
        (
            o.name,
            "any" if o.hint is None else type_name(o.hint),
            "required" if o.required else repr(o.default),
            plain(o.text),
        )
        for o in found
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    start = 2 + sum(widths) + 6
    room = shutil.get_terminal_size((120, 24)).columns - start
    lines = []
    for row in rows:
        head = "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=False))
        if room >= 30:
            text = textwrap.wrap(row[3], room) or [""]
            lines += [f"  {head}  {text[0]}".rstrip(), *(" " * start + line for line in text[1:])]
        else:  # types too long for columns: the text goes below
            lines += [
                f"  {head}".rstrip(),
                *textwrap.wrap(row[3], 100, initial_indent=" " * 6, subsequent_indent=" " * 6),
            ]
    return lines


def _spelling(component: Component) -> str:
    """Its name; with the distribution where others have the same."""
    alike = [c for c in registry().components(component.kind) if c.name == component.name]
    return component.qualified if len(alike) > 1 else component.name


def _example(component: Component, found: list[Option]) -> list[str]:
    """A line that a config may hold: the required options with placeholders, else one with its default."""
    required = [o for o in found if o.required]
    shown = {o.name: placeholder(o.hint) for o in required}
    if not shown:
        own = EXTRA.get(component.kind, {})
        simple = [o for o in found if isinstance(o.default, bool | int | float | str) and o.name not in own]
        shown = {o.name: o.default for o in simple[:1]}
    lines = [f"  {config_line(component.kind, _spelling(component), shown)}"]
    if required:
        names = ", ".join(o.name for o in required)
        lines.append(f"  ({names}: required; the value shown is a placeholder)")
    return lines
