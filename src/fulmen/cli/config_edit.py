"""One value in a config file changed, and nothing else: comments, order and spelling stay."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.utilities import rank_zero_only

from fulmen.cli.invocation import Invocation
from fulmen.core.errors import ConfigError

_NAMED_BY = {"optimizer": "name", "model": "class_path", "data": "class_path"}
"""What a bare name in a config is short for: ``optimizer: adam`` for ``optimizer: {name: adam}``."""


@dataclass(frozen=True)
class Target:
    """What is to be changed.

    Attributes:
        path: File to write.
        text: Its contents, or those of the config that it is made from.
    """

    path: Path
    text: str


def add_write_option(parser: argparse.ArgumentParser) -> None:
    """Adds ``--write``, whose value :func:`find_target` takes."""
    parser.add_argument(
        "--write",
        nargs="?",
        const="",
        metavar="FILE",
        help="write the suggestion into the config, comments kept; or into FILE, which is made from the config where "
        "it is missing",
    )


def find_target(invocation: Invocation, file: str, keys: Sequence[str]) -> Target:
    """The file that `--write` means.

    Args:
        invocation: The command line.
        file: What `--write` was given: a file, made from the config where it is missing; ``""``: the config itself.
        keys: Path of the value: of several configs, the last one that has it is taken.

    Raises:
        ConfigError: If there is none, or it is no config.
    """
    if not invocation.configs:
        raise ConfigError("write: there is no config to write into; give --config FILE")
    having = [path for path, config in invocation.configs.items() if _has(config, keys)]
    source = (having or list(invocation.configs))[-1]
    path = Path(file or source)
    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"write: {str(path)!r} is no config; give a file that ends in .yaml, or none for {source!r}")
    return Target(path, (path if path.is_file() else Path(source)).read_text())


@rank_zero_only
def write(target: Target, keys: Sequence[str], value: str, names: dict[str, str]) -> None:
    """Writes a value, and says so.

    Args:
        target: The file.
        keys: Path of the value.
        value: As YAML.
        names: Key -> what it is called where the config leaves it out, such as ``{"optimizer": "adam"}``.

    Raises:
        ConfigError: If the file cannot be edited in one place, or not be written.
    """
    text = set_value(target.text, keys, value, names)
    try:
        target.path.parent.mkdir(parents=True, exist_ok=True)
        target.path.write_text(text)
    except OSError as error:
        raise ConfigError(f"write: {str(target.path)!r} cannot be written ({error})") from error
    print(f"written: {target.path}: {'.'.join(keys)}: {value}")


def set_value(text: str, keys: Sequence[str], value: str, names: dict[str, str]) -> str:
    r"""A config with one value changed or added.

    Args:
        text: YAML.
        keys: Path of the value.
        value: As YAML, a scalar.
        names: See :func:`write`.

    Raises:
        ConfigError: If it cannot be done in one place, as where anchors share the value.

    >>> set_value("a: {lr: 1.0}  # why\n", ["a", "lr"], "2.0", {})
    'a: {lr: 2.0}  # why\n'
    """
    edited = _edit(text, keys, value, names)
    try:
        done = yaml.safe_load(edited) == _with(yaml.safe_load(text), keys, yaml.safe_load(value), names)
    except (yaml.YAMLError, TypeError):
        done = False
    if not done:
        raise ConfigError(f"write: this config cannot be edited line by line; set {'.'.join(keys)}: {value} by hand")
    return edited


def _edit(text: str, keys: Sequence[str], value: str, names: dict[str, str]) -> str:
    node: Any = yaml.compose(text)
    for depth, key in enumerate(keys):
        if not isinstance(node, yaml.MappingNode):
            return _replace(text, node, _opened(node.value, keys, depth, value, names))
        child = next((v for k, v in node.value if k.value == key), None)
        if child is None:
            return _insert(text, node, f"{key}: {_nested(keys, depth + 1, value, names)}")
        node = child
    return _replace(text, node, value)


def _replace(text: str, node: yaml.Node, new: str) -> str:
    start, end = node.start_mark.index, _last(node).end_mark.index
    gap = " " if start and text[start - 1] == ":" else ""  # behind a key that had no value
    return text[:start] + gap + new + text[end:]


def _insert(text: str, node: yaml.MappingNode, entry: str) -> str:
    if node.flow_style:
        end = node.end_mark.index - 1
        while text[end - 1].isspace():
            end -= 1
        return text[:end] + (", " if node.value else "") + entry + text[end:]
    indent = " " * node.value[0][0].start_mark.column
    end = text.find("\n", _last(node).end_mark.index)
    end = len(text) if end < 0 else end
    return f"{text[:end]}\n{indent}{entry}{text[end:]}"


def _last(node: yaml.Node) -> yaml.Node:
    """The last thing that is written of a node; the end of a block lies behind comments and blank lines."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last: Any = node.value[-1]
        return _last(last[1] if isinstance(last, tuple) else last)
    return node


def _nested(keys: Sequence[str], depth: int, value: str, names: dict[str, str]) -> str:
    """The value in the mappings that lead to it, as a flow."""
    if depth == len(keys):
        return value
    return _opened(names.get(keys[depth - 1]), keys, depth, value, names)


def _opened(name: str | None, keys: Sequence[str], depth: int, value: str, names: dict[str, str]) -> str:
    """A mapping in place of a bare name, or of nothing."""
    named = f"{_NAMED_BY[keys[depth - 1]]}: {name}, " if name and keys[depth - 1] in _NAMED_BY else ""
    return f"{{{named}{keys[depth]}: {_nested(keys, depth + 1, value, names)}}}"


def _with(config: Any, keys: Sequence[str], value: Any, names: dict[str, str], owner: str = "") -> Any:
    """A config as it should read afterwards."""
    if not keys:
        return value
    name = config if isinstance(config, str) else names.get(owner) if config is None else None
    if not isinstance(config, dict):
        config = {_NAMED_BY[owner]: name} if name and owner in _NAMED_BY else {}
    return {**config, keys[0]: _with(config.get(keys[0]), keys[1:], value, names, keys[0])}


def _has(config: Any, keys: Sequence[str]) -> bool:
    for key in keys:
        if not isinstance(config, dict) or key not in config:
            return False
        config = config[key]
    return True
