"""Pieces that networks share: activations made from specs, normalization, initialization."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import nn

from fulmen.core.errors import ConfigError
from fulmen.core.spec import at, build

Normalization = Literal["batch", "layer", "group", "instance"]
Initialization = Literal["auto", "kaiming", "xavier", "lecun", "orthogonal", "torch"]

_XAVIER = (
    nn.Tanh,
    nn.Sigmoid,
    nn.Softsign,
    nn.Hardsigmoid,
    nn.LogSigmoid,
    nn.Tanhshrink,
    nn.Hardtanh,
    nn.Identity,
)
_ACTIVATIONS = ("torch.nn.modules.activation", "timm.layers.activations")
_GROUP = 16
"""Fewest features in a group of a vector: each group loses two of its degrees of freedom. 16 channels a group
do as well as 32 groups (Wu and He 2018, https://arxiv.org/abs/1803.08494, table 3)."""


def make_activation(spec: Any) -> nn.Module:
    """A new activation of a spec (``null``: identity), so that learnable ones are not shared by layers.

    Args:
        spec: A name, a mapping with a name and options, a class, or a module, which is copied.
    """
    if spec is None:
        return nn.Identity()
    with at("activation"):
        made: nn.Module = build("activations", spec)
    made = copy.deepcopy(made) if made is spec else made
    made.is_activation = True  # how regularizers of activations find it
    return made


def activated_features(activation: nn.Module, features: int) -> int:
    """How many features or channels an activation gives: gated ones and maxout give fewer than they take.

    >>> activated_features(nn.ReLU(), 8)
    8
    """
    with torch.no_grad():
        return int(activation(torch.zeros(1, features)).shape[1])


def is_activation(module: nn.Module) -> bool:
    """Whether a layer is an activation: made by :func:`make_activation`, or one of torch's or timm's own.

    >>> is_activation(nn.ReLU()), is_activation(nn.Linear(2, 2))
    (True, False)
    """
    if isinstance(module, nn.MultiheadAttention):  # stands in the same file
        return False
    return getattr(module, "is_activation", False) or type(module).__module__.startswith(_ACTIVATIONS)


def normalize_layer(kind: Normalization | None, features: int, dims: int) -> nn.Module | None:
    """A normalization layer for ``features`` channels.

    Args:
        kind: Which one; ``None`` for none. ``layer`` on feature maps normalizes over channels and space
            (a group norm with one group); ``group`` takes the largest divisor of ``features`` up to 32,
            on vectors with at least 16 features a group.
        features: Number of features or channels.
        dims: Spatial dimensions: 0 for vectors, 1 for signals, 2 for images.

    Raises:
        ConfigError: For ``instance`` on vectors: a feature has but one value to normalize.
    """
    if kind is None:
        return None
    if kind == "batch":
        return (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d)[dims](features)
    if kind == "layer":
        return nn.LayerNorm(features) if dims == 0 else nn.GroupNorm(1, features)
    if kind == "instance":
        if dims == 0:
            raise ConfigError(
                "normalization: 'instance' normalizes over space, and vectors have none (every feature would "
                "become zero); allowed: batch, layer, group"
            )
        return nn.GroupNorm(features, features, affine=True)
    least = 1 if dims else min(_GROUP, features)
    return nn.GroupNorm(max(g for g in range(1, 33) if features % g == 0 and features // g >= least), features)


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
    made = make_activation(activation)
    scheme: str = initialization
    if scheme == "auto":
        saturates = isinstance(made, _XAVIER) and not isinstance(made, nn.ReLU6)  # torch's ReLU6 is a Hardtanh
        scheme = "lecun" if isinstance(made, nn.SELU) else "xavier" if saturates else "kaiming"
    slope = made.negative_slope if isinstance(made, nn.LeakyReLU) else made.init if isinstance(made, nn.PReLU) else 0.0
    gain = nn.init.calculate_gain("tanh") if isinstance(made, nn.Tanh) else 1.0
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
