"""Learning-rate factors against closed form and torch's own schedulers."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, LinearLR, LRScheduler, OneCycleLR, StepLR

from fulmen.core.errors import ConfigError
from fulmen.core.registry import registry
from fulmen.nn import schedules


def optimizer(kind: Any = SGD, **options: Any) -> Optimizer:
    made: Optimizer = kind([nn.Parameter(torch.zeros(1))], lr=0.1, **options)
    return made


def rates(make: Callable[[Optimizer], LRScheduler], steps: int, every: int = 1) -> list[float]:
    """The rate of each step; the schedule is stepped after every ``every``-th."""
    opt = optimizer()
    schedule, found = make(opt), []
    for step in range(steps):
        found.append(opt.param_groups[0]["lr"])
        opt.step()
        if (step + 1) % every == 0:
            schedule.step()
    return found


def test_these_are_all() -> None:
    names = {"constant", "step", "exponential", "linear", "cosine", "one_cycle", "plateau"}
    assert {c.name for c in registry().components("schedules") if c.distribution == "fulmen"} == names


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 60), st.floats(0, 0.5))
def test_cosine_is_torchs(total: int, least: float) -> None:
    ours = rates(lambda o: schedules.cosine(o, total, 10, min_factor=least), total)
    theirs = rates(lambda o: CosineAnnealingLR(o, total, eta_min=0.1 * least), total)
    assert ours == pytest.approx(theirs, abs=1e-9)


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 60), st.floats(0.01, 0.9))
def test_linear_is_torchs(total: int, least: float) -> None:
    ours = rates(lambda o: schedules.linear(o, total, 10, min_factor=least), total)
    theirs = rates(lambda o: LinearLR(o, 1.0, least, total), total)
    assert ours == pytest.approx(theirs)


def test_step_and_exponential_are_torchs_by_epoch() -> None:
    ours = rates(lambda o: schedules.step(o, 7, step_size=3, gamma=0.5), 70)
    assert ours == pytest.approx(rates(lambda o: StepLR(o, 3, 0.5), 70, every=7))
    ours = rates(lambda o: schedules.exponential(o, 7, gamma=0.9), 70)
    assert ours == pytest.approx(rates(lambda o: ExponentialLR(o, 0.9), 70, every=7))


def test_constant() -> None:
    assert rates(lambda o: schedules.constant(o, 5), 20) == [0.1] * 20


@pytest.mark.parametrize("name", ["constant", "step", "exponential", "linear", "cosine"])
def test_warm_up_rises_in_a_straight_line_to_the_schedule(name: str) -> None:
    length = {"total_steps": 100} if name in ("linear", "cosine") else {}
    found = rates(lambda o: getattr(schedules, name)(o, steps_per_epoch=20, warmup_epochs=0.5, **length), 11)
    assert found[:10] == pytest.approx([0.1 * (i + 1) / 10 for i in range(10)])
    assert found[10] == pytest.approx(0.1)


def test_schedule_after_warm_up_ends_at_the_end() -> None:
    found = rates(lambda o: schedules.cosine(o, 50, 10, min_factor=0.1, warmup_epochs=1), 60)
    expected = [0.1 + 0.9 * (1 + math.cos(math.pi * t / 40)) / 2 for t in range(40)]
    assert found[10:50] == pytest.approx([0.1 * e for e in expected])
    assert found[50:] == pytest.approx([0.01] * 10)  # and stays there
    found = rates(lambda o: schedules.linear(o, 50, 10, warmup_epochs=1), 55)
    assert found[30] == pytest.approx(0.05)
    assert found[50:] == [0.0] * 5


def test_each_group_keeps_its_own_rate() -> None:
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (0.1, 0.4)]
    opt = SGD(groups)
    schedule = schedules.linear(opt, 4, 2)
    for _ in range(2):
        opt.step()
        schedule.step()
    assert [g["lr"] for g in opt.param_groups] == pytest.approx([0.05, 0.2])


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_length_errors(name: str) -> None:
    make = getattr(schedules, name)
    with pytest.raises(ConfigError, match="10 warm-up steps do not fit in 10 steps"):
        make(optimizer(), total_steps=10, steps_per_epoch=5, warmup_epochs=2)
    with pytest.raises(ConfigError, match=r"trainer\.max_epochs"):
        make(optimizer(), total_steps=math.inf, steps_per_epoch=5)
    with pytest.raises(ConfigError, match="warmup_epochs"):
        make(optimizer(), total_steps=10, steps_per_epoch=5, warmup_epochs=-1)


def test_one_cycle_needs_a_length() -> None:
    with pytest.raises(ConfigError, match=r"trainer\.max_epochs"):
        schedules.one_cycle(optimizer(), total_steps=math.inf)


def test_wrong_step_size_and_negative_warm_up() -> None:
    with pytest.raises(ConfigError, match="step_size: 0"):
        schedules.step(optimizer(), 5, step_size=0)
    with pytest.raises(ConfigError, match="warmup_epochs"):
        schedules.constant(optimizer(), 5, warmup_epochs=-1)


def test_epochs_of_unknown_length() -> None:
    """An iterable data set has no number of batches: schedules that do not need it work, others say so."""
    steps = 20
    assert rates(lambda o: schedules.constant(o, math.inf), 3) == [0.1] * 3
    ours = rates(lambda o: schedules.cosine(o, steps, math.inf), steps)
    assert ours == pytest.approx(rates(lambda o: CosineAnnealingLR(o, steps), steps), abs=1e-9)
    for name in ("step", "exponential"):
        with pytest.raises(ConfigError, match="counts epochs"):
            getattr(schedules, name)(optimizer(), math.inf)
    with pytest.raises(ConfigError, match="warmup_epochs"):
        schedules.constant(optimizer(), math.inf, warmup_epochs=1)


def test_one_cycle_is_torchs_and_moves_momentum() -> None:
    opt = optimizer(momentum=0.9)
    schedule = schedules.one_cycle(opt, 20)
    reference = optimizer(momentum=0.9)
    expected = OneCycleLR(reference, 0.1, 20)
    for _ in range(19):
        for o, s in ((opt, schedule), (reference, expected)):
            o.step()
            s.step()
        assert opt.param_groups[0]["lr"] == reference.param_groups[0]["lr"]
        assert opt.param_groups[0]["momentum"] == reference.param_groups[0]["momentum"] > 0


def test_one_cycle_leaves_an_optimizer_without_momentum_without() -> None:
    opt = optimizer()
    schedule = schedules.one_cycle(opt, 20)
    for _ in range(10):
        opt.step()
        schedule.step()
        assert opt.param_groups[0]["momentum"] == 0


def test_one_cycle_moves_the_first_beta_of_adam() -> None:
    opt = optimizer(Adam)
    schedules.one_cycle(opt, 20)
    assert opt.param_groups[0]["betas"] == (0.95, 0.999)
    assert opt.param_groups[0]["lr"] == pytest.approx(0.1 / 25)


def test_plateau() -> None:
    opt = optimizer()
    schedule = schedules.plateau(opt, monitor="val/accuracy", mode="max", factor=0.5, patience=1, min_lr=0.03)
    assert schedule.monitor == "val/accuracy"  # type: ignore[attr-defined]
    found = []
    for value in (0.5, 0.6, 0.6, 0.6, 0.7, 0.7, 0.7, 0.7, 0.7):
        schedule.step(value)
        found.append(opt.param_groups[0]["lr"])
    assert found == pytest.approx([0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.03, 0.03, 0.03])
