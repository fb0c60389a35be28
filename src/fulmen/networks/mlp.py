"""Multilayer perceptron."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fulmen.core.errors import ConfigError
from fulmen.core.spec import ActivationSpec
from fulmen.nn.blocks import Initialization, Normalization, initialize, make_activation, normalize_layer


class _Block(nn.Module):
    """Linear, normalization, activation, dropout; with a skip connection around them if asked."""

    def __init__(
        self,
        in_features: int,
        features: int,
        activation: ActivationSpec,
        normalization: Normalization | None,
        dropout: float,
        residual: bool,
    ) -> None:
        super().__init__()
        layers = [nn.Linear(in_features, features), normalize_layer(normalization, features, 0)]
        self.layers = nn.Sequential(*(layer for layer in layers if layer is not None), make_activation(activation))
        with torch.no_grad():  # gated activations and maxout give fewer features than they take
            self.out_features = int(self.layers[-1](torch.zeros(1, features)).shape[1])
        if dropout:
            self.layers.append(nn.Dropout(dropout))
        self.skip: nn.Module | None = None
        if residual:
            same = in_features == self.out_features
            self.skip = nn.Identity() if same else nn.Linear(in_features, self.out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y if self.skip is None else y + self.skip(x)


class MLP(nn.Module):
    """Multilayer perceptron: linear layers with activations between them.

    Args:
        input_shape: Shape of one sample without the batch, such as ``(64,)`` or ``(1, 28, 28)``; it is flattened.
        num_outputs: Width of the output.
        hidden_features: Width of each hidden layer; an empty list makes a linear model.
        activation: Spec of the activation after each hidden layer.
        normalization: ``batch``, ``layer``, ``group``, ``instance``, or ``None``, before each activation.
        dropout: Probability in [0, 1) that a hidden unit is dropped (Srivastava et al. 2014).
        initialization: How weights start; ``auto`` matches them to the activation.
        residual: Add each layer's input to its output (He et al. 2015); a linear map where widths differ.

    Raises:
        ConfigError: If a width is below 1 or the dropout out of range.

    >>> MLP((1, 8, 8), 10, [32])(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_outputs: int,
        hidden_features: Sequence[int] = (256, 128),
        activation: ActivationSpec = "relu",
        normalization: Normalization | None = None,
        dropout: float = 0.0,
        initialization: Initialization = "auto",
        residual: bool = False,
    ) -> None:
        super().__init__()
        if min((num_outputs, *hidden_features)) < 1:
            raise ConfigError(f"hidden_features: widths must be at least 1, got {list(hidden_features)}")
        if not 0 <= dropout < 1:
            raise ConfigError(f"dropout: {dropout} is out of range; allowed: 0 <= dropout < 1")
        features = math.prod(input_shape)
        blocks = []
        for width in hidden_features:
            blocks.append(_Block(features, width, activation, normalization, dropout, residual))
            features = blocks[-1].out_features
        self.hidden = nn.Sequential(*blocks)
        self.head = nn.Linear(features, num_outputs)
        initialize(self.hidden, initialization, activation)
        initialize(self.head, initialization, None)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, *input_shape)`` to ``(N, num_outputs)``."""
        return self.head(self.hidden(x.flatten(1)))  # type: ignore[no-any-return]
