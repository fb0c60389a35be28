"""Every formula against one written here from its paper with numpy and scipy, and its gradients in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import erf, expit
from torch import Tensor

from fulmen.core.spec import build

Array = NDArray[np.float64]
Function = Callable[[Array], Array]

X = np.linspace(-8, 8, 2001)


def piecewise(condition: Callable[[Array], Any], yes: Function, no: Function) -> Function:
    return lambda x: np.where(condition(x), yes(x), no(x))


ELEMENTWISE: list[tuple[str, dict[str, Any], Function]] = [
    ("swish", {}, lambda x: x / (1 + np.exp(-x))),
    ("swish", {"beta": -0.7}, lambda x: x / (1 + np.exp(0.7 * x))),
    ("swish", {"beta": 0.0}, lambda x: x / 2),
    ("acon", {}, lambda x: x * expit(x)),
    ("acon", {"p1": 1.2, "p2": -0.3, "beta": 2.0}, lambda x: 1.5 * x * expit(2 * 1.5 * x) - 0.3 * x),
    ("aptx", {}, lambda x: (1 + np.tanh(x)) * x / 2),
    ("aptx", {"alpha": 0.5, "beta": 2.0, "gamma": 3.0}, lambda x: (0.5 + np.tanh(2 * x)) * 3 * x),
    ("sinlu", {}, lambda x: (x + np.sin(x)) * expit(x)),
    ("sinlu", {"a": 0.5, "b": 3.0}, lambda x: (x + 0.5 * np.sin(3 * x)) * expit(x)),
    ("snake", {}, lambda x: x + np.sin(x) ** 2),
    ("snake", {"alpha": 5.0}, lambda x: x + (1 - np.cos(10 * x)) / 10),
    ("pelu", {}, piecewise(lambda x: x >= 0, lambda x: x, lambda x: np.exp(x) - 1)),
    ("pelu", {"a": 2.0, "b": 0.5}, piecewise(lambda x: x >= 0, lambda x: 4 * x, lambda x: 2 * (np.exp(2 * x) - 1))),
    ("srelu", {}, piecewise(lambda x: x >= 0, lambda x: x, lambda x: 0.2 * x)),
    (
        "srelu",
        {"t_left": -1.0, "a_left": 0.1, "t_right": 2.0, "a_right": -0.5},
        lambda x: np.select([x >= 2, x > -1], [2 - 0.5 * (x - 2), x], -1 + 0.1 * (x + 1)),
    ),
    ("flexible_relu", {"b": -0.4}, lambda x: np.maximum(x, 0) - 0.4),
    ("star_relu", {}, lambda x: 2 / np.sqrt(5) * np.maximum(x, 0) ** 2 - 1 / np.sqrt(5)),
    ("star_relu", {"scale": 0.3, "bias": 1.0}, lambda x: 0.3 * np.maximum(x, 0) ** 2 + 1),
    (
        "xielu",
        {},
        piecewise(lambda x: x > 0, lambda x: 0.8 * x**2 + 0.5 * x, lambda x: 0.8 * (np.exp(x) - 1 - x) + 0.5 * x),
    ),
    (
        "xielu",
        {"alpha_p": 40.0, "alpha_n": 1.5, "beta": 0.1},
        piecewise(lambda x: x > 0, lambda x: 40 * x**2 + 0.1 * x, lambda x: 1.5 * (np.exp(x) - 1 - x) + 0.1 * x),
    ),
    ("squared_relu", {}, lambda x: np.where(x > 0, x * x, 0)),
    ("telu", {}, lambda x: x * np.tanh(np.exp(x))),
    ("serf", {}, lambda x: x * erf(np.log1p(np.exp(x)))),
    ("logish", {}, lambda x: x * np.log(1 + expit(x))),
    ("smish", {}, lambda x: x * np.tanh(np.log(1 + expit(x)))),
    ("elish", {}, piecewise(lambda x: x >= 0, lambda x: x * expit(x), lambda x: (np.exp(x) - 1) * expit(x))),
    ("lisht", {}, lambda x: x * np.tanh(x)),
    ("gaussian", {}, lambda x: np.exp(-(x**2) / 2)),
    ("gaussian", {"sigma": 0.5}, lambda x: np.exp(-2 * x**2)),
    ("sine", {}, np.sin),
    ("sine", {"omega": 30.0}, lambda x: np.sin(30 * x)),
]

GATED: list[tuple[str, Callable[[Array, Array], Array]]] = [
    ("glu", lambda v, g: v * expit(g)),
    ("reglu", lambda v, g: v * np.maximum(g, 0)),
    ("geglu", lambda v, g: v * g * (1 + erf(g / np.sqrt(2))) / 2),
    ("swiglu", lambda v, g: v * g * expit(g)),
    ("bilinear", lambda v, g: v * g),
]


def test_every_activation_has_a_reference(names: list[str]) -> None:
    assert {n for n, *_ in ELEMENTWISE} | {n for n, _ in GATED} | {"maxout", "rational"} == set(names)


@pytest.mark.parametrize(("name", "options", "reference"), ELEMENTWISE)
def test_gives_the_values_of_its_formula(name: str, options: dict[str, Any], reference: Function) -> None:
    activation = build("activations", {"name": name, **options}).double()
    # parameters start as float32 numbers, so that float64 formulas differ by their rounding
    np.testing.assert_allclose(activation(torch.tensor(X)).detach().numpy(), reference(X), rtol=2e-6, atol=1e-6)
    half = activation.float()(torch.tensor(X, dtype=torch.float32)).detach().numpy()
    np.testing.assert_allclose(half, reference(X), rtol=2e-5, atol=2e-5 * max(1.0, options.get("omega", 1.0)))


@pytest.mark.parametrize(("name", "reference"), GATED)
@pytest.mark.parametrize("shape", [(3, 8), (3, 8, 5), (3, 8, 2, 4)])
def test_gates_the_first_half_of_the_features_with_the_second(
    name: str, reference: Callable[[Array, Array], Array], shape: tuple[int, ...], normal: Callable[..., Tensor]
) -> None:
    x = 3 * normal(*shape, dtype=torch.float64)
    values, gates = np.split(x.numpy(), 2, axis=1)
    np.testing.assert_allclose(build("activations", name)(x).numpy(), reference(values, gates), rtol=1e-12)


@pytest.mark.parametrize("pieces", [2, 3, 6])
@pytest.mark.parametrize("shape", [(4, 12), (4, 12, 5), (4, 12, 2, 3)])
def test_maxout_takes_the_largest_of_each_group(
    pieces: int, shape: tuple[int, ...], normal: Callable[..., Tensor]
) -> None:
    x = normal(*shape)
    expected = [x[:, i : i + pieces].max(1).values for i in range(0, 12, pieces)]
    torch.testing.assert_close(
        build("activations", {"name": "maxout", "pieces": pieces})(x), torch.stack(expected, 1), rtol=0, atol=0
    )


def test_gradients_are_those_of_the_formula(name: str, normal: Callable[..., Tensor]) -> None:
    """Of the input and of every parameter; double precision, away from kinks."""
    activation = build("activations", name).double()
    x = (2 * normal(3, 4, dtype=torch.float64)).requires_grad_()
    parameters = [p for _, p in activation.named_parameters()]
    for p in parameters:  # off the start, where gradients may vanish (pelu: log 1 = 0)
        p.data += 0.05

    def apply(x: Tensor, *_: Tensor) -> Tensor:
        result: Tensor = activation(x)
        return result

    assert torch.autograd.gradcheck(apply, (x, *parameters))


@pytest.mark.parametrize(
    ("name", "slope"), [("pelu", 1.0), ("telu", np.tanh(1)), ("elish", 0.5), ("xielu", 0.5), ("squared_relu", 0.0)]
)
def test_slope_where_two_pieces_meet(name: str, slope: float) -> None:
    x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    build("activations", name).double()(x).backward()
    assert x.grad is not None
    assert x.grad.item() == pytest.approx(slope)


@pytest.mark.parametrize(
    ("name", "slope"), [("glu", 0.25), ("reglu", 0), ("geglu", 0.5), ("swiglu", 0.5), ("bilinear", 1)]
)
def test_a_gate_at_0_still_learns(name: str, slope: float) -> None:
    x = torch.tensor([[3.0, 0.0]], requires_grad=True)
    build("activations", name)(x).backward()
    assert x.grad is not None
    assert x.grad[0, 1].item() == pytest.approx(3 * slope)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"name": "srelu", "a_left": 0.0}, {"a_left": -2.0}),
        ({"name": "acon", "p1": 0.0}, {"p1": -1.0, "p2": -1.0}),
        ({"name": "aptx", "gamma": 0.0, "learnable": True}, {"gamma": -2 * (1 + np.tanh(-2))}),
        ({"name": "star_relu", "scale": 0.0}, {"bias": 1.0}),
        ({"name": "snake", "alpha": 1e-3}, {"alpha": 4.0}),
    ],
)
def test_parameters_that_start_at_0_still_learn(spec: dict[str, Any], expected: dict[str, float]) -> None:
    """The derivative at x = -2."""
    activation = build("activations", spec).double()
    activation(torch.tensor([-2.0], dtype=torch.float64)).backward()
    for name, gradient in expected.items():
        assert activation.get_parameter(name).grad.item() == pytest.approx(gradient, rel=1e-4), name


def test_equal_functions_are_equal(normal: Callable[..., Tensor]) -> None:
    """What the documentation says of special cases."""
    x = 4 * normal(1000)
    swish = build("activations", {"name": "swish", "beta": 2.0})
    torch.testing.assert_close(build("activations", "aptx")(x), swish(x), rtol=1e-5, atol=1e-6)
    aptx = build("activations", {"name": "aptx", "beta": 0.5})
    torch.testing.assert_close(aptx(x), torch.nn.functional.silu(x), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(build("activations", "acon")(x), torch.nn.functional.silu(x))
    torch.testing.assert_close(build("activations", "pelu")(x), torch.nn.functional.elu(x))


def test_star_relu_gives_normal_inputs_mean_0_and_variance_1() -> None:
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    y = build("activations", "star_relu").double()(torch.tensor(nodes)).detach().numpy()
    weights = weights / weights.sum()
    assert (weights * y).sum() == pytest.approx(0, abs=1e-2)
    assert (weights * y**2).sum() == pytest.approx(1, abs=1e-2)
