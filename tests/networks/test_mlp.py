"""MLP."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fulmen.core.errors import ConfigError
from fulmen.networks import MLP
from fulmen.networks.mlp import CategoryEmbeddings, embedding_width


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@settings(deadline=None, max_examples=50)
@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    outputs=st.integers(1, 5),
    hidden=st.lists(st.integers(1, 9), max_size=3),
    residual=st.booleans(),
    norm=st.sampled_from([None, "batch", "layer", "group"]),
    batch=st.integers(2, 4),
)
def test_shape(shape: list[int], outputs: int, hidden: list[int], residual: bool, norm: Any, batch: int) -> None:
    net = MLP(shape, outputs, hidden, residual=residual, normalization=norm)
    y = net(torch.randn(batch, *shape))
    assert y.shape == (batch, outputs)
    assert torch.isfinite(y).all()


def test_parameters_by_hand() -> None:
    assert parameters(MLP((1, 8, 8), 10, [32, 16])) == (64 * 32 + 32) + (32 * 16 + 16) + (16 * 10 + 10)
    with_norm = MLP((64,), 10, [32], normalization="batch")
    assert parameters(with_norm) == (64 * 32 + 32) + 2 * 32 + (32 * 10 + 10)
    assert parameters(MLP((5,), 2, [7], activation="prelu")) == (5 * 7 + 7) + 1 + (7 * 2 + 2)
    # a linear map where widths differ, none where they are the same
    assert parameters(MLP((5,), 2, [7, 7], residual=True)) == (5 * 7 + 7) + 5 * 7 + (7 * 7 + 7) + (7 * 2 + 2)


def test_no_hidden_layer_is_a_linear_model() -> None:
    net = MLP((2, 3), 4, [])
    x = torch.randn(5, 2, 3)
    assert parameters(net) == 6 * 4 + 4
    torch.testing.assert_close(net(x), x.flatten(1) @ net.head.weight.T + net.head.bias)


def test_forward_by_hand() -> None:
    net = MLP((3,), 2, [4], activation="tanh")
    linear = net.hidden[0][0]
    x = torch.randn(5, 3)
    torch.testing.assert_close(net(x), net.head(torch.tanh(x @ linear.weight.T + linear.bias)))


def test_residual_adds_the_input() -> None:
    net = MLP((4,), 2, [4], residual=True)
    linear = net.hidden[0].layers[0]
    nn.init.zeros_(linear.weight)
    x = torch.randn(5, 4)
    torch.testing.assert_close(net(x), net.head(x))


@pytest.mark.parametrize(
    ("kind", "layer"), [("batch", nn.BatchNorm1d), ("layer", nn.LayerNorm), ("group", nn.GroupNorm)]
)
def test_normalization_stands_before_the_activation(kind: Any, layer: type[nn.Module]) -> None:
    net = MLP((4,), 2, [32], normalization=kind, dropout=0.5)
    assert [type(m) for m in net.hidden[0]] == [nn.Linear, layer, nn.ReLU, nn.Dropout]


def test_instance_normalization_is_refused() -> None:
    with pytest.raises(ConfigError, match="instance"):
        MLP((4,), 2, [8], normalization="instance")


def test_dropout_acts_in_training_only() -> None:
    torch.manual_seed(0)
    net = MLP((4,), 2, [64], dropout=0.5)
    x = torch.randn(3, 4)
    assert not torch.equal(net(x), net(x))
    net.eval()
    assert torch.equal(net(x), net(x))


def test_learnable_activations_are_not_shared() -> None:
    for activation in ("prelu", nn.PReLU()):
        net = MLP((4,), 2, [8, 8], activation=activation)
        found = [m.weight for m in net.modules() if isinstance(m, nn.PReLU)]
        assert len(found) == 2
        assert found[0] is not found[1]


def test_activation_that_halves_the_width() -> None:
    net = MLP((4,), 2, [8, 6], activation=nn.GLU(), residual=True)
    assert net(torch.randn(3, 4)).shape == (3, 2)
    assert net.head.in_features == 3


def test_same_seed_same_weights() -> None:
    torch.manual_seed(3)
    first = MLP((4,), 2, [8])
    torch.manual_seed(3)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), MLP((4,), 2, [8]).parameters(), strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_features": [8, 0]}, "hidden_features"),
        ({"dropout": 1.0}, r"dropout: 1\.0"),
        ({"dropout": -0.1}, r"dropout: -0\.1"),
        ({"activation": "rleu"}, "did you mean 'relu'"),
    ],
)
def test_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MLP((4,), 2, **options)
    with pytest.raises(ConfigError):
        MLP((4,), 0)


def with_codes(numbers: int = 2) -> tuple[MLP, torch.Tensor]:
    torch.manual_seed(0)
    net = MLP((numbers + 2,), 3, [8], categories=[4, 3], embedding_features=5)
    codes = torch.tensor([[0.0, 2], [3, 1], [1, 0]])
    return net, torch.cat([torch.randn(3, numbers), codes], 1)


@pytest.mark.parametrize("numbers", [0, 2])
def test_categories_by_hand(numbers: int) -> None:
    net, x = with_codes(numbers)
    assert isinstance(net.embed, CategoryEmbeddings)
    table = net.embed.embedding.weight
    assert table.shape == (7, 5)
    rows = [torch.cat([line[:numbers], table[int(line[-2])], table[4 + int(line[-1])]]) for line in x]
    expected = net.head(net.hidden(torch.stack(rows)))
    torch.testing.assert_close(net(x), expected)
    assert parameters(net) == 7 * 5 + ((numbers + 10) * 8 + 8) + (8 * 3 + 3)


def test_each_code_has_a_gradient_of_its_own() -> None:
    net, x = with_codes()
    net(x).square().sum().backward()
    assert isinstance(net.embed, CategoryEmbeddings)
    gradient = net.embed.embedding.weight.grad
    assert gradient is not None
    assert gradient.any(1).tolist() == [True, True, False, True, True, True, True]  # code 2 of the first does not occur


def test_the_unknown_code_starts_at_zero() -> None:
    net, _ = with_codes()
    assert isinstance(net.embed, CategoryEmbeddings)
    weight = net.embed.embedding.weight
    assert (weight == 0).all(1).tolist() == [True, False, False, False, True, False, False]
    big = CategoryEmbeddings([2000], 25).embedding.weight
    assert 0.99 / 5 < big.abs().max().item() <= 1 / 5


def test_embedding_width() -> None:
    assert embedding_width([2]) == round(1.6 * 2**0.56) == 2
    assert embedding_width([17, 42, 3]) == round(1.6 * 42**0.56) == 13
    assert embedding_width([10**6]) == 50
    net = MLP((3,), 1, [4], categories=[42, 7])
    assert isinstance(net.embed, CategoryEmbeddings)
    assert net.embed.features == 13


def test_categories_export_and_compile() -> None:
    net, x = with_codes()
    net.eval()
    exported = torch.export.export(net, (x,))
    torch.testing.assert_close(exported.module()(x), net(x))
    torch.testing.assert_close(torch.compile(net, backend="eager", fullgraph=True)(x), net(x))


@pytest.mark.parametrize(
    ("dtype", "largest"), [(torch.bfloat16, 257), (torch.float16, 2049), (torch.float32, 2**24 + 1)]
)
def test_codes_that_a_type_cannot_hold_are_refused(dtype: torch.dtype, largest: int) -> None:
    assert torch.tensor(largest - 1).to(dtype).long() == largest - 1
    assert torch.tensor(largest).to(dtype).long() != largest
    layer = CategoryEmbeddings([3, 5], 2)
    x = torch.tensor([[1.5, 2, 4]])
    layer.categories = [3, largest]
    layer.to(dtype)(x.to(dtype))
    layer.categories = [3, largest + 1]
    with pytest.raises(
        ConfigError, match=r"categories: torch.*set `trainer\.precision` to 16-mixed, bf16-mixed or 32-true"
    ):
        layer(x.to(dtype))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"categories": [3, 0]}, "at least 1 code"),
        ({"categories": [3, 3, 3, 3, 3]}, "5 columns, but a sample has 4 values"),
        ({"categories": [3], "embedding_features": 0}, "embedding_features: 0 is out of range"),
    ],
)
def test_errors_of_categories(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MLP((4,), 2, **options)
