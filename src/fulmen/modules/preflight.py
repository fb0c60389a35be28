"""What can be known to fail is said before the first training step."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy

from fulmen.core.batch import Batch
from fulmen.core.errors import ConfigError, DataError, FulmenError, unknown
from fulmen.core.spec import build
from fulmen.data import SupervisedDataModule
from fulmen.nn.modes import mode_kept

if TYPE_CHECKING:
    from fulmen.modules.base import SupervisedModule

_CONFIG_KEYS = {"EarlyStopping": "early_stopping", "ModelCheckpoint": "checkpoint", "Checkpoint": "checkpoint"}


def check_before_fit(module: SupervisedModule, trainer: Trainer) -> None:
    """Checks monitors, targets and the shape of samples.

    Args:
        module: The module, on its device.
        trainer: Its trainer, about to fit.

    Raises:
        ConfigError: If a monitored metric will never be logged, or the network cannot take the samples.
        DataError: If a target is not one of the task.
    """
    data = trainer.datamodule  # type: ignore[attr-defined]
    ours = isinstance(data, SupervisedDataModule)
    _check_monitors(module, trainer, has_validation=not ours or "val" in data.datasets)
    if ours:
        _check_facts(module, data)
        _check_targets(module, data)
        if isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy):  # sharded modules run all together
            _check_sample(module, trainer, data)


def _check_monitors(module: SupervisedModule, trainer: Trainer, has_validation: bool) -> None:
    watched = [
        (_CONFIG_KEYS.get(type(c).__name__, type(c).__name__), c.monitor, getattr(c, "mode", None))
        for c in trainer.callbacks  # type: ignore[attr-defined]
        if getattr(c, "monitor", None) is not None
    ]
    watched += [("schedule", c.monitor, None) for c in trainer.lr_scheduler_configs if c.reduce_on_plateau]
    names = module.logged_names()
    has_validation = has_validation and trainer.limit_val_batches != 0
    for key, monitor, mode in watched:
        if monitor.startswith("val/") and not has_validation:
            raise ConfigError(
                f"{key}.monitor: {monitor!r} needs validation data, and there are none; set `{key}: null`, "
                f"watch 'train/loss', or set data.val_fraction"
            )
        if monitor not in names:
            if module.logs_more():
                continue
            raise ConfigError(f"{key}.monitor: {unknown('metric', monitor, names)}")
        _check_mode(module, key, monitor, mode)


def _check_mode(module: SupervisedModule, key: str, monitor: str, mode: str | None) -> None:
    stage, _, name = monitor.partition("/")
    metrics = module.meter("val").metrics
    higher = False if name in ("loss", "loss_step", "penalty") else None
    for metric in map(str, metrics):
        if stage in ("train", "val") and (name == metric or name.startswith(f"{metric}/")):  # one value, or one a class
            higher = metrics[metric].higher_is_better
    if mode is None or higher is None or higher == (mode == "max"):
        return
    right, word = ("max", "higher") if higher else ("min", "lower")
    raise ConfigError(f"{key}.mode: {monitor!r} is better when {word}; write `mode: {right}`, not {mode!r}")


def _check_facts(module: SupervisedModule, data: SupervisedDataModule) -> None:
    """What these data need a model to know, such as the size of a vocabulary."""
    for fact in data.extra_facts:
        value, given = getattr(data, fact), module.hparams.get(fact)
        if (value or given) and (list(given) if isinstance(given, tuple) else given) != value:
            more = f"was given {given}; pass {fact}=data.{fact}"
            if fact not in module.hparams:
                more = f"takes no {fact}; {data.advice.get(fact, 'take a model that does')}"
            raise ConfigError(f"{fact}: {type(data).__name__} has {value}, {type(module).__name__} {more}")


def _check_targets(module: SupervisedModule, data: SupervisedDataModule) -> None:
    for split, dataset in data.datasets.items():
        targets = getattr(dataset, "targets", None)
        if split == "predict" or not isinstance(targets, torch.Tensor):
            continue
        try:
            module.task.check_targets(targets)
        except DataError as error:
            raise DataError(f"{split} data: {error}") from error


def _check_sample(module: SupervisedModule, trainer: Trainer, data: SupervisedDataModule) -> None:
    """Runs two training samples through network and loss, in evaluation mode so that nothing is changed."""
    dataset = data.training_samples()
    batch: Any = dataset.__getitems__(list(range(min(2, len(dataset)))))
    batch = Batch.of(trainer.strategy.batch_to_device(batch, module.device))  # normalized as well
    name = type(module.network).__name__
    try:
        with mode_kept(module), torch.no_grad(), trainer.precision_plugin.forward_context(), warnings.catch_warnings():
            warnings.filterwarnings("error", "Using a target size")  # torch would broadcast, and learn nonsense
            module.eval()
            inputs = trainer.precision_plugin.convert_input(batch.inputs)
            logits = module(inputs)
            module.task.check_logits(logits, name)
            if batch.targets is not None:
                _check_loss(module, logits, batch.targets)
    except FulmenError:
        raise
    except (RuntimeError, ValueError, IndexError, TypeError, UserWarning) as error:
        raise ConfigError(
            f"model: {name} or its loss cannot take samples of shape {tuple(batch.inputs.shape[1:])}: {error}"
        ) from error


def _check_loss(module: SupervisedModule, logits: torch.Tensor, targets: torch.Tensor) -> None:
    try:
        module.compute_loss(logits, targets)
    except FulmenError:
        raise
    except (RuntimeError, ValueError, IndexError, TypeError, UserWarning) as error:
        task = module.task
        name = type(task.criterion).__name__
        hint = f"; give {task.default_loss}, or leave it out"
        if type(module).compute_loss.__qualname__ != "SupervisedModule.compute_loss":
            name, hint = f"{type(module).__name__}.compute_loss", ""
        elif isinstance(task.criterion, type(build("losses", task.default_loss))):
            hint = ""
        raise ConfigError(
            f"loss: {name} cannot take the outputs {tuple(logits.shape)} and targets {tuple(targets.shape)} of a "
            f"{task.name} task ({error}){hint}"
        ) from error
