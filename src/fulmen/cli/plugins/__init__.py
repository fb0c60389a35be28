"""`lightning plugins`: a table of actions. Each is imported when it is asked for, and `list` imports no torch."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from importlib import import_module

from fulmen.core.errors import ConfigError, unknown


@dataclass(frozen=True)
class Action:
    """Something that `lightning plugins` does.

    Attributes:
        summary: What it does.
        module: Where it is: ``add_arguments(parser)`` and ``run(options)``.
    """

    summary: str
    module: str


ACTIONS = {
    "list": Action("every component: kind, name, distribution, version and one line on it", "listing"),
    "info": Action("one component: its options, where it comes from, and a line for a config", "info"),
    "doctor": Action("what is broken, incompatible, denied or colliding, and how to mend it", "doctor"),
    "new": Action("write a package with a component of one's own, with tests and CI", "new"),
    "schema": Action("a JSON Schema of configs, for the completion and the checks of an editor", "schema"),
}


def run(command: str, arguments: list[str]) -> None:
    """Runs an action of `lightning plugins`.

    Args:
        command: ``plugins``.
        arguments: What follows it: the action, and its own arguments.

    Raises:
        FulmenError: For a mistake in the command, and for what an action finds wrong.
    """
    program = f"lightning {command}"
    if not arguments:
        raise ConfigError(f"{program} needs an action: {', '.join(ACTIONS)}\nSee `{program} --help`.")
    if arguments[0] in ("-h", "--help", "help"):
        print(_help(program))
        return
    name, *rest = arguments
    if name not in ACTIONS:
        raise ConfigError(f"{unknown('action', name, ACTIONS)}\nSee `{program} --help`.")
    module = import_module(f"{__name__}.{ACTIONS[name].module}")
    parser = argparse.ArgumentParser(
        prog=f"{program} {name}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    module.run(parser.parse_args(rest))


def _help(program: str) -> str:
    width = max(map(len, ACTIONS))
    actions = "\n".join(f"  {name:<{width}}  {action.summary}" for name, action in ACTIONS.items())
    return f"""usage: {program} ACTION [...]

What can be plugged in: activations, regularizers, losses, metrics, optimizers, schedules, augmentations.

actions:
{actions}

  {program} list --kind activations
  {program} info gelu
  {program} new bump --kind activation
  {program} schema --out fulmen.schema.json

`{program} ACTION --help` lists an action's arguments."""
