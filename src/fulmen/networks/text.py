"""Networks for texts: token numbers, padded with 0 on the right."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fulmen.core.errors import ConfigError
from fulmen.core.spec import ActivationSpec
from fulmen.networks.mlp import MLP
from fulmen.nn.blocks import Initialization, Normalization, activated_features, initialize, make_activation

PAD = 0
_SPREAD = 0.25
"""Embeddings start even in [-0.25, 0.25], as words without a pretrained vector do in Kim 2014's code."""


def make_embedding(vocabulary_size: int, features: int, freeze: bool) -> nn.Embedding:
    """A vector for each token; that of padding is zero and stays so.

    Args:
        vocabulary_size: How many numbers tokens have.
        features: Width of the vectors.
        freeze: Whether they are kept as they are.

    Raises:
        ConfigError: If a size is out of range.
    """
    for name, value, least in (("vocabulary_size", vocabulary_size, 2), ("embedding_features", features, 1)):
        if value < least:
            raise ConfigError(f"{name}: {value} is out of range; allowed: at least {least}")
    embedding = nn.Embedding(vocabulary_size, features, padding_idx=PAD)
    with torch.no_grad():
        embedding.weight.uniform_(-_SPREAD, _SPREAD)[PAD] = 0
    embedding.weight.requires_grad_(not freeze)
    return embedding


def _check_dropout(**shares: float) -> None:
    for name, value in shares.items():
        if not 0 <= value < 1:
            raise ConfigError(f"{name}: {value} is out of range; allowed: 0 <= {name} < 1")


class TextMLP(nn.Module):
    """The mean of a text's word vectors, then a multilayer perceptron.

    The continuous bag of words of fastText (Joulin et al. 2017, https://aclanthology.org/E17-2068/), with hidden
    layers as in the deep averaging network of Iyyer et al. 2015 (https://aclanthology.org/P15-1162/).

    Args:
        vocabulary_size: How many numbers tokens have, padding (0) included.
        num_outputs: Width of the output.
        embedding_features: Width of the word vectors.
        hidden_features: Width of each hidden layer; an empty list makes a linear model of the mean.
        activation: Spec of the activation after each hidden layer.
        normalization: ``batch``, ``layer``, ``group``, ``instance``, or ``None``, before each activation.
        dropout: Probability in [0, 1) that a hidden unit is dropped.
        embedding_dropout: Probability in [0, 1) that a number of a word vector is dropped.
        freeze_embedding: Whether the word vectors are kept as they are.
        initialization: How weights start; ``auto`` matches them to the activation.

    Raises:
        ConfigError: If a size or a probability is out of range.

    >>> TextMLP(100, 3)(torch.tensor([[5, 7, 0], [9, 9, 2]])).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        vocabulary_size: int,
        num_outputs: int,
        embedding_features: int = 128,
        hidden_features: Sequence[int] = (128,),
        activation: ActivationSpec = "relu",
        normalization: Normalization | None = None,
        dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        freeze_embedding: bool = False,
        initialization: Initialization = "auto",
    ) -> None:
        super().__init__()
        _check_dropout(embedding_dropout=embedding_dropout)
        self.embedding = make_embedding(vocabulary_size, embedding_features, freeze_embedding)
        self.embedding_dropout = nn.Dropout(embedding_dropout)
        shape = (embedding_features,)
        self.mlp = MLP(shape, num_outputs, hidden_features, activation, normalization, dropout, initialization)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, L)`` int64 to ``(N, num_outputs)``."""
        real = (x != PAD).unsqueeze(-1)
        vectors = self.embedding_dropout(self.embedding(x)) * real
        return self.mlp(vectors.sum(1) / real.sum(1).clamp_min(1))  # type: ignore[no-any-return]


class TextCNN(nn.Module):
    """Filters of several widths over a text's word vectors, the maximum of each over the text, and a linear layer.

    Kim 2014 (https://aclanthology.org/D14-1181/). A filter sees only places inside of the text, so that padding has
    no influence; a text that is shorter than the filter is one place, filled up with zeros. The activation follows the
    maximum, which is the same where it rises everywhere, as Kim's ReLU does, and takes less time.

    Args:
        vocabulary_size: How many numbers tokens have, padding (0) included.
        num_outputs: Width of the output.
        embedding_features: Width of the word vectors.
        widths: Words that the filters span.
        filters: Filters of each width.
        activation: Spec of the activation after the maximum.
        dropout: Probability in [0, 1) that a feature is dropped before the output layer.
        embedding_dropout: Probability in [0, 1) that a number of a word vector is dropped.
        freeze_embedding: Whether the word vectors are kept as they are.
        initialization: How weights start; ``auto`` matches them to the activation.

    Raises:
        ConfigError: If a size or a probability is out of range.

    >>> TextCNN(100, 3)(torch.tensor([[5, 7, 0], [9, 9, 2]])).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        vocabulary_size: int,
        num_outputs: int,
        embedding_features: int = 128,
        widths: Sequence[int] = (3, 4, 5),
        filters: int = 100,
        activation: ActivationSpec = "relu",
        dropout: float = 0.5,
        embedding_dropout: float = 0.0,
        freeze_embedding: bool = False,
        initialization: Initialization = "auto",
    ) -> None:
        super().__init__()
        _check_dropout(dropout=dropout, embedding_dropout=embedding_dropout)
        if not widths or min(widths) < 1 or filters < 1:
            raise ConfigError(f"widths: needs at least one filter of a width of at least 1, got {list(widths)}")
        self.embedding = make_embedding(vocabulary_size, embedding_features, freeze_embedding)
        self.embedding_dropout = nn.Dropout(embedding_dropout)
        self.convolutions = nn.ModuleList(nn.Conv1d(embedding_features, filters, width) for width in widths)
        self.activations = nn.ModuleList(make_activation(activation) for _ in widths)
        self.dropout = nn.Dropout(dropout)
        features = sum(activated_features(made, filters) for made in self.activations)
        self.head = nn.Linear(features, num_outputs)
        self.widest = max(widths)
        initialize(self.convolutions, initialization, activation)
        initialize(self.head, initialization, None)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, L)`` int64 to ``(N, num_outputs)``."""
        x = F.pad(x, (0, max(self.widest - x.shape[1], 0)), value=PAD)
        lengths = (x != PAD).sum(1, keepdim=True)
        vectors = self.embedding_dropout(self.embedding(x)).transpose(1, 2)
        found = []
        for convolution, activation in zip(self.convolutions, self.activations, strict=True):
            maps = convolution(vectors)  # (N, filters, places)
            places = torch.arange(maps.shape[2], device=x.device)
            last = x.shape[1] - maps.shape[2]  # places that a filter loses: its width - 1
            outside = places > (lengths - 1 - last).clamp_min(0)
            found.append(activation(maps.masked_fill(outside.unsqueeze(1), float("-inf")).amax(2)))
        return self.head(self.dropout(torch.cat(found, 1)))  # type: ignore[no-any-return]
