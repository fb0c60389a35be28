"""Checks of what an activation computes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.autograd.gradcheck import GradcheckError, gradcheck
from torch.func import functional_call

from fulmen.testing.activation_subject import EDGES, FEATURES, Activation
from fulmen.testing.kit import CheckError, require


def makes_module(activation: Activation) -> None:
    """It makes an nn.Module, a new one each time."""
    made = activation.make()
    require(isinstance(made, nn.Module), f"it makes a {type(made).__name__}; an activation is a torch.nn.Module")
    require(made is not activation.make(), "it gives the same module twice; layers would share it")


def shapes(activation: Activation) -> None:
    """Vectors, signals and images keep their shape, but for dimension 1 of a gated activation."""
    module = activation.make()
    for shape in ((), (7,), (4, 3)):
        x = activation.sample(*shape)
        expected = (len(x), FEATURES, *shape)
        given, got = tuple(x.shape), tuple(module(x).shape)
        require(got == expected, f"{given} becomes {got}, not {expected}; see `divides` for gated activations")


def empty_batch(activation: Activation) -> None:
    """A batch without samples passes through, as on a process that has run out of data."""
    got = tuple(activation.make()(activation.sample()[:0]).shape)
    require(got == (0, FEATURES), f"(0, {activation.features}) becomes {got}")


def dtypes(activation: Activation) -> None:
    """float16, bfloat16, float32 and float64 come out as they went in, with a gradient."""
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        x = activation.sample().to(dtype).requires_grad_()
        y = activation.make().to(dtype)(x)
        require(y.dtype == dtype, f"{dtype} becomes {y.dtype}; compute in the type of the input, or cast back to it")
        require(bool(y.isfinite().all()), f"{dtype}: the output is not finite for inputs around 0")
        y.float().sum().backward()
        finite = x.grad is not None and bool(x.grad.isfinite().all())
        require(finite, f"{dtype}: the gradient is not finite")


def memory_formats(activation: Activation) -> None:
    """Values do not depend on how a tensor lies in memory (channels last, transposed)."""
    module, x = activation.evaluating(), activation.sample(4, 3)
    expected = module(x)
    for name, same in (
        ("channels last", x.contiguous(memory_format=torch.channels_last)),
        ("transposed", x.transpose(2, 3).contiguous().transpose(2, 3)),
    ):
        require(
            torch.allclose(module(same), expected, rtol=1e-4, atol=1e-5),
            f"{name} inputs give other values; avoid `view`",
        )


def gradients_finite(activation: Activation) -> None:
    """The gradient is finite at 0, at bends and for inputs up to 10,000: one NaN would end a training."""
    values = torch.cat([torch.tensor(EDGES), torch.linspace(-8, 8, 200)])
    module, x = activation.make(), activation.mixed(values).requires_grad_()
    y = module(x)
    require(bool(y.isfinite().all()), f"the output is not finite for {_where(x, ~y.isfinite())}")
    y.sum().backward()
    gradient = x.grad
    require(gradient is not None, "no gradient reaches the input; compute with torch, without `detach` or `.data`")
    assert gradient is not None
    require(bool(gradient.isfinite().all()), f"the gradient is not finite for inputs {_at(x, ~gradient.isfinite())}")
    for name, parameter in module.named_parameters():
        good = parameter.grad is not None and bool(parameter.grad.isfinite().all())
        require(good, f"the gradient of {name} is {'missing' if parameter.grad is None else 'not finite'}")


def gradients_match(activation: Activation) -> None:
    """Gradients by the inputs and the parameters are those of finite differences (float64)."""
    module = activation.evaluating().double()
    x = activation.sample().double().requires_grad_()
    parameters = dict(module.named_parameters())

    def call(x: Tensor, *values: Tensor) -> Tensor:
        return functional_call(module, dict(zip(parameters, values, strict=True)), (x,))  # type: ignore[no-any-return]

    try:
        gradcheck(call, (x, *parameters.values()), atol=1e-4)
    except GradcheckError as error:
        raise CheckError(f"its gradient is not that of its output; correct `backward`.\n{error}") from error


def extreme_inputs(activation: Activation) -> None:
    """The largest and smallest numbers of a type give no NaN."""
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        top = torch.finfo(dtype)
        values = torch.tensor([top.max, -top.max, top.max / 4, -top.max / 4, top.tiny, -top.tiny, 0.0], dtype=dtype)
        _no_nan(activation, values, dtype)


def infinite_inputs(activation: Activation) -> None:
    """Infinite inputs give the limit, not NaN: ``inf * 0`` hides in many formulas (``x * sigmoid(x)``)."""
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        _no_nan(activation, torch.tensor([math.inf, -math.inf, 1.0, -1.0], dtype=dtype), dtype)


def _no_nan(activation: Activation, values: Tensor, dtype: torch.dtype) -> None:
    x = activation.mixed(values)
    y = activation.evaluating().to(dtype)(x)
    require(
        not y.isnan().any(), f"{dtype}: NaN comes out for {_where(x, y.isnan())}; clamp before exp, mask before `*`"
    )


def autocast(activation: Activation) -> None:
    """It works between layers in mixed precision, with values near those of float32."""
    layers = nn.Sequential(nn.Linear(8, activation.features), activation.evaluating(), nn.Linear(FEATURES, 2))
    x = torch.randn(16, 8)
    expected = layers(x)
    with torch.autocast("cpu", torch.bfloat16):
        y = layers(x)
    error = float((y.float() - expected).detach().abs().max())
    require(error < 0.1, f"under bfloat16 autocast the output is off by {error:.3g}; cast to float32 inside")
    y.float().sum().backward()
    finite = all(p.grad is None or bool(p.grad.isfinite().all()) for p in layers.parameters())
    require(finite, "gradients under bfloat16 autocast are not finite")


def evaluation_like_training(activation: Activation) -> None:
    """Training and evaluation compute the same; a stochastic one draws in training alone."""
    module, x = activation.make(), activation.sample()
    trained, again = module.train()(x), module(x)
    evaluated = module.eval()(x)
    require(torch.equal(evaluated, module(x)), "evaluation gives another output each time; draw only if self.training")
    if activation.stochastic:
        require(not torch.equal(trained, again), "stochastic=True, but training gives the same output twice")
    else:
        same = torch.allclose(trained, evaluated, equal_nan=True)
        require(same, "training and evaluation differ; give stochastic=True if that is meant")


def samples_independent(activation: Activation) -> None:
    """A sample's output does not depend on the others of its batch."""
    module, x = activation.evaluating(), activation.sample(4, 3)
    together = module(x)
    for i in range(len(x)):
        same = torch.allclose(module(x[i : i + 1])[0], together[i], rtol=1e-4, atol=1e-5)
        require(same, f"sample {i} alone gives another output than in its batch; do not reduce over dimension 0")


def input_unchanged(activation: Activation) -> None:
    """The input stays as it is: a residual connection or another layer may still need it."""
    module, x = activation.make(), activation.sample()
    kept = x.clone()
    module(x)
    require(torch.equal(x, kept), "it changes its input; work on a copy, or make `inplace` an option that is off")


def _at(x: Tensor, bad: Tensor) -> str:
    return ", ".join(f"{value:g}" for value in sorted(set(x.detach()[bad].tolist()))[:5])


def _where(x: Tensor, bad: Tensor) -> str:
    """The inputs of bad outputs: numbers, or the first whole row where an output has several inputs."""
    return _at(x, bad) if x.shape == bad.shape else f"rows such as {x.detach()[bad.any(1)][:1].tolist()}"
