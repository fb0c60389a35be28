"""Convolutional network for images and signals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from fulmen.core.errors import ConfigError
from fulmen.core.spec import ActivationSpec
from fulmen.nn.blocks import (
    Initialization,
    Normalization,
    activated_features,
    initialize,
    make_activation,
    normalize_layer,
)

Pooling = Literal["max", "average", "stride"]

_CONV = (nn.Conv1d, nn.Conv2d)
_POOL = {"max": (nn.MaxPool1d, nn.MaxPool2d), "average": (nn.AvgPool1d, nn.AvgPool2d)}


class CNN(nn.Module):
    """Stages of convolution, normalization and activation, each followed by a halving of the size.

    Args:
        input_shape: Shape of one sample: ``(C, H, W)`` for images, ``(C, L)`` for signals, ``(L,)`` for
            vectors, which are read as a signal of one channel.
        num_outputs: Width of the output.
        channels: Channels of each stage.
        convolutions: Convolutions in each stage.
        kernel_size: Side of the kernels, odd.
        pooling: How a stage halves the size: ``max``, ``average``, or the ``stride`` of its last convolution.
        activation: Spec of the activation after each convolution.
        normalization: ``batch``, ``layer``, ``group``, ``instance``, or ``None``.
        head: ``global`` averages each channel over space, ``flatten`` keeps every position.
        dropout: Probability in [0, 1) that a feature is dropped before the output layer.
        initialization: How weights start; ``auto`` matches them to the activation.

    Raises:
        ConfigError: If the stages halve a sample to nothing, or an option is out of range.

    >>> CNN((1, 8, 8), 10, [8, 16])(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_outputs: int,
        channels: Sequence[int] = (32, 64, 128),
        convolutions: int = 1,
        kernel_size: int = 3,
        pooling: Pooling = "max",
        activation: ActivationSpec = "relu",
        normalization: Normalization | None = "batch",
        head: Literal["global", "flatten"] = "global",
        dropout: float = 0.0,
        initialization: Initialization = "auto",
    ) -> None:
        super().__init__()
        shape = tuple(input_shape) if len(input_shape) > 1 else (1, *input_shape)
        self.shape, self.dims = shape, len(shape) - 1
        self._check(channels, convolutions, kernel_size, dropout)
        stages: list[nn.Module] = []
        width = shape[0]
        for features in channels:
            for i in range(convolutions):
                stride = 2 if pooling == "stride" and i == convolutions - 1 else 1
                conv = _CONV[self.dims - 1](
                    width, features, kernel_size, stride, kernel_size // 2, bias=normalization is None
                )
                norm, activate = normalize_layer(normalization, features, self.dims), make_activation(activation)
                stages += [conv, *([norm] if norm else []), activate]
                width = activated_features(activate, features)
            if pooling != "stride":
                stages.append(_POOL[pooling][self.dims - 1](2))
        self.features = nn.Sequential(*stages)
        pool = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)[self.dims - 1](1)
        self.pool = nn.Sequential(*([pool] if head == "global" else []), nn.Flatten())
        self._check_norms(normalization, pooling, len(channels))
        with torch.no_grad():  # the width of a flattened map; evaluated so that no statistics are touched
            width = self.pool(self.features.eval()(torch.zeros(1, *shape))).shape[1]
        self.features.train()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, num_outputs)
        initialize(self.features, initialization, activation)
        initialize(self.head, initialization, None)

    def _check(self, channels: Sequence[int], convolutions: int, kernel_size: int, dropout: float) -> None:
        if not 1 <= self.dims <= len(_CONV):
            raise ConfigError(f"input_shape: {self.shape} is no image (C, H, W), signal (C, L) or vector (L,)")
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ConfigError(f"kernel_size: {kernel_size} is not allowed; kernels have an odd side (1, 3, 5, ...)")
        if convolutions < 1 or not channels or min(channels) < 1:
            raise ConfigError(f"channels: needs at least one stage of at least one channel, got {list(channels)}")
        if not 0 <= dropout < 1:
            raise ConfigError(f"dropout: {dropout} is out of range; allowed: 0 <= dropout < 1")
        side = min(self.shape[1:])
        if side >> len(channels) < 1:
            most = side.bit_length() - 1
            raise ConfigError(
                f"channels: {len(channels)} stages halve a sample of {'x'.join(map(str, self.shape[1:]))} to nothing; "
                f"at most {most} fit, such as {list(channels)[:most]}"
            )

    def _check_norms(self, normalization: Normalization | None, pooling: Pooling, stages: int) -> None:
        """Refuses to normalize one value by itself, which gives zero whatever the input is."""
        last = math.prod(-(-side // 2**stages) for side in self.shape[1:]) if pooling == "stride" else 2
        alone = any(isinstance(m, nn.GroupNorm) and m.num_groups == m.num_channels for m in self.features)
        if last == 1 and alone:
            raise ConfigError(
                f"normalization: {normalization!r} has one pixel a channel to normalize after {stages} stages; "
                "take one stage less, `pooling: max`, or `normalization: batch`"
            )

    def forward(self, x: Tensor) -> Tensor:
        """``(N, *input_shape)`` to ``(N, num_outputs)``."""
        x = x.reshape(x.shape[0], *self.shape)  # len(x) would fix the batch size of an exported graph
        return self.head(self.dropout(self.pool(self.features(x))))  # type: ignore[no-any-return]
