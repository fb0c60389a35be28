"""Model, data and the trainer's options of a config, for commands that do not run it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule, Trainer

from fulmen.cli import restore, runs
from fulmen.cli.invocation import Invocation
from fulmen.cli.quiet import quiet
from fulmen.cli.run import FulmenCLI
from fulmen.core.checkpoints import load_safely
from fulmen.core.errors import CheckpointError, ConfigError, FulmenError
from fulmen.data import SupervisedDataModule
from fulmen.modules import SupervisedModule


class Made(FulmenCLI):
    """Makes what a config describes, and runs nothing.

    Args:
        invocation: The command line of `fit`, or of `validate` for a model that is trained.
    """

    options: dict[str, Any]

    def __init__(self, invocation: Invocation) -> None:
        typed = sys.argv
        sys.argv = [typed[0], invocation.command, *invocation.arguments]  # what the parser reads
        try:
            super().__init__(invocation)
        finally:
            sys.argv = typed  # what DDP starts its other processes with

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        """Keeps the trainer's options instead: a trial needs a trainer of its own."""
        self.options = dict(self.config_init[self.invocation.command].trainer)

    def _run_subcommand(self, subcommand: str) -> None:
        """Runs nothing."""


def make(invocation: Invocation) -> Made:
    """Makes model, data and options.

    Args:
        invocation: See :class:`Made`.

    Raises:
        FulmenError: For a mistake in the config or the command.
    """
    quiet()
    try:
        return Made(invocation)
    except MisconfigurationException as error:
        raise ConfigError(str(error)) from error
    except FulmenError:
        restore.explain(invocation)
        raise


def make_trained(arguments: list[str]) -> tuple[SupervisedModule, SupervisedDataModule]:
    """Makes a trained model, in evaluation mode on its device, and its data, set up.

    Args:
        arguments: A config, and keys as of `validate`: ``--ckpt_path`` is ``best``, ``last``, a path, or ``none`` for
            a model as it starts.

    Raises:
        FulmenError: For a mistake in the config or the command, or if the checkpoint does not fit.
    """
    made = make(Invocation.read("validate", with_config_of_run(arguments)))
    model, data = made.model, made.datamodule
    if not isinstance(model, SupervisedModule):
        raise ConfigError(f"model: {type(model).__name__} is no SupervisedModule, whose task this command asks")
    if not isinstance(data, SupervisedDataModule):
        raise ConfigError(f"data: {type(data).__name__} is no SupervisedDataModule, whose samples this command shows")
    data.prepare_data()
    data.setup("validate")
    if made.checkpoint_file is not None:
        _load(model, data, made.checkpoint_file, made.differences)
    return model.to(_device(made.options)).eval(), data


def trained_checkpoint(arguments: list[str]) -> tuple[list[str], Path]:
    """The checkpoint that a command line means, for commands that an untrained model is of no use to.

    Args:
        arguments: See :func:`make_trained`; without ``--ckpt_path`` the best of the newest run.

    Returns:
        The command line with the config of the checkpoint's run, and the checkpoint.

    Raises:
        ConfigError: If nothing says of which config.
        CheckpointError: If there is none, or ``none`` is given.
    """
    arguments = with_config_of_run(arguments)
    invocation = Invocation.read("validate", arguments)
    which = invocation.option("--ckpt_path") or "best"
    if which == "none":
        raise CheckpointError("ckpt_path: none is an untrained model; allowed: best, last, a path, a run's folder")
    return arguments, runs.find_checkpoint(which, Path(invocation.runs_root), invocation.name)


def with_config_of_run(arguments: list[str]) -> list[str]:
    """A command line with the config of the run that its ``--ckpt_path`` lies in, where it names no config.

    >>> with_config_of_run(["--model", "MLPModule", "--ckpt_path", "best"])
    ['--model', 'MLPModule', '--ckpt_path', 'best']
    """
    invocation = Invocation.read("validate", arguments)
    which = invocation.option("--ckpt_path")
    if not invocation.configs and which is None and invocation.option("--model") is None:
        raise ConfigError("ckpt_path: nothing is given; write --ckpt_path RUN, the folder of a run, or --config FILE")
    if invocation.configs or which is None or which in ("best", "last"):
        return arguments
    path = Path(which)
    if not path.exists():
        raise ConfigError(
            f"ckpt_path: there is no file or folder {which!r} (from {Path.cwd()}); give the folder of a run, or a "
            "checkpoint"
        )
    config = (path if path.is_dir() else path.parent.parent) / "config.yaml"
    if not config.is_file():
        raise ConfigError(
            f"ckpt_path: {which!r} lies in no run's folder, which would have its config; give --config FILE"
        )
    return ["--config", str(config), *arguments]


def _load(model: SupervisedModule, data: LightningDataModule, path: Path, differences: list[str]) -> None:
    """Loads weights, and what the data learned, as a trainer does."""
    checkpoint = load_safely(path)
    state = checkpoint.get(type(data).__qualname__)
    if state is not None:
        data.load_state_dict(state)
    model.on_load_checkpoint(checkpoint)
    try:
        model.load_state_dict(checkpoint["state_dict"], strict=model.strict_loading)
    except RuntimeError as error:
        restore.explain_misfit(error, path, differences)
        raise


def _device(options: dict[str, Any]) -> Any:
    """The first device that the trainer would take."""
    from fulmen.workflows.trial import silence

    with silence():
        trainer = Trainer(accelerator=options["accelerator"], devices=1, logger=False, enable_checkpointing=False)
    return trainer.strategy.root_device
