"""Optimizers and schedules from specs."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from fulmen.core.errors import ConfigError
from fulmen.core.spec import at, build, read, resolve
from fulmen.nn.regularizers import is_weight

_FUSED_DEVICES = {"cpu", "cuda"}


class LayerRate(NamedTuple):
    """How a parameter is trained.

    Attributes:
        name: Of its layer or stage.
        lr: Its learning rate at the start, before a schedule changes it.
        epoch: From which it is trained; it is frozen until then.
    """

    name: str
    lr: float
    epoch: int = 0


LayerRates = Mapping[nn.Parameter, LayerRate]


def parameter_groups(
    module: nn.Module, decay_bias_and_norm: bool = True, rates: LayerRates | None = None
) -> list[dict[str, Any]]:
    """The parameters that are trained, at once or later, in groups for an optimizer.

    Args:
        module: Whose parameters are trained.
        decay_bias_and_norm: Whether biases, norm layers and the parameters of activations decay as well;
            if not, they form groups of their own with ``weight_decay`` 0.
        rates: Parameters with a rate of their own; each name and rate makes a group with ``name`` and ``lr``, in
            the order of this mapping. Whatever else is trainable follows, in a group called ``others``.

    Raises:
        ConfigError: If nothing is trainable.
    """
    rates = rates or {}
    trained = {
        p: is_weight(owner, name, p)
        for owner in module.modules()
        for name, p in owner.named_parameters(recurse=False)
        if p.requires_grad or p in rates
    }
    if not trained:
        raise ConfigError("nothing to train: every parameter is frozen")
    groups: dict[tuple[str, float | None, bool], list[nn.Parameter]] = {}
    for p in [*(p for p in rates if p in trained), *(p for p in trained if p not in rates)]:
        name, lr = rates[p][:2] if p in rates else ("others", None)
        groups.setdefault((name, lr, decay_bias_and_norm or trained[p]), []).append(p)
    ordered = groups.items() if rates else sorted(groups.items(), key=lambda item: not item[0][2])
    made: list[dict[str, Any]] = []
    for (name, lr, decays), parameters in ordered:
        group: dict[str, Any] = {"params": parameters}
        if rates:
            name = name if decays else f"{name}/no_decay"
            same = sum(other["name"].split("#")[0] == name for other in made)
            group["name"] = f"{name}#{same + 1}" if same else name  # Lightning's monitor wants each once
        if lr is not None:
            group["lr"] = lr
        if not decays:
            group["weight_decay"] = 0.0
        made.append(group)
    return made


def make_optimizer(
    module: nn.Module,
    spec: Any,
    allow_fused: bool = True,
    layer_rates: Callable[[float], LayerRates] = lambda lr: {},
) -> Optimizer:
    """The optimizer of a spec, for the parameters of a module that are trained, at once or later.

    Torch's fused implementation is taken where the optimizer has one for the parameters' device and they are
    not sharded: the same numbers in less time.

    Args:
        module: Whose parameters are trained.
        spec: Spec of the optimizer; its option ``decay_bias_and_norm: false`` spares biases and norm layers
            from weight decay.
        allow_fused: Whether the fused implementation may be chosen.
        layer_rates: The optimizer's rate -> the parameters that have one of their own.

    Raises:
        ConfigError: If the spec is wrong or nothing is trainable.
    """
    _forget_nvml()
    with at("optimizer"):
        name, options = read("optimizers", spec)
        _, target, typed = resolve("optimizers", spec)
        lr: Any = typed.get("lr", getattr(inspect.signature(target).parameters.get("lr"), "default", None))
        groups = parameter_groups(module, options.get("decay_bias_and_norm", True), layer_rates(lr))
        if allow_fused and not ({"fused", "foreach"} & set(options)) and _has_fused(target, groups):
            spec = {"name": name, **options, "fused": True}
        optimizer: Optimizer = build("optimizers", spec, params=groups)
        return optimizer


def _forget_nvml() -> None:
    """Keeps torch's optimizers from searching for NVIDIA's driver at every step where there is none.

    Lightning has torch ask the driver's library for devices (lightning/fabric/__init__.py), and torch 2.15's Adam
    asks at each step: 0.2 ms of loading a library that is not there.
    """
    if not torch.cuda.is_available():
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"


def _has_fused(target: Any, groups: list[dict[str, Any]]) -> bool:
    parameters = [p for group in groups for p in group["params"]]
    devices = {"cpu"} if target is torch.optim.Adagrad else _FUSED_DEVICES  # torch's fused Adagrad is for the CPU only
    return (
        "fused" in inspect.signature(target).parameters
        and {p.device.type for p in parameters} <= devices
        and all(p.is_floating_point() for p in parameters)
        and not any(hasattr(p, "full_tensor") for p in parameters)  # torch 2.15 has no fused SGD of sharded ones
    )


def make_schedule(optimizer: Optimizer, spec: Any, trainer: Trainer) -> dict[str, Any]:
    """The schedule of a spec, in the form that Lightning's ``configure_optimizers`` returns.

    Args:
        optimizer: Whose rate changes.
        spec: Spec of the schedule.
        trainer: Tells the number of steps.

    Raises:
        ConfigError: If the spec is wrong, or the schedule needs a length that the trainer does not have.
    """
    with at("schedule"):
        _, target, _ = resolve("schedules", spec)
        supplied: dict[str, Any] = {"optimizer": optimizer}
        per_step = bool({"total_steps", "steps_per_epoch"} & set(inspect.signature(target).parameters))
        if per_step:
            supplied["total_steps"], supplied["steps_per_epoch"] = _lengths(trainer)
        schedule = build("schedules", spec, **supplied)
    config = {"scheduler": schedule, "interval": "step" if per_step else "epoch"}
    if isinstance(schedule, ReduceLROnPlateau):
        config["monitor"] = getattr(schedule, "monitor", "val/loss")  # torch's own names none
    return config


def _lengths(trainer: Trainer) -> tuple[float, float]:
    """Optimizer steps of the training and of an epoch, infinite where there is no end."""
    trainer.fit_loop.setup_data()  # endless training would not have counted its batches yet
    total: float = trainer.estimated_stepping_batches
    batches: float = trainer.num_training_batches
    steps = batches if math.isinf(batches) else math.ceil(batches / trainer.accumulate_grad_batches)
    return (math.inf if total < 0 else total), steps


def learning_rates(module: LightningModule) -> dict[nn.Parameter, float]:
    """The current learning rate of each parameter that an optimizer trains now."""
    optimizers = module.optimizers()
    return {
        p: group["lr"]
        for optimizer in (optimizers if isinstance(optimizers, list) else [optimizers])
        for group in optimizer.param_groups
        for p in group["params"]
        if p.requires_grad
    }
