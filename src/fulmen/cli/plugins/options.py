"""What can be set on a component: names, types, defaults and texts, read from its signature and docstrings."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

import docstring_parser

from fulmen.core.spec import EXTRA, SUPPLIED, type_hints

_ROLE = re.compile(r":\w+:(`[^`]+`)")  # Sphinx's, such as :attr:`reduction`
REQUIRED = inspect.Parameter.empty
EXTRA_TEXTS = {
    "log_as": (None, "The name that it is logged under, in place of its own."),
    "decay_bias_and_norm": (True, "Whether weight decay acts on biases and norm layers as well."),
}
"""Default and text of each option that Fulmen reads itself (:data:`fulmen.core.spec.EXTRA`)."""


@dataclass(frozen=True)
class Option:
    """An option of a component.

    Attributes:
        name: What a config calls it.
        hint: Its type; ``None`` where none is declared.
        default: Its default, or :data:`REQUIRED`.
        text: What the docstring says of it; may be empty.
    """

    name: str
    hint: Any
    default: Any
    text: str

    @property
    def required(self) -> bool:
        """Whether a config has to give it."""
        return self.default is REQUIRED


def options(kind: str, target: Any) -> list[Option]:
    """The options of a component, those that Fulmen reads itself included, those that it fills in left out.

    Args:
        kind: A key of :data:`fulmen.core.registry.KINDS`.
        target: The class or function.

    >>> [(o.name, o.default) for o in options("activations", __import__("torch").nn.ELU)]
    [('alpha', 1.0), ('inplace', False)]
    """
    hints, texts = type_hints(target), descriptions(target)
    found = [
        Option(p.name, hints.get(p.name), p.default, texts.get(p.name, ""))
        for p in inspect.signature(target).parameters.values()
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and p.name not in SUPPLIED.get(kind, set())
    ]
    own = [Option(name, hint, *EXTRA_TEXTS[name]) for name, hint in EXTRA.get(kind, {}).items()]
    return found + own


def takes_any(target: Any) -> bool:
    """Whether a component takes options that its signature does not name."""
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(target).parameters.values())


def descriptions(target: Any) -> dict[str, str]:
    """Argument -> its text, from the docstrings of a class, of its constructor and of its parents, or of a function."""
    found: dict[str, str] = {}
    for docstring in _docstrings(target):
        try:
            parameters = docstring_parser.parse(inspect.cleandoc(docstring)).params
        except docstring_parser.ParseError:
            continue
        for parameter in parameters:
            text = _ROLE.sub(r"\1", " ".join((parameter.description or "").split()))
            if text:
                found.setdefault(parameter.arg_name, text)
    return found


def _docstrings(target: Any) -> Iterator[str]:
    owners = [c for c in target.__mro__ if c is not object] if isinstance(target, type) else [target]
    for owner in owners:
        constructor = vars(owner).get("__init__") if isinstance(owner, type) else None
        yield from (doc for doc in (owner.__doc__, getattr(constructor, "__doc__", None)) if doc)


def type_name(hint: Any) -> str:
    """A type as a person writes it.

    >>> type_name(Literal["min", "max"] | None)
    "'min' | 'max' | None"
    >>> type_name(list[float])
    'list[float]'
    """
    if hint is None or hint is type(None):
        return "None"
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " | ".join(dict.fromkeys(type_name(a) for a in arguments))
    if origin is Literal:
        return " | ".join(map(repr, arguments))
    if origin is not None:
        inner = ", ".join("..." if a is ... else type_name(a) for a in arguments if not isinstance(a, list))
        name = str(getattr(origin, "__name__", origin))
        return f"{name}[{inner}]" if inner else name
    return str(getattr(hint, "__name__", hint)).replace("typing.", "")


def placeholder(hint: Any) -> Any:
    """A value of a type, to show where a required one goes.

    >>> placeholder(float | None), placeholder(list[str]), placeholder(Literal["min", "max"])
    (0.1, ['text'], 'min')
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return placeholder(next((a for a in arguments if a is not type(None)), None))
    if origin is Literal:
        return arguments[0]
    if origin is tuple:
        return [placeholder(a) for a in arguments if a is not ...]
    if origin is not None and isinstance(origin, type) and issubclass(origin, dict):
        return {}
    if origin is not None and len(arguments) == 1:
        return [placeholder(arguments[0])]
    simple = {bool: True, int: 1, float: 0.1, list: [], tuple: [], dict: {}}
    return simple.get(hint, "text")
