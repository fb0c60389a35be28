"""JSON Schemas of Python types and signatures, as jsonargparse reads them from YAML."""

from __future__ import annotations

import argparse
import datetime
import enum
import json
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from jsonargparse import ArgumentParser

Schema = dict[str, Any]

_SIMPLE: dict[Any, Schema] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    type(None): {"type": "null"},
    None: {"type": "null"},
    Path: {"type": "string"},
    datetime.timedelta: {"type": "string"},
}
_CLASS: Schema = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {
                "class_path": {"type": "string"},
                "init_args": {"type": "object"},
                "dict_kwargs": {"type": "object"},
            },
            "required": ["class_path"],
            "additionalProperties": False,
        },
    ]
}
"""What stands for an object: the path of its class, with the arguments of its constructor."""


def type_schema(hint: Any) -> Schema:
    """The JSON Schema of what YAML may hold for a type; open where jsonargparse cannot check it either.

    >>> type_schema(Literal["min", "max"] | None)
    {'anyOf': [{'enum': ['min', 'max']}, {'type': 'null'}]}
    >>> type_schema(tuple[int, float])
    {'type': 'array', 'items': [{'type': 'integer'}, {'type': 'number'}], 'minItems': 2, 'maxItems': 2}
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return {}
    if origin is Annotated:
        return type_schema(arguments[0])
    if hint in _SIMPLE:
        return _SIMPLE[hint]
    if Callable in (hint, origin):
        return _CLASS
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        others = [a for a in arguments if getattr(a, "__name__", "") != "Tensor"]  # no config holds a tensor
        return any_of([type_schema(a) for a in others or arguments])
    return _generic(origin or hint, arguments)


def _generic(origin: Any, arguments: tuple[Any, ...]) -> Schema:
    if not isinstance(origin, type):
        return {}  # a TypeVar, ...
    if issubclass(origin, Mapping):
        values = type_schema(arguments[1]) if len(arguments) == 2 else {}
        return {"type": "object", **({"additionalProperties": values} if values else {})}
    if origin is tuple and arguments and arguments[-1] is not ...:
        items = [type_schema(a) for a in arguments]
        return {"type": "array", "items": items, "minItems": len(items), "maxItems": len(items)}
    if issubclass(origin, Iterable) and (arguments or origin in (list, tuple, set)):
        return {"type": "array", **({"items": type_schema(arguments[0])} if arguments else {})}
    if issubclass(origin, enum.Enum):
        return {"enum": [member.name for member in origin]}
    base = next((b for b in (bool, int, float, str) if issubclass(origin, b)), None)
    if base is not None:  # a restricted number or string
        return _SIMPLE[base]
    if getattr(origin, "__final__", False):  # jsonargparse takes its arguments without a class_path
        return object_schema(class_parser(origin))
    return {} if origin is object else _CLASS


def any_of(schemas: Iterable[Schema]) -> Schema:
    """What satisfies one of the schemas, each listed once."""
    unique = list({json.dumps(s, sort_keys=True): s for s in schemas}.values())
    if {} in unique:
        return {}
    return unique[0] if len(unique) == 1 else {"anyOf": unique}


def class_parser(cls: type) -> ArgumentParser:
    """A parser of the arguments of a class, those that its ``**kwargs`` hand to its parents included."""
    parser = ArgumentParser()
    parser.add_class_arguments(cls, fail_untyped=False)
    return parser


def typed_actions(parser: argparse.ArgumentParser) -> Iterator[tuple[argparse.Action, Any]]:
    """The arguments of a parser that a config may hold, each with its type."""
    for action in parser._actions:
        if action.default != argparse.SUPPRESS and hasattr(action, "_typehint"):  # not --help and its like
            yield action, action._typehint


def object_schema(parser: ArgumentParser, given: Mapping[str, Schema] | None = None) -> Schema:
    """The schema of an object that holds the arguments of a parser, and no other key.

    Args:
        parser: Its arguments, ``a.b`` being nested.
        given: Argument -> its schema, where the type alone does not tell all.
    """
    made: Schema = {"type": "object", "properties": {}, "additionalProperties": False}
    owner: Schema
    for action, hint in typed_actions(parser):
        *parents, name = action.dest.split(".")
        owner = made
        for parent in parents:
            empty: Schema = {"type": "object", "properties": {}, "additionalProperties": False}
            owner = owner["properties"].setdefault(parent, empty)
        schema = (given or {}).get(action.dest) or type_schema(hint)
        if action.default is None and not action.required and action.dest not in (given or {}):
            schema = any_of([schema, {"type": "null"}]) if schema and not admits_null(schema) else schema
        owner["properties"][name] = described(schema, action.help, action.default, required=action.required)
    return made


def admits_null(schema: Schema) -> bool:
    """Whether null satisfies a schema of this module."""
    return schema.get("type") == "null" or any(admits_null(s) for s in schema.get("anyOf", ()))


def described(schema: Schema, text: Any, default: Any, *, required: bool) -> Schema:
    """A schema with a text and a default for an editor to show."""
    made: Schema = {"allOf": [schema]} if "$ref" in schema else dict(schema)  # beside a $ref nothing else is read
    if isinstance(text, str) and text != argparse.SUPPRESS:
        made["description"] = " ".join(text.split())
    if not required and is_json(default):
        made["default"] = default
    return made


def is_json(value: Any) -> bool:
    """Whether a value can be written in JSON as it is.

    >>> is_json({"lr": [0.1]}), is_json(float("inf")), is_json((1, 2))
    (True, False, False)
    """
    if isinstance(value, list):
        return all(map(is_json, value))
    if isinstance(value, dict):
        return all(isinstance(k, str) and is_json(v) for k, v in value.items())
    return value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and abs(value) < 1e308)
