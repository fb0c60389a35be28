"""Initialization, normalization, activations of specs."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fulmen.core.errors import ConfigError
from fulmen.nn.blocks import initialize, initializer, make_activation, normalize_layer


def deep(activation: Any, depth: int = 20, width: int = 512, scheme: Any = "auto") -> list[float]:
    """Mean square after each layer of a deep network, fed with unit normals."""
    torch.manual_seed(0)
    x, sizes = torch.randn(256, width), []
    for _ in range(depth):
        layer = nn.Linear(width, width)
        initialize(layer, scheme, activation)
        x = make_activation(activation)(layer(x))
        sizes.append(x.square().mean().item())
    return sizes


@pytest.mark.parametrize(
    "activation", ["relu", "selu", "identity", None, {"name": "leaky_relu", "negative_slope": 0.3}, "prelu", nn.SELU()]
)
def test_variance_is_kept_through_20_layers(activation: Any) -> None:
    sizes = deep(activation)
    assert 0.4 < sizes[-1] / sizes[0] < 2.5


def test_tanh_neither_dies_nor_saturates() -> None:
    sizes = deep("tanh")
    assert 0.1 < sizes[-1] < 0.6


def test_torchs_own_initialization_would_die() -> None:
    sizes = deep("relu", scheme="torch")
    assert sizes[-1] < 0.01 * sizes[0]  # what `auto` is there for


def std(activation: Any, scheme: Any = "auto", shape: tuple[int, ...] = (400, 300)) -> float:
    weight = torch.empty(shape)
    fill = initializer(scheme, activation)
    assert fill is not None
    torch.manual_seed(0)
    fill(weight)
    return weight.std().item()


def test_schemes_have_their_variance() -> None:
    assert std("relu") == pytest.approx((2 / 300) ** 0.5, rel=0.02)
    assert std({"name": "leaky_relu", "negative_slope": 0.5}) == pytest.approx((2 / 1.25 / 300) ** 0.5, rel=0.02)
    assert std({"name": "prelu", "init": 0.5}) == pytest.approx((2 / 1.25 / 300) ** 0.5, rel=0.02)
    assert std("selu") == pytest.approx((1 / 300) ** 0.5, rel=0.02)
    assert std("sigmoid") == pytest.approx((2 / 700) ** 0.5, rel=0.02)
    assert std("tanh") == pytest.approx(5 / 3 * (2 / 700) ** 0.5, rel=0.02)
    assert std("relu6") == std("relu")  # torch derives it from Hardtanh
    assert std("relu", shape=(64, 32, 3, 3)) == pytest.approx((2 / (32 * 9)) ** 0.5, rel=0.02)


def test_class_and_object_start_as_the_name() -> None:
    assert std(nn.SELU) == std(nn.SELU()) == std("selu") == std("fulmen:selu")
    assert std(nn.Tanh()) == std("tanh")


def test_explicit_scheme_wins() -> None:
    assert std("relu", "lecun") == pytest.approx((1 / 300) ** 0.5, rel=0.02)
    weight = torch.empty(30, 30)
    fill = initializer("orthogonal", "relu")
    assert fill is not None
    fill(weight)
    torch.testing.assert_close(weight @ weight.T, torch.eye(30), atol=1e-5, rtol=0)


def test_torch_leaves_torchs_own() -> None:
    layer = nn.Linear(4, 4)
    before = layer.weight.clone()
    initialize(layer, "torch", "relu")
    assert torch.equal(layer.weight, before)


def test_biases_become_zero_and_layers_without_bias_work() -> None:
    layers = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5, bias=False), nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3))
    initialize(layers, "auto", "relu")
    assert layers[0].bias.eq(0).all()
    assert layers[2].bias.eq(0).all()
    assert layers[3].weight.eq(1).all()  # norm layers are left alone


NORMALS = [("batch", 0), ("batch", 1), ("batch", 2), ("layer", 0), ("group", 0), ("group", 2), ("instance", 1)]


@pytest.mark.parametrize(("kind", "dims"), [*NORMALS, ("layer", 2), ("instance", 2), ("group", 1)])
def test_normalized_axes_have_mean_0_and_variance_1(kind: Any, dims: int) -> None:
    layer = normalize_layer(kind, 64, dims)
    assert layer is not None
    x = 5 + 3 * torch.randn(8, 64, *[6] * dims, generator=torch.Generator().manual_seed(0))
    y = layer(x)
    groups = {"batch": 64, "layer": 1, "instance": 64, "group": 4 if dims == 0 else 32}[kind]
    parts = y.reshape(8, groups, -1)
    axes = (0, 2) if kind == "batch" else (2,)
    variance, mean = torch.var_mean(parts, axes, correction=0)
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-5, rtol=0)
    torch.testing.assert_close(variance, torch.ones_like(variance), atol=1e-3, rtol=0)


def test_no_normalization() -> None:
    assert normalize_layer(None, 8, 2) is None


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 200), st.sampled_from(["batch", "layer", "group"]))
def test_normalized_vectors_still_depend_on_the_input(features: int, kind: Any) -> None:
    layer = normalize_layer(kind, features, 0)
    assert layer is not None
    x = torch.randn(16, features, generator=torch.Generator().manual_seed(features))
    assert layer(x).std(0).max() > 0.1


def test_instance_on_vectors_is_refused() -> None:
    with pytest.raises(ConfigError, match="batch, layer, group"):
        normalize_layer("instance", 8, 0)


def test_null_is_identity() -> None:
    assert isinstance(make_activation(None), nn.Identity)


def test_objects_are_copied_and_names_made_anew() -> None:
    given_one = nn.PReLU(init=0.7)
    made = make_activation(given_one)
    assert made is not given_one
    assert made.weight is not given_one.weight
    assert made.weight.item() == pytest.approx(0.7)
    assert make_activation("prelu").weight is not make_activation("prelu").weight
    assert isinstance(make_activation(nn.Tanh), nn.Tanh)
