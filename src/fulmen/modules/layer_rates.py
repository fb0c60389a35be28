"""A learning rate for each layer of a backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from fulmen.core.errors import ConfigError
from fulmen.modules.optimizers import LayerRate
from fulmen.modules.unfreezing import Step, Unfreezing
from fulmen.networks.freezing import Stage, layers, stages


def check_layer_decay(layer_decay: float, unfreeze: object) -> None:
    """Checks the factor of layer-wise learning-rate decay.

    Raises:
        ConfigError: If it is out of range, or the schedule has a factor of its own.
    """
    if not 0 < layer_decay <= 1:
        raise ConfigError(f"layer_decay: {layer_decay} is out of range; allowed: 0 < layer_decay <= 1")
    if layer_decay < 1 and isinstance(unfreeze, Mapping) and unfreeze.get("lr_factor", 1.0) != 1:
        raise ConfigError("unfreeze.lr_factor: layer_decay lowers the rates already; give one of them")


def check_decays(model: Any, layer_decay: float, unfreezing: Unfreezing) -> None:
    """Checks that layer-wise decay lowers a rate at all.

    Args:
        model: A timm model.
        layer_decay: In (0, 1].
        unfreezing: What is frozen, and thawed when.

    Raises:
        ConfigError: If only the last layer is trained, or the rates of all others are given.
    """
    if layer_decay == 1:
        return
    steps = unfreezing.steps()
    below = [name for layer in layers(model)[:-1] for name in layer.parameters]
    trained = [name for name in below if name in steps or name not in unfreezing.start]
    if not trained:
        raise ConfigError(
            f"layer_decay: {layer_decay} has no effect, as only the last layer is trained; leave it out, or train more "
            "(`freeze`, `unfreeze`)"
        )
    if all(name in steps and steps[name].lr is not None for name in trained):
        raise ConfigError(
            f"layer_decay: {layer_decay} has no effect, as the steps of `unfreeze` give all rates; leave out "
            "layer_decay, or the `lr` of the steps"
        )


def layer_rates(model: Any, lr: float, layer_decay: float, unfreezing: Unfreezing) -> dict[nn.Parameter, LayerRate]:
    """The learning rates of a backbone's parameters, those of the head first; none for what is never trained.

    A layer's rate is ``lr * layer_decay ** distance``, its distance from the head counted in timm's finest groups
    (Clark et al. 2020, ELECTRA, https://arxiv.org/abs/2003.10555; Bao et al. 2021, BEiT,
    https://arxiv.org/abs/2106.08254); what a step of the schedule thaws has that step's rate, if it gives one.

    Args:
        model: A timm model.
        lr: The optimizer's rate.
        layer_decay: In (0, 1].
        unfreezing: What is frozen, and thawed when.

    Raises:
        ConfigError: If the optimizer has no rate.
    """
    if not isinstance(lr, int | float):
        raise ConfigError(f"lr: {lr!r} is no rate that layers could have shares of; give one, such as 1.0e-3")
    steps = unfreezing.steps()
    finest = layers(model)
    stage_of, fine, depth = _owners(stages(model)), _owners(finest), len(finest)
    found: dict[nn.Parameter, LayerRate] = {}
    for name, parameter in sorted(model.named_parameters(), key=lambda item: -fine[item[0]][0]):
        step = steps.get(name, Step(0, 0))
        if name in unfreezing.start and name not in steps:
            continue
        if step.lr is not None:
            found[parameter] = LayerRate(stage_of[name][1], step.lr, step.epoch)
            continue
        number, layer = fine[name]
        rate = lr * step.factor * layer_decay ** (depth - 1 - number)
        found[parameter] = LayerRate(layer if layer_decay < 1 else stage_of[name][1], rate, step.epoch)
    return found


def _owners(groups: Sequence[Stage]) -> dict[str, tuple[int, str]]:
    """Parameter -> number and name of its group."""
    return {name: (number, group.name) for number, group in enumerate(groups) for name in group.parameters}
