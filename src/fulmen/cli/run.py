"""fit, validate, test and predict: a LightningCLI."""

from __future__ import annotations

import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from jsonargparse import Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ProgressBar as AnyProgressBar
from lightning.pytorch.cli import LightningCLI, SaveConfigCallback
from lightning.pytorch.utilities import rank_zero_only

from fulmen.callbacks import PredictionWriter, ProgressBar, SplitWriter
from fulmen.callbacks.pruning import from_environment
from fulmen.cli import record, restore, runs
from fulmen.cli.check import before_fit
from fulmen.cli.closing import Asked, Closing
from fulmen.cli.data import resolve, take_defaults
from fulmen.cli.invocation import Invocation
from fulmen.cli.keys import add_keys
from fulmen.cli.messages import argument_names, first_cause
from fulmen.cli.parser import FulmenParser
from fulmen.cli.quiet import quiet
from fulmen.cli.summary import summary
from fulmen.cli.trainer import make_loggers, nearest_name
from fulmen.core import provenance
from fulmen.core.checkpoints import load_safely
from fulmen.core.errors import ConfigError, FulmenError
from fulmen.core.registry import Component
from fulmen.core.restoring import restoring
from fulmen.core.spec import check
from fulmen.data import SupervisedDataModule
from fulmen.modules import SupervisedModule
from fulmen.modules.saving import class_path

_SKIP = {"model", "train_dataloaders", "val_dataloaders", "dataloaders", "datamodule"}


def run(command: str, arguments: list[str], folder: Path | None = None) -> None:
    """Runs `lightning fit`, `validate`, `test` or `predict`.

    Args:
        command: Which of them.
        arguments: What follows it on the command line.
        folder: Where `fit` writes its run; ``None``: a new folder of the config's runs.

    Raises:
        FulmenError: For a mistake in the config or the command.
    """
    invocation = Invocation.read(command, arguments)
    quiet()
    sys.argv = [sys.argv[0], command, *invocation.arguments]  # what DDP starts its other processes with
    try:
        into = os.environ.get(runs.INTO) if command == "fit" else None
        FulmenCLI(invocation, folder or (Path(into) if into else None))
    except MisconfigurationException as error:
        raise ConfigError(str(error)) from error
    except FulmenError:
        restore.explain(invocation)
        raise


