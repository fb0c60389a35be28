"""Pieces that networks share: activations made from specs, normalization, initialization."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import nn

from fulmen.core.spec import build, read

Normalization = Literal["batch", "layer", "group", "instance"]
Initialization = Literal["auto", "kaiming", "xavier", "lecun", "orthogonal", "torch"]

_XAVIER = {"tanh", "sigmoid", "softsign", "hardsigmoid", "logsigmoid", "tanhshrink", "hardtanh", "identity"}


def make_activation(spec: Any) -> nn.Module:
    """A new activation of a spec (``null``: identity), so that learnable ones are not shared by layers.

    Args:
        spec: A name, a mapping with a name and options, a class, or a module, which is copied.
    """
    if spec is None:
        return nn.Identity()
    made = build("activations", spec)
    return copy.deepcopy(made) if made is spec else made


def normalize_layer(kind: Normalization | None, features: int, dims: int) -> nn.Module | None:
    """A normalization layer for ``features`` channels.

    Args:
        kind: Which one; ``None`` for none. ``layer`` on feature maps normalizes over channels and space
            (a group norm with one group); ``group`` takes the largest divisor of ``features`` up to 32.
        features: Number of features or channels.
        dims: Spatial dimensions: 0 for vectors, 1 for signals, 2 for images.
    """
    if kind is None:
        return None
    if kind == "batch":
        return (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d)[dims](features)
    if kind == "layer":
        return nn.LayerNorm(features) if dims == 0 else nn.GroupNorm(1, features)
    if kind == "instance":
        return nn.GroupNorm(features, features, affine=True)
    return nn.GroupNorm(max(g for g in range(1, 33) if features % g == 0), features)


def _kaiming(weight: torch.Tensor, slope: float) -> None:
    nn.init.kaiming_normal_(weight, a=slope, nonlinearity="leaky_relu")


def _lecun(weight: torch.Tensor) -> None:
    fan_in = weight[0].numel()
    nn.init.normal_(weight, std=1 / math.sqrt(fan_in))


def initializer(initialization: Initialization, activation: Any) -> Callable[[torch.Tensor], None] | None:
    """What fills a weight, matched to the activation that follows it.

    ``auto`` keeps the variance of the activations from layer to layer: LeCun for SELU (Klambauer et al. 2017),
    Xavier for saturating ones (Glorot and Bengio 2010), Kaiming for ReLU and everything like it (He et al. 2015).

    Args:
        initialization: A scheme, ``auto``, or ``torch`` to leave torch's own.
        activation: The spec of the activation.

    Returns:
        A function that fills a weight in place, or ``None`` to leave it.
    """
    name, options = read("activations", activation) if isinstance(activation, str | dict) else ("", {})
    name = name.rpartition(":")[2]
    scheme: str = initialization
    if scheme == "auto":
        scheme = "lecun" if name == "selu" else "xavier" if name in _XAVIER else "kaiming"
    slope = {"leaky_relu": options.get("negative_slope", 0.01), "prelu": options.get("init", 0.25)}.get(name, 0.0)
    gain = nn.init.calculate_gain("tanh") if name == "tanh" else 1.0
    schemes: dict[str, Callable[[torch.Tensor], Any]] = {
        "kaiming": lambda w: _kaiming(w, slope),
        "xavier": lambda w: nn.init.xavier_uniform_(w, gain=gain),
        "lecun": _lecun,
        "orthogonal": nn.init.orthogonal_,
    }
    return schemes.get(scheme)


def initialize(layers: nn.Module, initialization: Initialization, activation: Any) -> None:
    """Fills the weights of linear and convolution layers, and sets their biases to zero.

    Args:
        layers: The module whose layers are filled.
        initialization: See :func:`initializer`.
        activation: The spec of the activation that follows each layer.
    """
    fill = initializer(initialization, activation)
    if fill is None:
        return
    for layer in layers.modules():
        if isinstance(layer, nn.Linear | nn.modules.conv._ConvNd):
            fill(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
