"""Multilayer perceptron."""

from __future__ import annotations

import math
from collections.abc import Sequence

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


class _Residual(nn.Module):
    """Layers with a skip connection around them."""

    def __init__(self, layers: nn.Module, in_features: int, out_features: int) -> None:
        super().__init__()
        self.layers = layers
        same = in_features == out_features
        self.skip = nn.Identity() if same else nn.Linear(in_features, out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x) + self.skip(x)
        return y


def _hidden(
    in_features: int,
    features: int,
    activation: ActivationSpec,
    normalization: Normalization | None,
    dropout: float,
    residual: bool,
) -> tuple[nn.Module, int]:
    """A hidden layer (linear, normalization, activation, dropout), and the number of features it gives."""
    normalize, activate = normalize_layer(normalization, features, 0), make_activation(activation)
    out_features = activated_features(activate, features)
    parts = [nn.Linear(in_features, features), normalize, activate, nn.Dropout(dropout) if dropout else None]
    layers = nn.Sequential(*(part for part in parts if part is not None))
    return (_Residual(layers, in_features, out_features) if residual else layers), out_features


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

    >>> import torch
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
        layers = []
        for width in hidden_features:
            layer, features = _hidden(features, width, activation, normalization, dropout, residual)
            layers.append(layer)
        self.hidden = nn.Sequential(*layers)
        self.head = nn.Linear(features, num_outputs)
        initialize(self.hidden, initialization, activation)
        initialize(self.head, initialization, None)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, *input_shape)`` to ``(N, num_outputs)``."""
        return self.head(self.hidden(x.flatten(1)))  # type: ignore[no-any-return]
