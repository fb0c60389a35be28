"""Multilayer perceptron."""

from __future__ import annotations

import math
from collections.abc import Sequence

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


def embedding_width(categories: Sequence[int]) -> int:
    """The width of the embeddings of categories that share one: that of the largest of them, at most 50.

    ``round(1.6 * n ** 0.56)`` is the rule of thumb of fastai for a column of ``n`` categories
    (https://docs.fast.ai/tabular.model.html#emb_sz_rule).

    Args:
        categories: How many codes each column has.

    >>> embedding_width([3]), embedding_width([3, 42]), embedding_width([10_000])
    (3, 13, 50)
    """
    return min(50, round(1.6 * math.pow(max(categories), 0.56)))


class CategoryEmbeddings(nn.Module):
    """Replaces the codes in the last columns by learned vectors; the numbers before them stay.

    All columns share one table, so that one look-up serves them all, as in Gorishniy et al. 2021
    (https://arxiv.org/abs/2106.11959); its vectors start as there. Code 0, the unknown, starts at zero: a category that
    training never met then adds nothing.

    Args:
        categories: How many codes each of the last columns has, 0 included.
        features: Width of the vectors.

    Raises:
        ConfigError: If there is a column without codes, or the width is below 1.
    """

    starts: Tensor

    def __init__(self, categories: Sequence[int], features: int) -> None:
        super().__init__()
        if min(categories) < 1:
            raise ConfigError(f"categories: a column has at least 1 code, got {list(categories)}")
        if features < 1:
            raise ConfigError(f"embedding_features: {features} is out of range; allowed: at least 1")
        self.categories, self.features = list(categories), features
        self.embedding = nn.Embedding(sum(categories), features)
        nn.init.uniform_(self.embedding.weight, -(features**-0.5), features**-0.5)
        starts = torch.tensor([0, *categories[:-1]]).cumsum(0)
        with torch.no_grad():
            self.embedding.weight[starts] = 0
        self.register_buffer("starts", starts, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, numbers + columns)`` to ``(N, numbers + columns * features)``.

        Raises:
            ConfigError: If the type of ``x`` cannot hold the codes.
        """
        exact = 2 / torch.finfo(x.dtype).eps  # above, whole numbers are rounded
        if max(self.categories) - 1 > exact:
            raise ConfigError(
                f"categories: {x.dtype} holds whole numbers up to {exact:g} only, a column has {max(self.categories)} "
                "codes; set `trainer.precision` to 16-mixed, bf16-mixed or 32-true"
            )
        numbers, codes = x[:, : -len(self.categories)], x[:, -len(self.categories) :]
        vectors: Tensor = self.embedding(codes.long() + self.starts)
        return torch.cat([numbers, vectors.flatten(1)], 1)


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
        categories: How many codes each of the last inputs has, 0 (unknown) included; they are embedded. ``None``: all
            inputs are numbers.
        embedding_features: Width of the embeddings; ``None``: :func:`embedding_width`.

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
        categories: Sequence[int] | None = None,
        embedding_features: int | None = None,
    ) -> None:
        super().__init__()
        if min((num_outputs, *hidden_features)) < 1:
            raise ConfigError(f"hidden_features: widths must be at least 1, got {list(hidden_features)}")
        if not 0 <= dropout < 1:
            raise ConfigError(f"dropout: {dropout} is out of range; allowed: 0 <= dropout < 1")
        features = math.prod(input_shape)
        self.embed: nn.Module | None = None
        if categories:
            if len(categories) > features:
                raise ConfigError(f"categories: {len(categories)} columns, but a sample has {features} values only")
            width = embedding_width(categories) if embedding_features is None else embedding_features
            self.embed = CategoryEmbeddings(categories, width)
            features += len(categories) * (width - 1)
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
        x = x.flatten(1)
        if self.embed is not None:
            x = self.embed(x)
        return self.head(self.hidden(x))  # type: ignore[no-any-return]
