"""What a person typed, read before the parser is built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fulmen.cli.runs import ROOT, config_name
from fulmen.core import provenance
from fulmen.core.errors import ConfigError

_CONFIG = ("--config", "-c")


@dataclass(frozen=True)
class Invocation:
    """A command line, with its config files first: what is typed beside them has the last word, in any order.

    Attributes:
        command: Name of the command.
        arguments: What follows it.
        configs: Path -> contents of the config files.
    """

    command: str
    arguments: list[str]
    configs: dict[str, dict[str, Any]]

    @classmethod
    def read(cls, command: str, arguments: list[str]) -> Invocation:
        """Reads the command line and its config files.

        Raises:
            ConfigError: If a config file is missing or no YAML mapping.
            PluginError: If a saved config names a plugin that is missing or has changed.
        """
        paths, others = _split(arguments)
        configs = {path: _load(path) for path in paths}
        for path, config in configs.items():
            provenance.compare(config.get("provenance") or [], path)
        return cls(command, [a for path in paths for a in ("--config", path)] + others, configs)

    @property
    def name(self) -> str:
        """The name that runs are kept under."""
        return config_name(next(iter(self.configs), None))

    @property
    def typed(self) -> list[str]:
        """What stands beside the config files."""
        return self.arguments[2 * self.arguments.count("--config") :]

    @property
    def runs_root(self) -> str:
        """The folder of all runs."""
        given = [(config.get("trainer") or {}).get("default_root_dir") for config in self.configs.values()]
        return next((g for g in [self.option("--trainer.default_root_dir"), *reversed(given)] if g), ROOT)

    def option(self, name: str) -> str | None:
        """The last value of an option on the command line."""
        return next((value for option, value in reversed(list(_options(self.arguments))) if option == name), None)

    def class_path(self, key: str) -> str | None:
        """The class that is given for ``model`` or ``data``, as it was written."""
        found = None
        for config in self.configs.values():
            given = config.get(key)
            found = (
                given.get("class_path", found)
                if isinstance(given, dict)
                else given
                if isinstance(given, str)
                else found
            )
        return self.option(f"--{key}.class_path") or self.option(f"--{key}") or found


def _options(arguments: list[str]) -> Iterator[tuple[str, str | None]]:
    """Options with their values, written as ``--key value`` or ``--key=value``."""
    for i, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        if option.startswith("-"):
            yield option, value if equals else arguments[i + 1] if i + 1 < len(arguments) else None


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    paths: list[str] = []
    others: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        option, equals, value = argument.partition("=")
        if option not in _CONFIG:
            others.append(argument)
            continue
        path = value if equals else next(rest, None)
        if path is None or path.startswith("-"):
            raise ConfigError(f"{option} needs the path of a YAML file, such as configs/digits_mlp.yaml")
        paths.append(path)
    return paths, others


def _load(path: str) -> dict[str, Any]:
    file = Path(path)
    if not file.is_file():
        folder = file.parent if file.parent.is_dir() else Path()
        there = ", ".join(sorted(str(p) for p in [*folder.glob("*.yaml"), *folder.glob("configs/*.yaml")]))
        raise ConfigError(f"there is no config file {path!r} (from {Path.cwd()}); here are: {there or 'none'}")
    try:
        config = yaml.safe_load(file.read_text())
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is no valid YAML: {error}") from error
    if not isinstance(config, dict):
        raise ConfigError(f"{path} must hold keys and values (model: ..., data: ...), not {type(config).__name__}")
    return config
