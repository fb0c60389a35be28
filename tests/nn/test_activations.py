"""Every built-in activation."""

import pytest
import torch
from torch import nn

from fulmen.core.registry import registry
from fulmen.core.spec import build

NAMES = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky_relu": nn.LeakyReLU,
    "prelu": nn.PReLU,
    "rrelu": nn.RReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "celu": nn.CELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "hardswish": nn.Hardswish,
    "sigmoid": nn.Sigmoid,
    "logsigmoid": nn.LogSigmoid,
    "hardsigmoid": nn.Hardsigmoid,
    "tanh": nn.Tanh,
    "hardtanh": nn.Hardtanh,
    "tanhshrink": nn.Tanhshrink,
    "softplus": nn.Softplus,
    "softsign": nn.Softsign,
    "softshrink": nn.Softshrink,
    "hardshrink": nn.Hardshrink,
    "identity": nn.Identity,
}


def test_these_are_all() -> None:
    assert {c.name for c in registry().components("activations") if c.distribution == "fulmen"} == set(NAMES)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_is_torchs_own_class(name: str) -> None:
    assert type(build("activations", name)) is NAMES[name]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", sorted(NAMES))
def test_keeps_shape_and_type(name: str, dtype: torch.dtype) -> None:
    activation = build("activations", name).to(dtype)
    for shape in ((4, 6), (2, 3, 5), (2, 3, 4, 4)):
        y = activation(torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype))
        assert y.shape == shape
        assert y.dtype == dtype
        assert torch.isfinite(y).all()


def test_options_reach_it() -> None:
    assert build("activations", {"name": "leaky_relu", "negative_slope": 0.3}).negative_slope == 0.3
    assert build("activations", {"name": "gelu", "approximate": "tanh"}).approximate == "tanh"
