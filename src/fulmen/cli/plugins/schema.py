"""Writes a JSON Schema of configs, with the names of all that can be plugged in here and the options of each.

An editor with a YAML extension then completes keys and names, shows what they mean, and underlines mistakes.
Put this line at the top of a config:

    # yaml-language-server: $schema=fulmen.schema.json

Write it again when plugins are installed or updated. What is given on the command line need not be in the file,
so nothing is required of a config as a whole.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

from fulmen.cli.plugins.schema_specs import DOTTED, definitions, reference
from fulmen.cli.plugins.schema_types import Schema, class_parser, object_schema
from fulmen.core.errors import ConfigError
from fulmen.core.registry import registry
from fulmen.core.spec import arguments
from fulmen.core.version import __version__

FILE: Schema = {"type": "string", "pattern": r"\.(ya?ml|json)$"}  # a part of a config may stand in a file of its own
DRAFT = "http://json-schema.org/draft-07/schema#"  # what yaml-language-server reads best


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `lightning plugins schema`."""
    parser.add_argument("--out", type=Path, help="the file to write; without it the schema is printed")


def run(options: argparse.Namespace) -> None:
    """Prints or writes the schema.

    Raises:
        ConfigError: If the file cannot be written.
    """
    text = json.dumps(schema(), indent=1)
    if options.out is None:
        print(text)
        return
    try:
        options.out.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--out: {options.out} cannot be written: {error.strerror}") from error
    print(f"wrote {options.out}; put this line at the top of a config beside it:\n")
    print(f"# yaml-language-server: $schema={options.out.name}")


def schema() -> Schema:
    """The JSON Schema of a config for `lightning fit`, from the parser that reads configs."""
    import fulmen.data
    import fulmen.modules

    rooms: dict[str, list[type]] = {
        "model": _classes(fulmen.modules, fulmen.modules.SupervisedModule),
        "data": _classes(fulmen.data, fulmen.data.SupervisedDataModule),
    }
    made = object_schema(_parser(), given={key: _class_schema(key, classes) for key, classes in rooms.items()})
    for part in ("trainer", *rooms):
        made["properties"][part] = {"anyOf": [made["properties"][part], FILE]}
    made["definitions"] = {
        **{f"{key}.{cls.__name__}": _arguments(cls) for key, classes in rooms.items() for cls in classes},
        **definitions(registry(), lambda message: print(f"note: {message}", file=sys.stderr)),
    }
    return {"$schema": DRAFT, "title": f"Config of fulmen {__version__}", **made}


def _parser() -> Any:
    """The parser of `lightning fit`."""
    from fulmen.cli.invocation import Invocation
    from fulmen.cli.run import FulmenCLI

    class Built(Exception):  # noqa: N818  (it carries the parser out of LightningCLI's constructor)
        pass

    class ParserOnly(FulmenCLI):
        def parse_arguments(self, parser: Any, args: Any) -> NoReturn:
            raise Built(parser)

    try:
        ParserOnly(Invocation.read("fit", []))
    except Built as built:
        (subparser,) = built.args[0]._subcommands_action._name_parser_map.values()
    return subparser


def _classes(room: Any, base: type) -> list[type]:
    """What a config may name of a room: its public classes, but for the base of all."""
    return [cls for cls in (getattr(room, name) for name in room.__all__) if cls is not base]


def _arguments(cls: type) -> Schema:
    """The ``init_args`` of a class."""
    return object_schema(class_parser(cls), given={name: reference(mark) for name, mark in arguments(cls).items()})


def _class_schema(key: str, classes: list[type]) -> Schema:
    """What stands below ``model`` or ``data``: the path of a class, or a mapping with its arguments."""
    spellings = {cls: _spellings(cls) for cls in classes}
    full = "|".join(re.escape(path) for paths in spellings.values() for path in paths[1:])
    short = {
        "enum": [cls.__name__ for cls in classes],
        "markdownEnumDescriptions": [(cls.__doc__ or "").partition("\n")[0].replace("``", "`") for cls in classes],
    }
    own = {"type": "string", "pattern": f"^({full})$"}
    other = {"type": "string", "pattern": DOTTED.replace("^", r"^(?!fulmen\.)", 1)}
    class_path: Schema = {"anyOf": [short, own, other]}
    mapping: Schema = {
        "type": "object",
        "properties": {
            "class_path": class_path,
            "init_args": {"type": "object"},
            "dict_kwargs": {"type": "object"},
        },
        "additionalProperties": False,
        "allOf": [
            {
                "if": {"properties": {"class_path": {"enum": paths}}, "required": ["class_path"]},
                "then": {"properties": {"init_args": {"$ref": f"#/definitions/{key}.{cls.__name__}"}}},
            }
            for cls, paths in spellings.items()
        ],
    }
    return {"anyOf": [class_path, mapping]}


def _spellings(cls: type) -> list[str]:
    """How a config may name a class of this package: by its name, or by one of its paths."""
    room = cls.__module__.rpartition(".")[0]
    return [cls.__name__, f"fulmen.{cls.__name__}", f"{room}.{cls.__name__}", f"{cls.__module__}.{cls.__name__}"]
