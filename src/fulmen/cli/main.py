"""The `lightning` command: a table of commands. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

from fulmen.core.errors import ConfigError, FulmenError, message, unknown
from fulmen.core.version import __version__

TRACEBACK = "FULMEN_TRACEBACK"


@dataclass(frozen=True)
class Command:
    """A command: what it does, and the function ``module:name`` that does it."""

    summary: str
    function: str

    def load(self) -> Callable[[str, list[str]], None]:
        """Imports the function."""
        module, _, name = self.function.partition(":")
        loaded: Callable[[str, list[str]], None] = getattr(import_module(module), name)
        return loaded


COMMANDS = {
    "init": Command("look at data and write a config that trains on them", "fulmen.cli.init:run"),
    "model": Command("show what of a model is trained, what is frozen, and at which rate", "fulmen.cli.model:run"),
    "fit": Command("train a model, then test the best checkpoint", "fulmen.cli.run:run"),
    "validate": Command("score a checkpoint on the validation data", "fulmen.cli.run:run"),
    "test": Command("score a checkpoint on the test data", "fulmen.cli.run:run"),
    "predict": Command("write a table of predictions", "fulmen.cli.exported:predict"),
    "check": Command("say what is wrong with the data of a config, where, and how to mend it", "fulmen.cli.check:run"),
    "augment": Command(
        "show what augmentations do, as a sheet of images or a table of texts", "fulmen.cli.augment:run"
    ),
    "find-lr": Command(
        "find the learning rate that suits a config; print, plot and write it", "fulmen.cli.find_lr:run"
    ),
    "find-batch-size": Command(
        "find the batch size that trains fastest; print, plot and write it", "fulmen.cli.find_batch_size:run"
    ),
    "cross_validate": Command(
        "train and score on folds; out-of-fold predictions, metrics with intervals", "fulmen.cli.cross_validate:run"
    ),
    "tune": Command("search hyperparameters; a table, plots and the best config", "fulmen.cli.tune:run"),
    "report": Command("write a page on how good a trained model is, and where it fails", "fulmen.cli.report:run"),
    "compare": Command("rank runs, test their differences, and choose one", "fulmen.cli.compare:run"),
    "export": Command("write a trained model for use elsewhere: onnx, torch, safetensors", "fulmen.cli.export:run"),
    "card": Command("write a model card from a run", "fulmen.cli.card:run"),
    "gradcam": Command("show where in images a trained model looks", "fulmen.cli.gradcam:run"),
    "mistakes": Command("show the samples that a trained model is most wrong about", "fulmen.cli.mistakes:run"),
    "plugins": Command("list, describe, check and make plugins; a schema for editors", "fulmen.cli.plugins:run"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        argv: Arguments without the program's name; ``None`` takes those of the process.

    Returns:
        The exit code: 0, or 2 for a mistake in the config or the command; `check` ends with 1 if the data have errors.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    program = Path(sys.argv[0]).stem
    if program not in ("lightning", "fulmen"):
        program = "lightning"
    try:
        return _dispatch(program, arguments)
    except FulmenError as error:
        if os.environ.get(TRACEBACK):
            raise
        print(f"error: {_with_option(arguments[0], message(error))}", file=sys.stderr)
        return 2


def _with_option(command: str, said: str) -> str:
    """Names the option of a command, not of its config, that a key which does not exist is near to."""
    key, _, reason = said.partition(": ")
    if command not in COMMANDS or not reason.startswith("there is no such key"):
        return said
    parser = getattr(import_module(COMMANDS[command].function.partition(":")[0]), "_parser", None)
    if parser is None:
        return said
    options = [option for action in parser(command)._actions for option in action.option_strings]
    near = get_close_matches(f"--{key}", options, 1, 0.75)
    if near:
        return f"{key}: there is no such option; did you mean {near[0]}? `lightning {command} --help` lists all"
    return f"{said}\n`lightning {command} --help` lists the options of this command"


def _dispatch(program: str, arguments: list[str]) -> int:
    if program == "fulmen":
        _say_who_owns_lightning()
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help(program))
        return 0 if arguments else 2
    if arguments[0] in ("-V", "--version"):
        print(f"{program} (fulmen) {__version__}")
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        raise ConfigError(f"{unknown('command', name, COMMANDS)}\nSee `{program} --help`.")
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # users expect `class_path: my_file.MyModule` to work
    COMMANDS[name].load()(name, rest)
    return 0


def _help(program: str) -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items())
    return f"""usage: {program} COMMAND [--config FILE] [--KEY VALUE ...]

Trains and uses deep-learning models from one config.

commands:
{commands}

  {program} fit --config configs/digits_mlp.yaml
  {program} fit --config configs/digits_cnn.yaml --model.activation gelu --trainer.max_epochs 5
  {program} test --config configs/digits_mlp.yaml --ckpt_path best
  {program} fit --config configs/digits_mlp.yaml --print_config    every key, with its value

`{program} COMMAND --help` lists a command's keys; {program} --version prints the version.
A mistake ends with a message; {TRACEBACK}=1 shows where it was raised."""


def _say_who_owns_lightning() -> None:
    """Says on stderr when the script `lightning` of this environment is another distribution's."""
    script = Path(sys.argv[0]).with_name("lightning")
    if not script.is_file() or "fulmen" in script.read_text(errors="ignore"):
        return
    scripts = entry_points(group="console_scripts", name="lightning")
    others = [f"{e.dist.name} {e.dist.version}" for e in scripts if e.dist is not None and e.dist.name != "fulmen"]
    print(
        f"note: in this environment the command `lightning` belongs to {' and '.join(others) or 'another program'}; "
        "`fulmen` is the same command under a name of its own.",
        file=sys.stderr,
    )
