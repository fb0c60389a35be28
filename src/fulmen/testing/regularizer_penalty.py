"""Checks of a regularizer's weight and of the penalty that it adds."""

from __future__ import annotations

import torch
from torch import Tensor

from fulmen.core.errors import ConfigError
from fulmen.nn import Regularizer
from fulmen.testing.kit import CheckError, require
from fulmen.testing.regularizer_subject import RegularizerSubject, attached

_NO_PENALTY = "it has no penalty of parameters"


def is_regularizer(subject: RegularizerSubject) -> None:
    """It makes a :class:`fulmen.nn.Regularizer`, a new one each time."""
    made = subject.make()
    require(isinstance(made, Regularizer), f"it makes a {type(made).__name__}; derive it from fulmen.Regularizer")
    require(made is not subject.make(), "it gives the same object twice; two models would share its state")


def negative_weight_refused(subject: RegularizerSubject) -> str | None:
    """A weight below 0 is a ConfigError that begins with ``weight:``."""
    if "weight" not in subject.parameters:
        return "it has no `weight`"
    try:
        subject.make(weight=-1.0)
    except ConfigError as error:
        require(str(error).startswith("weight"), f"the message begins with the argument's name, `weight: ...`: {error}")
        return None
    raise CheckError("it takes weight -1; call super().__init__(weight), or raise ConfigError('weight: ...')")


def zero_weight(subject: RegularizerSubject) -> str | None:
    """With weight 0 a training goes as without it."""
    if "weight" not in subject.parameters:
        return "it has no `weight`"
    same = torch.allclose(subject.learned(subject.make(weight=0.0)), subject.plain, atol=1e-6)
    require(same, "with weight 0 training gives other weights than without it; multiply all that it does by the weight")
    return None


def penalty_finite(subject: RegularizerSubject) -> str | None:
    """The penalty of parameters is a finite scalar with a gradient, or ``None``."""
    module, made = subject.module(), subject.make()
    with attached(made, module):
        penalty = made.penalty(module)
    if penalty is None:
        return _NO_PENALTY
    require(isinstance(penalty, Tensor), f"penalty() gives a {type(penalty).__name__}; give a tensor, or None")
    require(penalty.ndim == 0, f"penalty() has the shape {tuple(penalty.shape)}; sum it up to a scalar")
    require(bool(penalty.isfinite()), f"penalty() is {penalty.item()}")
    require(penalty.requires_grad, "penalty() has no gradient; compute it from the parameters, without no_grad")
    return None


def penalty_gradient(subject: RegularizerSubject) -> str | None:
    """The penalty's gradient is that of finite differences along a random direction (float64)."""
    module, made = subject.module().double(), subject.make()
    with attached(made, module):
        parameters = list(module.parameters())
        start = [p.detach() + 0.01 * torch.randn_like(p) for p in parameters]
        direction = [torch.randn_like(p) for p in parameters]

        def value(step: float) -> Tensor | None:
            with torch.no_grad():
                for p, s, d in zip(parameters, start, direction, strict=True):
                    p.copy_(s + step * d)
            penalty: Tensor | None = made.penalty(module)
            return penalty

        for _ in range(200):  # one that iterates from step to step comes to rest
            value(0.0)
        above, below, penalty = value(1e-6), value(-1e-6), value(0.0)
        if penalty is None or above is None or below is None:
            return _NO_PENALTY
        gradients = torch.autograd.grad(penalty, parameters, allow_unused=True)
    exact = sum(float((g * d).sum()) for g, d in zip(gradients, direction, strict=True) if g is not None)
    measured = float(above.detach() - below.detach()) / 2e-6
    near = abs(exact - measured) <= 1e-3 * (abs(exact) + abs(measured)) + 1e-8 * abs(float(penalty.detach()))
    require(near, f"along a direction its gradient is {exact:.6g}, but differences give {measured:.6g}; no detach?")
    return None


def penalty_pure(subject: RegularizerSubject) -> str | None:
    """Computing the penalty changes neither parameters nor buffers nor gradients."""
    module, made = subject.module(), subject.make()
    with attached(made, module):
        before = {name: value.clone() for name, value in module.state_dict().items()}
        if made.penalty(module) is None:
            return _NO_PENALTY
    changed = [name for name, value in module.state_dict().items() if not torch.equal(value, before[name])]
    require(not changed, f"penalty() changes {', '.join(changed)}; change parameters in after_step()")
    graded = [name for name, p in module.named_parameters() if p.grad is not None]
    require(not graded, f"penalty() leaves a gradient on {', '.join(graded)}; return the penalty, call no backward()")
    return None


def nothing_selected(subject: RegularizerSubject) -> None:
    """A model in which nothing is trained has no penalty, or a finite one: no error of an empty list."""
    module, made = subject.module(), subject.make()
    module.requires_grad_(False)
    try:
        with attached(made, module):
            penalty = made.penalty(module)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise CheckError(f"without trainable parameters it fails: {error}; give None where there are none") from error
    require(penalty is None or bool(penalty.isfinite()), f"without trainable parameters the penalty is {penalty}")
