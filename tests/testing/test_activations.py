"""The checks of activations: good ones pass, and each check fails on one that is broken in exactly this way."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fulmen.core.errors import ConfigError
from fulmen.testing import check_activation
from fulmen.testing.activation_subject import Activation
from fulmen.testing.activations import CHECKS

_TORCH = "torch documents and annotates device, dtype and inplace elsewhere"
test_relu = check_activation("relu")
test_prelu = check_activation(
    nn.PReLU, expected_failures=dict.fromkeys(["options_documented", "options_annotated"], _TORCH)
)


class Halves(nn.GLU):
    """Gates of dimension 1."""

    def __init__(self) -> None:
        super().__init__(dim=1)

    def forward(self, x: Tensor) -> Tensor:
        values, gates = x.chunk(2, 1)
        return values.masked_fill(gates.sigmoid() == 0, 0) * gates.sigmoid()


class Noisy(nn.Module):
    """Multiplies with noise in training."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (1 + 0.1 * torch.rand_like(x)) if self.training else x


test_gated = check_activation(Halves, divides=2)
test_stochastic = check_activation(Noisy, stochastic=True)


class Base(nn.Module):
    """A broken activation with a slope."""

    shared = nn.Parameter(torch.ones(1))

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.slope * x


class Rounding(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.square()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class Idle(Base):
    def forward(self, x: Tensor) -> Tensor:
        return x.relu()


class Overwriting(Base):
    def forward(self, x: Tensor) -> Tensor:
        return x.relu_()


class DrawingAtStart(Base):
    def __init__(self) -> None:
        super().__init__()
        self.start = random.random()


class Sticky(Base):
    def __deepcopy__(self, memo: Any) -> Sticky:
        return self


class Forgetful(Base):
    def __init__(self) -> None:
        super().__init__()
        self.factor = torch.rand(1).item()

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


class Lambda(Base):
    def __init__(self) -> None:
        super().__init__()
        self.function = lambda x: x


class Unsafe(Base):
    def get_extra_state(self) -> Any:
        return Path()

    def set_extra_state(self, state: Any) -> None:
        pass


class Sharing(Base):
    def __init__(self) -> None:
        super().__init__()
        self.slope = Base.shared


class Decaying(Base):
    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.ones(1, 1))


class LeftBehind(Base):
    def __init__(self) -> None:
        super().__init__()
        self.offset = torch.ones(1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.offset


class Turning(Base):
    def forward(self, x: Tensor) -> Tensor:
        return x if self.training else -5 * x


class Counting(Base):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        return x * (1 + self.calls)


def broken(forward: Callable[[Tensor], Tensor]) -> type[nn.Module]:
    """A class of a formula."""
    return type("Broken", (nn.Module,), {"forward": lambda self, x: forward(x)})


def scrambled(x: Tensor) -> Tensor:
    return x.as_strided(x.shape, x.contiguous().stride())


def breaking(x: Tensor) -> Tensor:
    torch._dynamo.graph_break()
    return x.relu()


one_relu = nn.ReLU()

CASES = [
    ("makes_module", lambda: [1.0], "makes a list"),
    ("makes_module", lambda: one_relu, "the same module twice"),
    ("shapes", broken(lambda x: x.flatten(1)), r"becomes \(5, 84\)"),
    ("shapes", Halves, "see `divides`"),
    ("empty_batch", broken(lambda x: torch.cat([x, x.new_ones(1, x.shape[1])])), r"becomes \(1, 12\)"),
    ("dtypes", broken(lambda x: x.float().relu()), "float16 becomes torch.float32"),
    ("memory_formats", broken(scrambled), "channels last"),
    ("gradients_finite", broken(lambda x: x.abs().sqrt()), "gradient is not finite for inputs"),
    ("gradients_finite", broken(lambda x: x.exp()), "output is not finite"),
    ("gradients_finite", Idle, "gradient of slope is missing"),
    ("gradients_match", broken(Rounding.apply), "correct `backward`"),
    ("extreme_inputs", broken(lambda x: x.exp() / (1 + x.exp())), "NaN comes out"),
    ("infinite_inputs", broken(lambda x: x * x.sigmoid()), "NaN comes out for -inf"),
    ("autocast", broken(lambda x: x + 300 - 300), "off by"),
    ("evaluation_like_training", broken(F.dropout), "another output each time"),
    ("evaluation_like_training", Noisy, "training and evaluation differ"),
    ("samples_independent", broken(lambda x: x - x.mean(0)), "alone gives another output"),
    ("input_unchanged", Overwriting, "changes its input"),
    ("no_global_state", DrawingAtStart, "making it changes Python's random"),
    ("no_global_state", broken(F.dropout), "calling it in evaluation changes torch's random"),
    ("deepcopy", Sticky, "shares slope"),
    ("pickle", Lambda, "cannot be pickled"),
    ("state_dict", Forgetful, "another output"),
    ("state_dict", Unsafe, "refused by safe loading"),
    ("own_parameters", Sharing, "share slope"),
    ("no_weight_decay", Decaying, r"slope \(1, 1\) would decay"),
    ("devices", LeftBehind, "left behind"),
    ("compiles", broken(breaking), "fullgraph=True"),
    ("onnx", broken(torch.special.bessel_j0), "export to ONNX fails"),
    ("trains", Turning, "has to go down"),
    ("checkpoint", Counting, "another output"),
]


@pytest.mark.parametrize(("name", "component", "message"), CASES)
def test_a_broken_activation_fails(fails: Callable[..., None], name: str, component: Any, message: str) -> None:
    fails(CHECKS[name], Activation("activation", component), message)


def test_stochastic_ones_have_to_draw(fails: Callable[..., None]) -> None:
    subject = Activation("activation", "relu", stochastic=True)
    fails(CHECKS["evaluation_like_training"], subject, "the same output twice")


def test_every_check_has_a_broken_activation(covers: Callable[..., None]) -> None:
    covers("activation", CASES)


def test_divides_is_checked() -> None:
    with pytest.raises(ConfigError, match="divides: 0 is out of range"):
        check_activation("relu", divides=0)
