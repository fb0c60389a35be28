"""The rational function: what it starts as, and what far inputs count as."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from fulmen.core.errors import ConfigError
from fulmen.core.spec import build
from fulmen_activations.functional import rational
from fulmen_activations.rational import Rational

# How far the function that a start is named after is missed on [-5, 5]; the class says the same.
ERRORS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "relu": (F.relu, 0.057),
    "leaky_relu": (F.leaky_relu, 0.057),
    "gelu": (F.gelu, 0.004),
    "silu": (F.silu, 0.0006),
    "tanh": (torch.tanh, 0.0001),
}


@pytest.mark.parametrize("start", ERRORS)
def test_starts_as_what_it_is_called(start: str) -> None:
    function, error = ERRORS[start]
    x = torch.linspace(-5, 5, 1001, dtype=torch.float64)
    missed = (build("activations", {"name": "rational", "start": start}).double()(x) - function(x)).abs().max().item()
    assert 0.8 * error < missed < 1.05 * error


def test_unknown_start() -> None:
    with pytest.raises(ConfigError, match=r"start: unknown start 'sillu'; did you mean 'silu'\?"):
        Rational("sillu")  # type: ignore[arg-type]


def test_is_the_quotient_of_the_polynomials() -> None:
    rng = np.random.default_rng(0)
    x = np.linspace(-20, 20, 401)
    for _ in range(20):
        a, b = rng.normal(size=6), rng.normal(size=4)
        expected = np.polyval(a[::-1], x) / (1 + np.abs(np.polyval([*b[::-1], 0], x)))
        found = rational(torch.tensor(x), torch.tensor(a), torch.tensor(b)).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_inputs_are_bounded_by_a_million(dtype: torch.dtype) -> None:
    activation = build("activations", {"name": "rational", "start": "gelu"}).to(dtype)
    y = activation(torch.tensor([1e6, 1e7, torch.inf, -1e6, -1e7, -torch.inf], dtype=dtype)).tolist()
    assert y == [y[0]] * 3 + [y[3]] * 3
    a, b = (p.tolist() for p in activation.parameters())
    assert y[0] == pytest.approx(a[5] / b[3] * 1e6, rel=1e-4)  # the asymptote
    assert y[3] == pytest.approx(-a[5] / b[3] * 1e6, rel=1e-4)
