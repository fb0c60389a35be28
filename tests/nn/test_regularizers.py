"""Penalties, gradients, selection."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import ElasticNet as SklearnElasticNet
from torch import nn

from fulmen.core.errors import ConfigError
from fulmen.nn import L1, L2, ElasticNet, Regularizer
from fulmen.nn.regularizers import is_weight


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Linear(4, 5), nn.BatchNorm1d(5), nn.PReLU(), nn.Linear(5, 3), nn.LayerNorm(3)]
    return nn.Sequential(*layers).double()


def weights(net: nn.Module) -> np.ndarray[Any, Any]:
    return np.concatenate([net.get_parameter(n).detach().numpy().ravel() for n in ("0.weight", "3.weight")])


CASES = [
    (L1(0.3), lambda w: 0.3 * np.abs(w).sum(), lambda w: 0.3 * np.sign(w)),
    (L2(0.3), lambda w: 0.3 * (w**2).sum(), lambda w: 0.6 * w),
    (
        ElasticNet(0.3, 0.25),
        lambda w: 0.3 * (0.25 * np.abs(w).sum() + 0.375 * (w**2).sum()),
        lambda w: 0.3 * (0.25 * np.sign(w) + 0.75 * w),
    ),
]


@pytest.mark.parametrize(("regularizer", "value", "gradient"), CASES)
def test_penalty_and_gradient(regularizer: Regularizer, value: Any, gradient: Any) -> None:
    net = network()
    penalty = regularizer.penalty(net)
    assert penalty is not None
    assert penalty.item() == pytest.approx(value(weights(net)), rel=1e-12)
    penalty.backward()
    found = np.concatenate([net.get_parameter(n).grad.numpy().ravel() for n in ("0.weight", "3.weight")])
    np.testing.assert_allclose(found, gradient(weights(net)), rtol=1e-12)
    others = [p.grad for n, p in net.named_parameters() if n not in ("0.weight", "3.weight")]
    assert others == [None] * len(others)


def test_elastic_net_has_the_same_minimum_as_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 6))
    y = x @ np.array([2.0, 0.0, -1.0, 0.0, 0.5, 0.0]) + 0.1 * rng.normal(size=60)
    expected = SklearnElasticNet(alpha=0.2, l1_ratio=0.4, fit_intercept=False, tol=1e-12).fit(x, y).coef_
    layer = nn.Linear(6, 1, bias=False).double()
    layer.weight.data = torch.from_numpy(expected)[None]
    loss = ((layer(torch.from_numpy(x))[:, 0] - torch.from_numpy(y)) ** 2).mean() / 2
    penalty = ElasticNet(0.2, 0.4).penalty(layer)
    assert penalty is not None
    (loss + penalty).backward()
    kept = expected != 0
    assert 0 < kept.sum() < 6
    np.testing.assert_allclose(layer.weight.grad[0, kept], 0, atol=1e-6)


def test_gradient_at_zero_is_zero() -> None:
    layer = nn.Linear(2, 2)
    nn.init.zeros_(layer.weight)
    penalty = L1(1.0).penalty(layer)
    assert penalty is not None
    penalty.backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.eq(0).all()


def selected(parameters: Any, net: nn.Module) -> set[str]:
    names = {p: n for n, p in net.named_parameters()}
    return {names[p] for p in L2(1.0, parameters).select(net)}


def test_weights_are_neither_biases_nor_norms() -> None:
    assert selected("weights", network()) == {"0.weight", "3.weight"}


def test_all_are_all() -> None:
    net = network()
    assert selected("all", net) == {n for n, _ in net.named_parameters()}


def test_patterns() -> None:
    net = network()
    assert selected(["3.*"], net) == {"3.weight", "3.bias"}
    assert selected(["*.bias", "0.weight"], net) == {"0.weight", "0.bias", "1.bias", "3.bias", "4.bias"}


def test_pattern_without_match() -> None:
    with pytest.raises(ConfigError, match=r"'head\.\*' matches none of 0\.weight"):
        L1(1.0, ["0.*", "head.*"]).penalty(network())


def test_frozen_parameters_are_left_out() -> None:
    net = network()
    net[0].requires_grad_(False)
    assert selected("weights", net) == {"3.weight"}
    net.requires_grad_(False)
    assert L2(1.0).penalty(net) is None


def test_shared_parameters_count_once() -> None:
    net = nn.ModuleDict({"embedding": nn.Embedding(7, 4), "head": nn.Linear(4, 7, bias=False)})
    net["head"].weight = net["embedding"].weight
    penalty = L2(1.0).penalty(net)
    assert penalty is not None
    torch.testing.assert_close(penalty, net["head"].weight.square().sum())
    both = L2(1.0, ["head.*"]).penalty(net)
    assert both is not None
    torch.testing.assert_close(both, penalty)


def test_what_is_a_weight() -> None:
    convolution, embedding, attention = nn.Conv2d(2, 3, 3), nn.Embedding(3, 4), nn.MultiheadAttention(4, 2)
    assert is_weight(convolution, "weight", convolution.weight)
    assert is_weight(embedding, "weight", embedding.weight)
    assert is_weight(attention, "in_proj_weight", attention.in_proj_weight)
    assert not is_weight(attention, "in_proj_bias", attention.in_proj_bias)
    for layer in (nn.BatchNorm2d(3), nn.GroupNorm(1, 3), nn.LayerNorm((3, 3)), nn.InstanceNorm2d(3, affine=True)):
        assert not is_weight(layer, "weight", layer.weight)
    flat = nn.Linear(2, 3)
    flat.weight = nn.Parameter(flat.weight.detach().flatten())  # as sharding does
    assert is_weight(flat, "weight", flat.weight)
    prelu = nn.PReLU()
    assert not is_weight(prelu, "weight", prelu.weight)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(-2, 2), min_size=1, max_size=10), st.floats(0, 1), st.floats(0, 2))
def test_proximal_step_is_the_soft_threshold(values: list[float], rate: float, weight: float) -> None:
    layer = nn.Linear(len(values), 1, bias=False).double()
    layer.weight.data = torch.tensor([values], dtype=torch.float64)
    regularizer = L1(weight, proximal=True)
    assert regularizer.penalty(layer) is None
    regularizer.after_step(layer, {layer.weight: rate})
    w = np.array(values)
    np.testing.assert_allclose(layer.weight.detach()[0], np.sign(w) * np.maximum(np.abs(w) - rate * weight, 0))


def test_proximal_step_makes_exact_zeros_and_needs_a_rate() -> None:
    layer = nn.Linear(3, 1, bias=False)
    layer.weight.data = torch.tensor([[0.05, -0.05, 1.0]])
    L1(1.0, proximal=True).after_step(layer, {})
    assert layer.weight.tolist() == [[pytest.approx(0.05), pytest.approx(-0.05), 1.0]]  # trained by no optimizer
    L1(1.0, proximal=True).after_step(layer, {layer.weight: 0.1})
    assert layer.weight[0, :2].tolist() == [0.0, 0.0]
    L1(1.0).after_step(layer, {layer.weight: 0.1})
    assert layer.weight[0, 2].item() == pytest.approx(0.9)


@pytest.mark.parametrize("kind", [L1, L2, ElasticNet])
def test_negative_weight(kind: type[Regularizer]) -> None:
    with pytest.raises(ConfigError, match=r"weight: -0\.1"):
        kind(-0.1)


@pytest.mark.parametrize("ratio", [-0.1, 1.1])
def test_ratio_out_of_range(ratio: float) -> None:
    with pytest.raises(ConfigError, match="l1_ratio"):
        ElasticNet(1.0, ratio)
