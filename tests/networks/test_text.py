"""Networks for texts: against plain formulas, and padding that changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from fulmen.core.errors import ConfigError
from fulmen.networks import TextCNN, TextMLP

NETWORKS: list[Any] = [
    pytest.param(lambda **o: TextMLP(30, 3, 8, [6], **o), id="mlp"),
    pytest.param(lambda **o: TextCNN(30, 3, 8, filters=6, **o), id="cnn"),
]


def texts(lengths: list[int], seed: int = 0) -> Tensor:
    """Token numbers, padded on the right."""
    generator = torch.Generator().manual_seed(seed)
    made = torch.zeros(len(lengths), max(lengths), dtype=torch.int64)
    for row, length in zip(made, lengths, strict=True):
        row[:length] = torch.randint(1, 30, (length,), generator=generator)
    return made


def nudge(network: nn.Module) -> nn.Module:
    """With biases other than zero, so that a forgotten one shows."""
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.uniform_(parameter, -1, 1)
    return network.eval()


def test_mlp_is_a_linear_map_of_the_mean() -> None:
    network = nudge(TextMLP(30, 2, 5, hidden_features=[]))
    x = texts([4, 1])
    table, head = network.embedding.weight, network.mlp.head  # type: ignore[union-attr]
    means = torch.stack([table[x[0]].mean(0), table[x[1, 0]]])  # type: ignore[index]
    expected = means @ head.weight.T + head.bias  # type: ignore[operator, union-attr]
    assert torch.allclose(network(x), expected, atol=1e-6)


def test_cnn_takes_the_maximum_over_places_inside() -> None:
    """Place by place, as in Kim 2014."""
    network: Any = nudge(TextCNN(30, 2, 5, widths=[2, 3], filters=4))
    x = texts([6, 4, 3])
    features = []
    for row, length in zip(x, [6, 4, 3], strict=True):
        vectors = network.embedding.weight[row[:length]]
        parts = []
        for width, convolution in zip([2, 3], network.convolutions, strict=True):
            windows = torch.stack([vectors[i : i + width].T.flatten() for i in range(length - width + 1)])
            maps = torch.relu(windows @ convolution.weight.flatten(1).T + convolution.bias)
            parts.append(maps.amax(0))
        features.append(torch.cat(parts))
    assert torch.allclose(network(x), network.head(torch.stack(features)), atol=1e-6)


@pytest.mark.parametrize("make", NETWORKS)
@settings(deadline=None, max_examples=30)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4), more=st.integers(1, 12), seed=st.integers(0, 5))
def test_padding_changes_nothing(make: Any, lengths: list[int], more: int, seed: int) -> None:
    network = nudge(make())
    x = texts(lengths, seed)
    expected = network(x)
    assert torch.allclose(network(F.pad(x, (0, more))), expected, atol=1e-6)
    for row, length, together in zip(x, lengths, expected, strict=True):  # nor do the others of the batch
        assert torch.allclose(network(row[None, :length])[0], together, atol=1e-6)


@pytest.mark.parametrize("make", NETWORKS)
def test_padding_gets_no_gradient_and_stays_zero(make: Any) -> None:
    network = make()
    network(texts([7, 2])).square().sum().backward()
    assert torch.equal(network.embedding.weight[0], torch.zeros(8))
    assert torch.equal(network.embedding.weight.grad[0], torch.zeros(8))
    assert float(network.embedding.weight.grad.abs().sum()) > 0


@pytest.mark.parametrize("make", NETWORKS)
def test_a_text_of_padding_alone_gives_a_number(make: Any) -> None:
    network = nudge(make())
    out = network(torch.zeros(2, 3, dtype=torch.int64))
    out.sum().backward()
    assert torch.isfinite(out).all()
    assert torch.allclose(out[0], out[1], atol=1e-6)
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "prelu", {"name": "leaky_relu", "negative_slope": 0.3}])
def test_cnn_with_activations(activation: Any) -> None:
    network = TextCNN(30, 3, 8, filters=4, activation=activation)
    out = network(texts([2, 8]))
    out.sum().backward()
    assert out.shape == (2, 3)
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize("make", NETWORKS)
def test_embedding_dropout_and_freezing(make: Any) -> None:
    network, x = make(embedding_dropout=0.5, dropout=0.0), texts([5])
    assert not torch.equal(network(x), network(x))
    assert torch.equal(network.eval()(x), network(x))
    frozen = make(freeze_embedding=True)
    assert [name for name, p in frozen.named_parameters() if not p.requires_grad] == ["embedding.weight"]


def test_embeddings_start_small_and_even() -> None:
    weight = TextMLP(5000, 2, 20).embedding.weight.detach()[1:]
    assert 0.24 < float(weight.abs().max()) <= 0.25
    assert float(weight.mean()) == pytest.approx(0, abs=0.005)
    assert float(weight.std()) == pytest.approx(0.5 / 12**0.5, rel=0.02)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: TextMLP(1, 2), "vocabulary_size: 1 is out of range; allowed: at least 2"),
        (lambda: TextCNN(9, 2, 0), "embedding_features: 0 is out of range"),
        (lambda: TextCNN(9, 2, widths=[]), r"widths: needs at least one filter of a width of at least 1, got \[\]"),
        (lambda: TextCNN(9, 2, widths=[0]), "widths"),
        (lambda: TextCNN(9, 2, dropout=1.0), "dropout: 1.0 is out of range"),
        (lambda: TextMLP(9, 2, embedding_dropout=-0.1), "embedding_dropout: -0.1 is out of range"),
        (lambda: TextMLP(9, 2, hidden_features=[0]), "hidden_features: widths must be at least 1"),
    ],
)
def test_mistakes(make: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()
