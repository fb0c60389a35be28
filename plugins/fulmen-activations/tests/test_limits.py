"""Infinite and large inputs, half precision, autocast."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from fulmen.core.spec import build

INF = math.inf
LIMITS = {  # at -inf and at +inf
    "swish": (0, INF),
    "acon": (0, INF),
    "aptx": (0, INF),
    "sinlu": (0, INF),
    "snake": (-INF, INF),
    "pelu": (-1, INF),
    "srelu": (-INF, INF),
    "flexible_relu": (0, INF),
    "star_relu": (-1 / math.sqrt(5), INF),
    "xielu": (INF, INF),
    "squared_relu": (0, INF),
    "telu": (0, INF),
    "serf": (0, INF),
    "logish": (0, INF),
    "smish": (0, INF),
    "elish": (0, INF),
    "lisht": (INF, INF),
    "gaussian": (0, 0),
    "sine": (0, 0),
    "maxout": (-INF, INF),
}
GATED = ["bilinear", "geglu", "glu", "reglu", "swiglu"]
TYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
DERIVATIVE_GROWS = {"squared_relu", "star_relu", "xielu", "bilinear"}


def test_every_activation_has_a_limit(names: list[str]) -> None:
    assert {*LIMITS, *GATED, "rational"} == set(names)  # rational bounds its inputs: see its own tests


@pytest.mark.parametrize("name", sorted(LIMITS))
@pytest.mark.parametrize("dtype", TYPES)
def test_infinite_inputs_give_the_limit(name: str, dtype: torch.dtype) -> None:
    # 34: long enough for vectorized kernels and a rest, which do not treat infinity alike
    low, high = (build("activations", name).to(dtype)(torch.full((1, 34), x, dtype=dtype)) for x in (-INF, INF))
    expected = (torch.full_like(y, limit) for y, limit in zip((low, high), LIMITS[name], strict=True))
    torch.testing.assert_close((low, high), tuple(expected))


@pytest.mark.parametrize(
    ("spec", "low", "high"),
    [
        ({"name": "swish", "beta": -1.0}, -INF, 0),
        ({"name": "swish", "beta": 30.0}, 0, INF),
        ({"name": "acon", "p1": 2.0, "p2": 0.5}, -INF, INF),
        ({"name": "acon", "p1": 0.0, "p2": 1.0}, 0, INF),
        ({"name": "aptx", "alpha": 0.5}, INF, INF),
        ({"name": "srelu", "a_left": 0.0, "a_right": 0.0}, 0, 1),
        ({"name": "srelu", "a_left": -1.0, "a_right": -1.0}, INF, -INF),
        ({"name": "pelu", "a": 3.0, "b": 0.1}, -3, INF),
        ({"name": "snake", "alpha": 50.0}, -INF, INF),
        ({"name": "sinlu", "a": 5.0, "b": 20.0}, 0, INF),
    ],
)
def test_options_move_the_limit(spec: dict[str, Any], low: float, high: float) -> None:
    y = build("activations", spec)(torch.tensor([-INF, INF]))
    torch.testing.assert_close(y, torch.tensor([low, high], dtype=y.dtype))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", GATED)
def test_gated_units_take_infinity_for_the_largest_number(name: str, dtype: torch.dtype) -> None:
    ends = torch.tensor([-INF, -1, 0, 1, INF], dtype=dtype)
    pairs = torch.cartesian_prod(ends, ends).repeat(9, 1)  # enough for vectorized kernels, which differ at infinity
    y = build("activations", name)(pairs)
    assert not y.isnan().any()
    bounds = torch.finfo(dtype)
    torch.testing.assert_close(build("activations", name)(pairs.clamp(bounds.min, bounds.max)), y, rtol=0, atol=0)


def test_nan_stays_visible(name: str) -> None:
    assert build("activations", name)(torch.full((1, 2), math.nan)).isnan().all()


@pytest.mark.parametrize("dtype", TYPES)
def test_large_inputs_have_finite_gradients(name: str, dtype: torch.dtype) -> None:
    """1e4 in every type, and in float32 and float64 as far as the function itself stays finite."""
    top = 1e4 if torch.finfo(dtype).bits == 16 else 1e18 if name in DERIVATIVE_GROWS else 1e37
    sizes = torch.tensor([0, 1e-30, 1e-4, 1, 10, 15, 20, 50, 88.8, 100, 1e3, 1e4, top], dtype=torch.float64)
    line = torch.cat([-sizes.flip(0), sizes]).to(dtype)
    x = torch.stack([line, line], 1).requires_grad_()
    activation = build("activations", name).to(dtype)
    y = activation(x)
    assert not y.isnan().any()
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    for parameter_name, p in activation.named_parameters():
        assert p.grad is not None
        assert not p.grad.isnan().any(), parameter_name


@pytest.mark.parametrize("name", sorted({n for n, (low, _) in LIMITS.items() if low == 0} - {"gaussian"}))
def test_minus_infinity_has_the_gradient_0_where_the_output_is_0(name: str) -> None:
    activation, x = build("activations", name), torch.full((1, 2), -INF, requires_grad=True)
    activation(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0, 0]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_rounds_about_once(name: str, dtype: torch.dtype, normal: Callable[..., Tensor]) -> None:
    """At most two units in the last place from the value in float32."""
    x = (2 * normal(64, 16)).to(dtype)
    activation = build("activations", name)
    exact, y = activation(x.float()), activation.to(dtype)(x)
    assert y.dtype is dtype
    torch.testing.assert_close(y.float(), exact, rtol=2 * torch.finfo(dtype).eps, atol=1e-2)


@pytest.mark.parametrize("dtype", TYPES)
def test_keeps_the_type_and_parameters_do_not_change_it(name: str, dtype: torch.dtype) -> None:
    """Parameters in float32 with activations in half precision is what autocast makes of a network."""
    activation = build("activations", name)
    x = torch.ones(2, 4, dtype=dtype)
    assert activation(x).dtype is dtype
    assert activation.to(dtype)(x).dtype is dtype


def test_autocast_keeps_the_type_and_trains_parameters_in_float32(name: str, normal: Callable[..., Tensor]) -> None:
    linear, activation = torch.nn.Linear(8, 8), build("activations", name)
    with torch.autocast("cpu", torch.bfloat16):
        y = activation(linear(normal(4, 8)))
    assert y.dtype is torch.bfloat16
    y.float().sum().backward()
    for parameter_name, p in activation.named_parameters():
        assert p.grad is not None
        assert p.grad.dtype is torch.float32
        assert p.grad.isfinite().all(), parameter_name
