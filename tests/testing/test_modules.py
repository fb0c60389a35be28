"""The checks of modules: good ones pass, and each check fails on one that is broken in exactly this way."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fulmen import CNNModule, MLPModule, SupervisedModule
from fulmen.core.errors import ConfigError
from fulmen.testing import check_module
from fulmen.testing.module_subject import Module
from fulmen.testing.modules import CHECKS

test_mlp = check_module(MLPModule, options={"hidden_features": [8]}, input_shape=[5])
test_cnn = check_module("fulmen.modules.cnn.CNNModule", options={"channels": [4]}, tasks=["multiclass"])
_CNN = CNNModule


class Base(SupervisedModule):
    """A linear model that the others break."""

    def build_network(self) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, self.num_outputs))


test_linear = check_module(Base)


def broken(forward: Callable[[Any, Tensor], Tensor]) -> type[Base]:
    """A class of what it computes."""
    return type("Broken", (Base,), {"forward": forward})


def linear(self: Base, x: Tensor) -> Tensor:
    return self.network(x)


class NoNetwork(SupervisedModule):
    """Builds nothing."""


class Infinite(Base):
    def compute_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return super().compute_loss(logits, targets) / 0


class Unreduced(Base):
    def compute_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return logits.square()


class Ascending(Base):
    def training_loss(self, batch: Any) -> Any:
        loss, logits, penalty = super().training_loss(batch)
        return -loss, logits, penalty


class Unused(Base):
    def build_network(self) -> nn.Module:
        network = super().build_network()
        network[1].spare = nn.Parameter(torch.ones(1))
        return network


class StartsAnyhow(Base):
    def build_network(self) -> nn.Module:
        network = super().build_network()
        nn.init.constant_(network[1].bias, int.from_bytes(os.urandom(2)) / 1000)
        return network


class TrainsAnyhow(Base):
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return super().training_step(batch, batch_idx) * int.from_bytes(os.urandom(2)) / 1000


class Overflowing(Base):
    def compute_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return super().compute_loss(logits, targets) / (logits.dtype != torch.bfloat16)


class Mapped(Base):
    def step(self, batch: Any, stage: Any) -> Any:
        return super().step(batch.inputs, stage)


class Mute(Base):
    def on_test_epoch_end(self) -> None:
        self.meter("test").reset()


class Unnamed(Base):
    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        return {"prediction": self(batch.inputs)}


class Undecoded(Base):
    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        return {"index": batch.index}


class Losing(Base):
    """Forgets an option.

    Args:
        width: Never read.
    """

    def __init__(self, width: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        del self.hparams["width"]


class Holding(Base):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hparams["layer"] = nn.ReLU()


class Counting(Base):
    steps = 0

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.steps += 1
        return super().training_step(batch, batch_idx)

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x) + self.steps


class Stubborn(Base):
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        raise RuntimeError("not this one")


class Drawing(Base):
    def build_network(self) -> nn.Module:
        random.random()
        return super().build_network()


class Sticky(Base):
    def __deepcopy__(self, memo: Any) -> Sticky:
        return self


class Lambda(Base):
    def build_network(self) -> nn.Module:
        network = super().build_network()
        network.function = lambda x: x
        return network


CASES: list[tuple[str, Any, dict[str, Any], str]] = [
    ("builds", nn.Linear, {}, "no subclass of fulmen.SupervisedModule"),
    ("builds", NoNetwork, {}, "it cannot be made: NoNetwork has to override"),
    ("output_shape", broken(lambda self, x: linear(self, x).mean(1)), {}, r"the output is \(1,\)"),
    ("loss_finite", Infinite, {}, "compute_loss gives inf"),
    ("loss_finite", Unreduced, {}, "compute_loss gives tensor"),
    ("learns", Ascending, {}, "has to go down"),
    ("gradients_reach", Unused, {}, "no gradient reaches network.1.spare"),
    ("gradients_reach", broken(lambda self, x: (0 * linear(self, x)).sqrt()), {}, "is not finite"),
    ("same_seed", StartsAnyhow, {}, "different weights"),
    ("same_seed", TrainsAnyhow, {}, "two trainings"),
    ("evaluation_repeats", broken(lambda self, x: nn.functional.dropout(linear(self, x))), {}, "each time"),
    ("samples_independent", broken(lambda self, x: linear(self, x) - linear(self, x).mean(0)), {}, "alone gives"),
    ("autocast", Overflowing, {}, "bfloat16 autocast the loss is inf"),
    ("plain_trainer", Mapped, {}, "a plain Trainer"),
    ("plain_trainer", Mute, {}, "test/loss is not logged"),
    ("predicts", Unnamed, {}, "predictions name the samples"),
    ("predicts", Undecoded, {}, "0 predictions of 24"),
    ("hyperparameters_primitive", Holding, {}, "layer are objects"),
    ("hyperparameters_primitive", Losing, {"width": 2}, "width are not in hparams"),
    ("checkpoint", Counting, {}, "gives other outputs"),
    ("checkpoint", Stubborn, {}, "load_from_checkpoint fails: not this one"),
    ("no_global_state", Drawing, {}, "making it changes Python's random"),
    ("no_global_state", broken(lambda self, x: nn.functional.dropout(linear(self, x))), {}, "calling it"),
    ("deepcopy", Sticky, {}, "shares network.1.weight"),
    ("pickle", Lambda, {}, "cannot be pickled"),
]


@pytest.mark.parametrize(("name", "component", "options", "message"), CASES)
def test_a_broken_module_fails(
    fails: Callable[..., None], name: str, component: Any, options: dict[str, Any], message: str
) -> None:
    fails(CHECKS[name], Module("module", component, options), message)


def test_every_check_has_a_broken_module(covers: Callable[..., None]) -> None:
    covers("module", CASES)


@pytest.mark.parametrize(("tasks", "message"), [([], "name one"), (["multiclas"], "did you mean 'multiclass'")])
def test_tasks_are_checked(tasks: list[Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_module(MLPModule, tasks=tasks)
