"""JSON Schemas of what can be plugged in: the names of a kind, and the options of each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable

from fulmen.cli.plugins.options import Option, options, takes_any
from fulmen.cli.plugins.schema_types import Schema, described, type_schema
from fulmen.core.errors import PluginError
from fulmen.core.registry import KINDS, OWN, Component, Registry
from fulmen.core.spec import Pluggable, arguments
from fulmen.core.summaries import summary

DOTTED = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$"


def reference(mark: Pluggable) -> Schema:
    """What an argument takes that is marked as pluggable: null, or a spec, or a list of specs."""
    spec: Schema = {"$ref": f"#/definitions/{mark.kind}"}
    return {"anyOf": [{"type": "null"}, {"type": "array", "items": spec} if mark.many else spec]}


def definitions(found: Registry, warn: Callable[[str], None]) -> dict[str, Schema]:
    """The definition of every kind, and of the options of every component that can be used.

    Args:
        found: What is installed.
        warn: Called with a sentence for each component that is left out because it cannot be imported.
    """
    made: dict[str, Schema] = {}
    for kind in KINDS:
        usable: list[tuple[Component, Schema]] = []
        for component in found.components(kind):
            if found.problem(component) is not None:
                continue
            try:
                schema = _object(kind, component.load())
            except PluginError as error:
                warn(f"{component.qualified!r} is left out: {str(error).partition(chr(10))[0]}")
                continue
            usable.append((component, schema))
            made[_key(component)] = schema
        made[kind] = _spec([c for c, _ in usable], {c.qualified for c, s in usable if s["required"] == ["name"]})
    return made


def _key(component: Component) -> str:
    return f"{component.kind}.{component.qualified}"


def _object(kind: str, target: Callable[..., object]) -> Schema:
    """The mapping form of a spec: the name and the options of one component."""
    found, inner = options(kind, target), arguments(target)
    specs = {name: reference(mark) for name, mark in inner.items()}
    return {
        "properties": {"name": True, **{o.name: _option(o) for o in found}, **specs},
        "required": ["name", *(o.name for o in found if o.required)],
        "additionalProperties": takes_any(target),
    }


def _option(option: Option) -> Schema:
    schema = {} if option.hint is None else type_schema(option.hint)
    if option.default is None and schema:
        schema = {"anyOf": [schema, {"type": "null"}]}
    return described(schema, option.text, option.default, required=option.required)


def _spec(components: list[Component], bare: set[str]) -> Schema:
    """A spec of a kind.

    Args:
        components: All that can be used.
        bare: The qualified names of those that need no options, and so may be named in one word.
    """
    short = [c for c in components if c.qualified in bare]
    conditions = [
        {
            "if": {"properties": {"name": {"enum": _spellings(c, components)}}, "required": ["name"]},
            "then": {"$ref": f"#/definitions/{_key(c)}"},
        }
        for c in components
    ]
    mapping: Schema = {"type": "object", "required": ["name"], "properties": {"name": _name(components, components)}}
    return {"anyOf": [_name(short, components), {**mapping, **({"allOf": conditions} if conditions else {})}]}


def _name(components: list[Component], everything: list[Component]) -> Schema:
    """The name of one of some components, the same with its distribution, or a dotted path."""
    names = {c.name: c for c in components if c.name in _spellings(c, everything)}
    qualified = "|".join(re.escape(c.qualified).replace("\\-", "-") for c in components)
    forms: list[Schema] = [{"type": "string", "pattern": DOTTED}]
    if qualified:
        forms.insert(0, {"type": "string", "pattern": f"^({qualified})$"})
    if names:
        texts = [_text(c) for c in names.values()]
        forms.insert(0, {"enum": list(names), "markdownEnumDescriptions": texts})
    return {"anyOf": forms}


def _spellings(component: Component, components: Iterable[Component]) -> list[str]:
    """How a component may be named: a name that two distributions have needs the distribution."""
    taken = Counter(c.name for c in components)
    return [component.qualified, *([component.name] if taken[component.name] == 1 else [])]


def _text(component: Component) -> str:
    owner = "" if component.distribution == OWN else f" ({component.provider})"
    return summary(component).replace("``", "`") + owner
