"""The config of the best trial, as a person would write it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from fulmen.cli.config_edit import set_value
from fulmen.cli.invocation import Invocation
from fulmen.cli.tuning.checking import options, parse
from fulmen.cli.tuning.settings import Settings
from fulmen.core.errors import ConfigError, FulmenError
from fulmen.workflows.tuning import TrialResult
from fulmen.workflows.tuning.space import flow

BEST = "best.yaml"
_COMMAND = re.compile(r"# lightning .*\n")


def write_best(settings: Settings, trial: TrialResult, folder: Path) -> Path:
    """Writes a config that trains as the best trial did: that of the study with its values in place, comments kept.

    Where it cannot be edited line by line (anchors, several configs), all keys are written.

    Args:
        settings: Of the study.
        trial: The best one.
        folder: Of the study.
    """
    path = folder / BEST
    expected = parse([*settings.arguments, *options(trial.values)])
    head = (
        f"# lightning fit --config {path}\n"
        f"# trial {trial.number} of {settings.name}: {settings.score} {trial.value:.6g} ({settings.mode})\n"
    )
    try:
        path.write_text(head + _edited(settings, trial.values, expected))
        if _same(parse(["--config", str(path)]), expected):
            return path
    except FulmenError:  # the next is what cannot fail
        pass
    whole = {key: value for key, value in expected.items() if key not in ("config", "provenance")}
    path.write_text(head + yaml.safe_dump(whole, sort_keys=False))
    return path


def _edited(settings: Settings, values: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    invocation = Invocation.read("fit", settings.arguments)
    if len(invocation.configs) != 1:
        raise ConfigError("there is no one config to edit")
    text = _COMMAND.sub("", Path(next(iter(invocation.configs))).read_text(), count=1)
    given = {**_typed(invocation.typed), **{key: flow(values[key]) for key in sorted(values)}}
    for key, value in given.items():
        text = set_value(text, _path(key), value, _names(expected))
    return text


def _typed(arguments: list[str]) -> dict[str, str]:
    """Key -> value of what was typed beside the config."""
    found, rest = {}, iter(arguments)
    for argument in rest:
        key, equals, value = argument.removeprefix("--").partition("=")
        if not re.fullmatch(r"[A-Za-z_][\w.]*", key) or not argument.startswith("--"):
            raise ConfigError(f"{argument} is more than a key with a value")
        found[key] = value if equals else next(rest)
    return found


def _path(key: str) -> list[str]:
    """Where a key of the command line stands in a config."""
    first, *rest = key.split(".")
    if first in ("model", "data") and rest and rest[0] not in ("class_path", "init_args"):
        return [first, "init_args", *rest]
    return [first, *(["class_path"] if first in ("model", "data") and not rest else rest)]


def _names(config: Mapping[str, Any]) -> dict[str, str]:
    """What a config calls by a name alone, or leaves out."""
    optimizer = ((config.get("model") or {}).get("init_args") or {}).get("optimizer")
    name = optimizer.get("name") if isinstance(optimizer, dict) else optimizer
    classes = {key: (config.get(key) or {}).get("class_path") for key in ("model", "data")}
    return {k: v for k, v in {"optimizer": name, **classes}.items() if isinstance(v, str)}


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return {k: v for k, v in one.items() if k != "config"} == {k: v for k, v in other.items() if k != "config"}
