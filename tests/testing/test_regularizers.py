"""The checks of regularizers: good ones pass, and each check fails on one that is broken in exactly this way."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fulmen.nn import L2, Regularizer
from fulmen.testing import check_regularizer
from fulmen.testing.regularizer_subject import RegularizerSubject
from fulmen.testing.regularizers import CHECKS

test_l1 = check_regularizer("l1", options={"weight": 0.01, "proximal": True})
test_l2 = check_regularizer(L2, options={"weight": 0.01})


class Momentum(Regularizer):
    """Pulls weights towards their running mean, which a checkpoint has to hold.

    Args:
        weight: Strength, >= 0.
        parameters: What it acts on.
    """

    mean: Tensor | None = None

    @torch.no_grad()
    def after_step(self, module: nn.Module, rates: Any) -> None:
        now = torch.cat([p.flatten() for p in self.select(module)])
        self.mean = now.clone() if self.mean is None else 0.5 * (self.mean + now)
        rest = self.mean
        for p in self.select(module):
            p.lerp_(rest[: p.numel()].view_as(p), self.weight)
            rest = rest[p.numel() :]

    def state_dict(self) -> dict[str, Any]:
        return {} if self.mean is None else {"mean": self.mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.mean = state.get("mean")


class Outputs(Regularizer):
    """Penalizes large outputs of training batches.

    Args:
        weight: Strength, >= 0.
        parameters: Not read.
    """

    def batch_penalty(self, module: Any, batch: Any, logits: Tensor) -> Tensor:
        return self.weight * logits.square().mean()


test_with_state = check_regularizer(Momentum, options={"weight": 0.1})
test_of_batches = check_regularizer(Outputs, options={"weight": 0.1})


class Base(Regularizer):
    """A broken regularizer."""

    def __init__(self, weight: float = 0.1) -> None:
        super().__init__(weight)


def after(act: Callable[[Any, nn.Module], Any]) -> type[Base]:
    """One that acts after each step."""
    return type("Broken", (Base,), {"after_step": torch.no_grad()(lambda self, module, rates: act(self, module))})


def adding(penalty: Callable[[Any, nn.Module], Any]) -> type[Base]:
    """One with a penalty."""
    return type("Broken", (Base,), {"penalty": lambda self, module: penalty(self, module)})


def hooked(hook: Callable[..., Any], kept: bool = True, training: bool = False) -> type[Base]:
    """One with a hook on the network, which is removed in the end or is not."""

    def attach(self: Base, module: Any) -> list[Any]:
        def run(layer: nn.Module, inputs: Any, output: Tensor) -> Any:
            return hook(layer, output) if layer.training or not training else None

        handle = module.network.register_forward_hook(run)
        return [handle] if kept else []

    return type("Broken", (Base,), {"attach": attach})


class AnyWeight(Regularizer):
    def __init__(self, weight: float) -> None:
        self.weight, self.parameters = weight, "weights"


class Ticking(Base):
    steps = 0

    @torch.no_grad()
    def after_step(self, module: nn.Module, rates: Any) -> None:
        self.steps += 1
        for p in self.select(module):
            p.mul_(1 - 0.01 * self.steps)


class Unsafe(Ticking):
    def state_dict(self) -> dict[str, Any]:
        return {"path": Path()}


class Deaf(Ticking):
    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps}


class Fading(L2):
    def __init__(self, weight: float = 0.1) -> None:
        super().__init__(weight)

    def __deepcopy__(self, memo: Any) -> Fading:
        return Fading(0.0)


class Lambda(Base):
    def __init__(self) -> None:
        super().__init__()
        self.function = lambda: 1


def select_sum(self: Any, module: nn.Module) -> Tensor:
    return torch.stack([p.square().sum() for p in self.select(module)]).sum()


def frozen(self: Any, module: nn.Module) -> None:
    for p in module.parameters():
        p.mul_(0.9)


def shrink(self: Any, module: nn.Module) -> Tensor:
    for p in module.parameters():
        p.data.mul_(0.9)
    return select_sum(self, module)


def backward(self: Any, module: nn.Module) -> Tensor:
    select_sum(self, module).backward()
    return select_sum(self, module)


def to_half(self: Any, module: nn.Module) -> None:
    module.network.hidden.to(torch.bfloat16)


def random_shift(self: Any, module: nn.Module) -> None:
    for p in self.select(module):
        p.add_(int.from_bytes(os.urandom(2)) * 1e-6)


def by_forward(layer: nn.Module, output: Tensor) -> None:
    with torch.no_grad():
        for p in layer.parameters():
            p.data.mul_(0.99)


def doubled(layer: nn.Module, output: Tensor) -> Tensor:
    return 2 * output


class Summed(Base):
    """Forgets to divide by the number of samples."""

    def batch_penalty(self, module: Any, batch: Any, logits: Tensor) -> Tensor:
        return self.weight * logits.square().sum()


one_l2 = L2(0.1)

CASES: list[tuple[Any, ...]] = [
    ("is_regularizer", nn.ReLU, "makes a ReLU"),
    ("is_regularizer", lambda: one_l2, "the same object twice"),
    ("negative_weight_refused", AnyWeight, "takes weight -1"),
    ("zero_weight", adding(select_sum), "with weight 0"),
    ("penalty_finite", adding(lambda self, m: next(m.parameters()).abs()), "has the shape"),
    ("penalty_finite", adding(lambda self, m: 0.1), "gives a float"),
    ("penalty_finite", adding(lambda self, m: select_sum(self, m) / 0), "is inf"),
    ("penalty_finite", adding(lambda self, m: select_sum(self, m).detach()), "no gradient"),
    ("penalty_gradient", adding(lambda self, m: sum((p.detach() * p).sum() for p in self.select(m))), "no detach"),
    ("penalty_pure", adding(shrink), "changes network"),
    ("penalty_pure", adding(backward), "leaves a gradient"),
    ("nothing_selected", adding(select_sum), "without trainable parameters it fails"),
    ("nothing_selected", adding(lambda self, m: torch.tensor(float("nan"))), "the penalty is nan"),
    ("trains_mlp", adding(lambda self, m: select_sum(self, m) * torch.tensor(float("nan"))), "NaN or infinite"),
    ("trains_cnn", adding(lambda self, m: sum(p.t().sum() for p in self.select(m))), "dimension", RuntimeError),
    ("same_seed", after(random_shift), "with the same seed differ"),
    ("frozen_untouched", after(frozen), "changes frozen network.hidden.0"),
    ("accumulation", hooked(by_forward), "act once a step"),
    ("accumulation", after(lambda self, m: [p.div_(0) for p in m.parameters()]), "are not finite"),
    ("mean_over_samples", Summed, "divide by the number of samples"),
    ("bfloat16", after(to_half), "no longer float32"),
    ("resume", Ticking, "away from one without a break"),
    ("state_dict", Unsafe, "refused by safe loading"),
    ("state_dict", Deaf, "does not take over"),
    ("checkpoint", hooked(doubled, kept=False), "another output"),
    ("hooks_removed", hooked(doubled, kept=False), "after the training"),
    ("validation_unaffected", hooked(doubled), "act if module.training"),
    ("no_global_state", after(lambda self, m: torch.rand(1)), "torch's random numbers"),
    ("deepcopy", Fading, "training with a deep copy"),
    ("pickle", Lambda, "cannot be pickled"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_a_broken_regularizer_fails(
    fails: Callable[..., None], monkeypatch: pytest.MonkeyPatch, case: tuple[Any, ...]
) -> None:
    name, component, message, *error = case
    if name == "checkpoint":  # a checkpoint names it, so it has to have a place
        component.__module__, component.__qualname__ = __name__, "Placed"
        monkeypatch.setitem(globals(), "Placed", component)
    fails(CHECKS[name], RegularizerSubject("regularizer", component), message, *error)


def test_every_check_has_a_broken_regularizer(covers: Callable[..., None]) -> None:
    covers("regularizer", CASES)