class FulmenCLI(LightningCLI):
    """LightningCLI with run folders, links from data to model, checks before training, and a closing table.

    Args:
        invocation: The command line.
        folder: Where `fit` writes its run; ``None``: a new folder of the config's runs.
    """

    def __init__(self, invocation: Invocation, folder: Path | None = None) -> None:
        self.invocation = invocation
        self.given_folder = folder
        self.closing: Closing | None = None
        self.run_recorder: record.RunRecorder | None = None
        self.run_folder: Path | None = None
        self.checkpoint_file: Path | None = None
        self.differences: list[str] = []
        self.named: dict[str, list[Component]] = {}
        super().__init__(
            save_config_callback=SaveConfigCallback if invocation.command == "fit" else None,
            seed_everything_default=0,
            parser_class=FulmenParser,
            trainer_defaults={"max_epochs": 20},
            auto_configure_optimizers=False,
        )

    # Parsing

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """Only the one that is run: building the parsers of all takes seconds."""
        return {self.invocation.command: set(_SKIP)}

    def add_arguments_to_parser(self, parser: Any) -> None:
        """Adds the short keys and links the data's facts to the model."""
        add_keys(parser)
        data_class = resolve(self.invocation.class_path("data"))
        facts = [
            fact
            for fact in restore.FACTS
            if data_class is None or issubclass(data_class, SupervisedDataModule) or hasattr(data_class, fact)
        ]
        model_class = resolve(self.invocation.class_path("model"))
        if model_class is not None:  # what only some models take
            taken = argument_names(class_path(model_class))
            facts += [fact for fact in getattr(data_class, "extra_facts", ()) if fact in taken]
        for fact in facts:
            parser.link_arguments(f"data.{fact}", f"model.init_args.{fact}", apply_on="instantiate")

    def parse_arguments(self, parser: Any, args: Any) -> None:
        """Parses, and checks the specs of model and data at once."""
        super().parse_arguments(parser, args)
        config = self._section
        for key in ("model", "data"):
            given = config.get(key)
            if given is None:
                raise ConfigError(f"{key}: nothing is given; write `{key}: {{class_path: ...}}` in the config")
            cls = resolve(given.class_path)
            values = given.get("init_args")
            if cls is not None and values is not None:
                arguments = values.as_dict()
                if key == "data" and self.invocation.command != "fit":
                    arguments.pop("augment", None)  # evaluation does without
                self.named[key] = check(cls, arguments, f"{key}.init_args")

    def _parse_ckpt_path(self) -> None:
        """Lightning lets a checkpoint overwrite the config here; :mod:`fulmen.cli.restore` compares them instead."""

    @property
    def _section(self) -> Namespace:
        section: Namespace = self.config[self.invocation.command]
        return section

    @property
    def _root(self) -> Path:
        """The folder of all runs."""
        return Path(self._section.trainer.default_root_dir or runs.ROOT)

    # Making model, data and trainer

    def before_instantiate_classes(self) -> None:
        """Finds the checkpoint, takes the model's arguments from it to evaluate, and the data's from the model."""
        self._find_checkpoint()
        config = self._section
        if self.invocation.command == "fit":
            for path, parsed in self.invocation.configs.items():
                for note in record.notes_on_refitting(Path(path), parsed, self.invocation.arguments):
                    _print(f"note: {note}")
        if config.data is not None:
            take_defaults(config.data, config.model.class_path, config.model.get("init_args") or {})

    def _find_checkpoint(self) -> None:
        config, command = self._section, self.invocation.command
        which = config.ckpt_path or (None if command == "fit" else "best")
        if which is None or which == "none":
            config.ckpt_path = None
            return
        self.checkpoint_file = runs.find_checkpoint(str(which), self._root, self.invocation.name)
        _print(f"checkpoint: {self.checkpoint_file}")
        config.ckpt_path = str(self.checkpoint_file)
        self.differences = restore.prepare(config, self.checkpoint_file, evaluate=command != "fit")
        for line in self.differences:
            _print(line)

    def instantiate_classes(self) -> None:
        """Makes data, model and trainer; pretrained weights are not fetched where a checkpoint replaces them."""
        with restoring(load_safely(self.checkpoint_file)) if self.checkpoint_file else nullcontext():
            try:
                super().instantiate_classes()
            except ValueError as error:
                raise first_cause(error) from None
        self._check_given_facts()
        if self.checkpoint_file is not None:
            restore.compare_facts(self.checkpoint_file, self.datamodule)

    def _check_given_facts(self) -> None:
        """The data's facts win over those that a config gives the model: say so where they differ."""
        for path, config in self.invocation.configs.items():
            model = config.get("model")
            arguments = (
                model.get("init_args") if isinstance(model, dict) else None
            ) or {}  # `model: MLPModule` has none
            for fact in restore.FACTS:
                given, real = arguments.get(fact), getattr(self.datamodule, fact, None)
                if given is not None and real is not None and given != real:
                    raise ConfigError(
                        f"model.init_args.{fact}: {path} says {given}, the data have {real}; leave it out"
                    )

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """A trainer with the run's folder, logger and callbacks."""
        config, made = self._section, self.config_init[self.invocation.command]
        callbacks: list[pl.Callback] = []
        if self.invocation.command == "fit":
            asked = Asked(config.test_after_fit, config.keep_predictions, made.report)
            self.closing = Closing(self.model, self.datamodule, asked)
            callbacks.append(self.closing.history)
            if isinstance(self.model, SupervisedModule):
                config.provenance = self.model.components + provenance.records(self.named.get("data", []))
            callbacks += [c for c in (made.ema, made.swa) if c is not None]
            if config.trainer.fast_dev_run:
                kwargs["logger"] = False
            else:
                self._open_run(made, kwargs, callbacks)
        else:
            kwargs["logger"] = False
            if self.invocation.command == "predict":
                callbacks.append(PredictionWriter(self._output()))
        given = list(made.trainer.callbacks or [])
        if config.trainer.enable_progress_bar is not False and not any(isinstance(c, AnyProgressBar) for c in given):
            callbacks.append(ProgressBar())
        made.trainer.callbacks = [*given, *callbacks]
        try:
            return super().instantiate_trainer(**kwargs)
        except (MisconfigurationException, ModuleNotFoundError, TypeError, ValueError) as error:
            raise ConfigError(f"trainer: {nearest_name(config.trainer)}{error}") from error

    def _open_run(self, made: Namespace, kwargs: dict[str, Any], callbacks: list[pl.Callback]) -> None:
        config = self._section
        self.run_folder = self.given_folder or runs.new_run(self._root, self.invocation.name)
        kwargs["default_root_dir"] = str(self.run_folder)
        if config.trainer.logger is None:
            kwargs["logger"] = make_loggers(config.logger, self.run_folder)
        if config.trainer.enable_checkpointing is False:
            made.checkpoint = None
        if made.checkpoint is None:
            kwargs["enable_checkpointing"] = False
        else:
            made.checkpoint.dirpath = str((self.run_folder / runs.CHECKPOINTS).resolve())
        callbacks += [*from_environment(), *(c for c in (made.early_stopping, made.checkpoint) if c is not None)]
        self.run_recorder = record.RunRecorder(
            self.run_folder, self.invocation, config.provenance or [], config.seed_everything
        )
        callbacks += [SplitWriter(self.run_folder / record.SPLIT), self.run_recorder]

    def _output(self) -> Path:
        if self._section.output:
            return Path(self._section.output)
        if self.checkpoint_file is None:
            return Path("predictions.csv")
        return self.checkpoint_file.parent.parent / "predictions.csv"

    # Running

    def before_fit(self) -> None:
        """Looks at the data, before the processes of other devices are started; leaves no empty run folder."""
        try:
            before_fit(self.datamodule, self._section.check, self.invocation)
            assert self.closing is not None
            self.closing.check(self.trainer)
        except FulmenError:
            if self.run_folder is not None and self.run_folder.is_dir() and not any(self.run_folder.iterdir()):
                self.run_folder.rmdir()
            raise

    def _run_subcommand(self, subcommand: str) -> None:
        try:
            super()._run_subcommand(subcommand)
        except (RuntimeError, ValueError) as error:
            if self.checkpoint_file is not None:
                restore.explain_misfit(error, self.checkpoint_file, self.differences)
            raise

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        kwargs = super()._prepare_subcommand_kwargs(subcommand)
        kwargs["ckpt_path"] = self._section.ckpt_path
        if subcommand in ("test", "validate"):
            kwargs["verbose"] = False
        if subcommand == "predict":
            kwargs["return_predictions"] = False
        return kwargs

    def after_fit(self) -> None:
        """Scores the best model and prints the closing table."""
        if self._section.trainer.fast_dev_run or self.trainer.interrupted:
            return
        assert self.closing is not None
        closed = self.closing.close(self.trainer, self.run_recorder)
        self._report(closed.stage, closed.scores, {"best": closed.best, "last": closed.last, "logs": self.run_folder})

    def after_test(self) -> None:
        """Prints the table."""
        self._report("test", _numbers(self.trainer.callback_metrics), {})
        if self.checkpoint_file is not None and self.trainer.is_global_zero:
            runs.note_test_use(self.checkpoint_file.parent.parent, "test")

    def after_validate(self) -> None:
        """Prints the table."""
        self._report("val", _numbers(self.trainer.callback_metrics), {})

    def after_predict(self) -> None:
        """Says where the table is."""
        _print(f"predictions: {self._output()}")

    @rank_zero_only
    def _report(self, stage: str | None, scores: dict[str, float], paths: dict[str, Any]) -> None:
        folder = self.run_folder
        if folder is None and self.checkpoint_file is not None and self.checkpoint_file.parent.name == runs.CHECKPOINTS:
            folder = self.checkpoint_file.parent.parent
        if scores and folder is not None:
            (folder / f"{stage}_metrics.json").write_text(json.dumps(scores, indent=2) + "\n")
        print(summary(stage, scores, paths))


def _numbers(metrics: Any) -> dict[str, float]:
    return {key: float(value) for key, value in metrics.items()}


@rank_zero_only
def _print(text: str) -> None:
    print(text)
