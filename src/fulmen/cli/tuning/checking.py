"""Every value of a space is parsed as `fit` would parse it, before anything is trained."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from itertools import islice, product
from typing import Any

import yaml

from fulmen.cli.invocation import Invocation
from fulmen.cli.run import FulmenCLI
from fulmen.core.errors import ConfigError, FulmenError
from fulmen.workflows.config_differences import flat
from fulmen.workflows.tuning import Space
from fulmen.workflows.tuning.space import flow, short

_OURS = {
    "checkpoint": "it says which epoch of a trial is scored",
    "pruning": "the study sets it",
    "test_after_fit": "no trial is tested",
    "keep_predictions": "it changes no score",
    "ckpt_path": "each trial starts anew",
    "output": "it changes no score",
    "provenance": "it changes no score",
    "config": "give the config as --config",
    "trainer.default_root_dir": "the study has its own folder",
}
_SPLIT = ("val_fraction", "test_fraction", "split_seed", "split_by", "folds", "fold", "fold_as", "fold_repeat")
_AT_MOST = 200
"""Combinations of keys that belong together that are parsed."""
_ELSEWHERE = (
    "trainer.accelerator",
    "trainer.devices",
    "trainer.default_root_dir",
    "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
    "data.num_workers",
    "logger",
    "check",
    "output",
    "provenance",
)
"""What may differ between processes that work on one study: it changes no score."""


class _Parsed(FulmenCLI):
    """Parses, and makes nothing."""

    def __init__(self, invocation: Invocation) -> None:
        typed = sys.argv
        sys.argv = [typed[0], "fit", *invocation.arguments]  # what the parser reads
        try:
            super().__init__(invocation)
        finally:
            sys.argv = typed

    def _set_seed(self) -> None:
        """Leaves the seed alone."""

    def before_instantiate_classes(self) -> None:
        """Looks for no checkpoint."""

    def instantiate_classes(self) -> None:
        """Makes nothing."""

    def _run_subcommand(self, subcommand: str) -> None:
        """Runs nothing."""


def parse(arguments: Sequence[str]) -> dict[str, Any]:
    """A config as `fit` would take it: every key with its value.

    Args:
        arguments: What follows ``lightning fit``.

    Raises:
        FulmenError: For a mistake in it.
    """
    parsed = _Parsed(Invocation.read("fit", list(arguments)))
    text = parsed._parser("fit").dump(parsed.config["fit"], skip_validation=True)
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def options(values: Mapping[str, Any]) -> list[str]:
    """Values as they are typed; a key stands before those inside it.

    >>> options({"model.optimizer.lr": 0.1, "model.optimizer": "sgd", "model.dropout": None})
    ['--model.dropout=null', '--model.optimizer=sgd', '--model.optimizer.lr=0.1']
    """
    return [f"--{key}={_typed(values[key])}" for key in sorted(values)]


def _typed(value: Any) -> str:
    return value if isinstance(value, str) and yaml.safe_load(value) == value else json.dumps(value)


def check_space(space: Space, arguments: Sequence[str]) -> None:
    """Checks every key and value of a space.

    Args:
        space: What is varied.
        arguments: Of `fit`.

    Raises:
        ConfigError: At the first that `fit` would not take.
    """
    typed = {short(a.partition("=")[0]) for a in Invocation.read("fit", list(arguments)).typed if a.startswith("--")}
    for key in space.parameters:
        first = key.partition(".")[0]
        reason = _OURS.get(key) or _OURS.get(first)
        if reason:
            raise ConfigError(f"space: {key} cannot be varied: {reason}")
        if key.startswith("data.") and key.split(".")[1] in _SPLIT:
            raise ConfigError(f"space: {key} cannot be varied: trials would be scored on different samples")
        if key in typed:
            raise ConfigError(f"{key} is in the space and on the command line; leave one of them out")
    samples, groups = space.samples(), _groups(list(space.parameters))
    tried = [list(islice(product(*(samples[key] for key in group)), _AT_MOST)) for group in groups]
    for turn in range(max(map(len, tried))):
        # groups do not meddle with each other: values of all of them are parsed at once
        each = [dict(zip(g, values[turn % len(values)], strict=True)) for g, values in zip(groups, tried, strict=True)]
        try:
            parse([*arguments, *options({key: value for values in each for key, value in values.items()})])
        except FulmenError:
            for values in each:
                _check_values(values, arguments)


def _check_values(values: Mapping[str, Any], arguments: Sequence[str]) -> None:
    try:
        parse([*arguments, *options(values)])
    except FulmenError as error:
        given = ", ".join(f"{key}: {flow(value)}" for key, value in values.items())
        hint = ""
        if len(values) > 1:
            hint = (
                "\nOptions that only some choices have belong to the choice: "
                f"{min(values, key=len)}: [{{name: ..., option: ...}}, ...]"
            )
        raise ConfigError(f"space: {given}: {error}{hint}") from error


def _groups(keys: list[str]) -> list[list[str]]:
    """Keys that lie inside each other are checked together: an option must fit every choice of its owner."""
    tops = [key for key in keys if not any(key.startswith(f"{other}.") for other in keys)]
    return [[key for key in keys if key == top or key.startswith(f"{top}.")] for top in tops]


def comparable(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config's keys that must be the same for trials to be compared: dotted key -> value.

    >>> comparable({"trainer": {"max_epochs": 3, "devices": 1}, "logger": "csv"})
    {'trainer.max_epochs': 3}
    """
    return flat(config, _ELSEWHERE)
