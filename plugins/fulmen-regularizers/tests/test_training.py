"""Training with each regularizer equals a plain loop with its formula, also accumulated, in two processes, in bf16."""

from __future__ import annotations

import copy
import math
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fulmen.core.registry import registry

Make = Callable[..., Any]
Step = list[tuple[Tensor, Tensor]]
"""The micro-batches of an optimizer step."""

LR = 0.1
CASES: dict[str, dict[str, Any]] = {
    "group_lasso": {"name": "group_lasso", "weight": 0.05},
    "group_lasso, columns": {"name": "group_lasso", "weight": 0.05, "groups": "input"},
    "group_lasso, gradient": {"name": "group_lasso", "weight": 0.02, "proximal": False},
    "max_norm": {"name": "max_norm", "limit": 0.8},
    "orthogonal": {"name": "orthogonal", "weight": 0.02},
    "srip": {"name": "srip", "weight": 0.05, "iterations": 200},
    "spectral_norm": {"name": "spectral_norm", "weight": 0.1, "iterations": 200},
    "spectral_norm, exact": {"name": "spectral_norm", "weight": 0.1, "exact": True},
    "hoyer": {"name": "hoyer", "weight": 0.02},
    "l2_sp": {"name": "l2_sp", "weight": 0.5, "head_weight": 0.2, "head": ["network.head.*"]},
    "activity_l1": {"name": "activity_l1", "weight": 0.1},
    "activity_l2": {"name": "activity_l2", "weight": 0.1, "layers": ["hidden.*.0", "head"]},
    "kl_sparsity": {"name": "kl_sparsity", "weight": 0.3, "target": 0.1, "momentum": 0.5},
    "confidence_penalty": {"name": "confidence_penalty", "weight": 0.3},
    "jacobian": {"name": "jacobian", "weight": 0.3, "projections": 2},
    "jacobian, exact": {"name": "jacobian", "weight": 0.3, "projections": None},
    "gradient_penalty": {"name": "gradient_penalty", "weight": 1.0},
    "manifold_mixup": {"name": "manifold_mixup", "alpha": 1.0},
    "sam": {"name": "sam", "rho": 0.2},
    "sam, adaptive": {"name": "sam", "rho": 0.5, "adaptive": True},
}
OF_PARAMETERS = [n for n, s in CASES.items() if s["name"] in "group_lasso max_norm orthogonal srip spectral_norm hoyer"]


def draws(name: str, step: int) -> np.random.Generator:
    """As the documentation has it: the seed, the step and the name, and nothing else."""
    return np.random.default_rng([0, step, zlib.crc32(name.encode())])


def weights(net: Any) -> list[Tensor]:
    return [net.hidden[0][0].weight, net.head.weight]


class Formula:
    """Loss and penalties of the network of these tests, written out once more."""

    def __init__(self, spec: dict[str, Any], net: Any) -> None:
        self.spec, self.name, self.weight = spec, spec["name"], spec.get("weight")
        self.start = net.hidden[0][0].weight.detach().clone()
        self.running = torch.zeros(6, dtype=self.start.dtype)
        self.means: list[Tensor] = []

    def micro(self, net: Any, x: Tensor, y: Tensor, step: int, autocast: bool = False) -> Tensor:
        """What one micro-batch adds, as a mean over its samples."""
        x = x.clone().requires_grad_()
        perm, share = torch.arange(len(x)), 1.0
        places = []
        if self.name == "manifold_mixup":
            rng = draws("manifold_mixup", step)
            places = [["input", "hidden"][rng.integers(2)]]
            share, perm = rng.beta(1.0, 1.0), torch.from_numpy(rng.permutation(len(x)))
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            z = share * x + (1 - share) * x[perm] if "input" in places else x
            u = net.hidden[0][0](z)
            a = torch.sigmoid(u)
            h = share * a + (1 - share) * a[perm] if "hidden" in places else a
            logits = net.head(h)
            loss = share * F.cross_entropy(logits, y) + (1 - share) * F.cross_entropy(logits, y[perm])
        penalty = self.batch(x, y, *(t if t.dtype == torch.float64 else t.float() for t in (u, a, logits)), step)
        return loss if penalty is None else loss + penalty

    def batch(self, x: Tensor, y: Tensor, u: Tensor, a: Tensor, logits: Tensor, step: int) -> Tensor | None:
        n = len(x)
        if self.name == "activity_l1":
            return self.weight * sum(a[i].abs().sum() for i in range(n)) / n
        if self.name == "activity_l2":
            return self.weight * sum((u[i] ** 2).sum() + (logits[i] ** 2).sum() for i in range(n)) / n
        if self.name == "confidence_penalty":
            p = logits.softmax(1)
            return -self.weight * -(p * p.log()).sum(1).mean()
        if self.name == "kl_sparsity":
            self.means.append(a.detach().mean(0))
            if step == 0:
                return None
            rho, q = self.spec["target"], self.running / (1 - 0.5**step)
            return self.weight * ((-rho / q + (1 - rho) / (1 - q)) * a.mean(0)).sum()
        if self.name == "gradient_penalty":
            losses = F.cross_entropy(logits, y, reduction="sum")
            (g,) = torch.autograd.grad(losses, x, create_graph=True)
            return self.weight * (g**2).sum(1).mean()
        if self.name == "jacobian":
            projections = self.spec["projections"]
            if projections is None:
                directions = torch.eye(3, dtype=logits.dtype)
            else:
                v = torch.from_numpy(draws("jacobian", step).normal(size=(projections, 3))).to(logits)
                directions = v / v.norm(dim=1, keepdim=True) * math.sqrt(3 / projections)
            found = [
                torch.autograd.grad(logits @ v, x, torch.ones(n).to(logits), create_graph=True) for v in directions
            ]
            return self.weight / 2 * sum((g[0] ** 2).sum(1).mean() for g in found)
        return None

    def parameters(self, net: Any) -> Tensor:
        """What is added once a step."""
        found: Any = torch.zeros(())
        for w in weights(net):
            if self.name == "group_lasso" and not self.spec.get("proximal", True):
                found = found + sum(math.sqrt(w.shape[1]) * row.norm() for row in w)
            if self.name == "orthogonal":
                found = found + ((w.T @ w - torch.eye(w.shape[1])) ** 2).sum()
            if self.name == "srip":
                gram = w @ w.T if w.shape[0] < w.shape[1] else w.T @ w
                found = found + torch.linalg.eigvalsh(gram - torch.eye(len(gram))).abs().max()
            if self.name == "spectral_norm":
                found = found + torch.linalg.svdvals(w)[0] ** 2 / 2
            if self.name == "hoyer":
                found = found + w.abs().sum() ** 2 / (w**2).sum()
        if self.name == "l2_sp":
            found = ((weights(net)[0] - self.start) ** 2).sum() / 2 + 0.4 * (weights(net)[1] ** 2).sum() / 2
        return (self.weight or 0.0) * found

    @torch.no_grad()
    def after(self, net: Any, step: int) -> None:
        for w in weights(net):
            columns = self.spec.get("groups") == "input"
            for group in w.T if columns else w:
                if self.name == "max_norm" and group.norm() > self.spec["limit"]:
                    group *= self.spec["limit"] / group.norm()
                if self.name == "group_lasso" and self.spec.get("proximal", True):
                    threshold = LR * self.weight * math.sqrt(len(group))
                    group *= max(0.0, 1 - threshold / float(group.norm())) if group.any() else 0.0
        if self.name == "kl_sparsity":
            self.running = 0.5 * self.running + 0.5 * torch.stack(self.means).mean(0)
            self.means = []


def loop(net: nn.Module, spec: dict[str, Any], steps: Sequence[Step], autocast: bool = False) -> nn.Module:
    """Plain SGD; the gradient of a step is that of the mean over its micro-batches, plus penalties."""
    formula = Formula(spec, net)
    for i, micro in enumerate(steps):

        def backward(i: int = i, micro: Step = micro) -> None:
            net.zero_grad()
            for x, y in micro:
                (formula.micro(net, x, y, i, autocast) / len(micro)).backward()

        backward()
        if spec["name"] == "sam":
            start = [p.detach().clone() for p in net.parameters()]
            t = [p.detach().abs() + 0.01 if spec.get("adaptive") else 1.0 for p in net.parameters()]
            scaled = [p.grad * s for p, s in zip(net.parameters(), t, strict=True)]  # type: ignore[operator]
            norm = torch.cat([g.flatten() for g in scaled]).norm()
            with torch.no_grad():
                for p, g, s in zip(net.parameters(), scaled, t, strict=True):
                    p += spec["rho"] * s * g / norm
            backward()
            with torch.no_grad():
                for p, value in zip(net.parameters(), start, strict=True):
                    p.copy_(value)
        penalty = formula.parameters(net)
        if penalty.requires_grad:
            penalty.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for p in net.parameters():
                assert p.grad is not None
                p -= LR * p.grad
        formula.after(net, i)
    return net


def steps_of(data: Any, cut: Callable[[Tensor], Sequence[Tensor]], dtype: torch.dtype = torch.float64) -> list[Step]:
    """Two epochs of steps of 12 samples, cut into micro-batches."""
    data.setup("fit")
    found: list[Step] = []
    for epoch in range(2):
        loader = data.train_dataloader()
        loader.sampler.set_epoch(epoch)
        found += [list(zip(cut(batch.inputs.to(dtype)), cut(batch.targets), strict=True)) for batch in loader]
    return found


def assert_same(net: nn.Module, expected: nn.Module, atol: float) -> None:
    for (name, p), q in zip(net.named_parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(p, q.to(p), rtol=0, atol=atol, msg=lambda m, n=name: f"{n}: {m}")


def difference(net: nn.Module, other: nn.Module) -> float:
    pairs = zip(net.parameters(), other.parameters(), strict=True)
    return max((p - q.to(p)).abs().max().item() for p, q in pairs)


MODES: dict[str, tuple[dict[str, Any], int, Callable[[Tensor], Sequence[Tensor]]]] = {
    "whole": ({}, 12, lambda t: [t]),
    "accumulated": ({"accumulate_grad_batches": 3}, 4, lambda t: t.split(4)),
    "two processes": ({"strategy": "ddp_fork", "devices": 2}, 6, lambda t: [t[0::2], t[1::2]]),
    "both": ({"strategy": "ddp_fork", "devices": 2, "accumulate_grad_batches": 3}, 2, lambda t: both(t)),
}
SLOW = ["two processes", "both"]


def both(t: Tensor) -> list[Tensor]:
    """Micro-batches of four that two processes share."""
    return [part[rank::2] for part in t.split(4) for rank in (0, 1)]


def test_every_entry_point_is_tried_here() -> None:
    names = list(registry().names("regularizers"))
    plugin = {n for n in names if registry().find("regularizers", n).distribution == "fulmen-regularizers"}
    assert {spec["name"] for spec in CASES.values()} == plugin


@pytest.mark.parametrize("mode", [pytest.param(m, marks=pytest.mark.slow) if m in SLOW else m for m in MODES])
@pytest.mark.parametrize("case", CASES)
def test_training_equals_a_loop_by_hand(
    case: str, mode: str, make_trainer: Make, make_data: Make, make_module: Make
) -> None:
    options, batch_size, cut = MODES[mode]
    module = make_module(CASES[case])
    start = copy.deepcopy(module.network).double()
    make_trainer(**options).fit(module, make_data(batch_size))
    assert_same(module.network, loop(copy.deepcopy(start), CASES[case], steps_of(make_data(), cut)), atol=1e-7)
    if CASES[case]["name"] != "manifold_mixup":  # partners come from the micro-batch
        whole = loop(copy.deepcopy(start), CASES[case], steps_of(make_data(), lambda t: [t]))
        assert_same(module.network, whole, atol=1e-7)
    without = loop(start, {"name": "nothing"}, steps_of(make_data(), cut))
    assert difference(module.network, without) > 1e-3


@pytest.mark.parametrize("case", CASES)
def test_training_in_bf16_equals_a_loop_in_bf16(
    case: str, make_trainer: Make, make_data: Make, make_module: Make
) -> None:
    module = make_module(CASES[case])
    start = copy.deepcopy(module.network)
    make_trainer(precision="bf16-mixed").fit(module, make_data())
    steps = steps_of(make_data(), lambda t: [t], torch.float32)
    expected = loop(copy.deepcopy(start), CASES[case], steps, autocast=True)
    assert_same(module.network, expected, atol=4e-3)
    without = loop(start, {"name": "nothing"}, steps, autocast=True)
    assert difference(expected, without) > 5 * difference(module.network, expected)


@pytest.mark.parametrize("case", OF_PARAMETERS)
def test_penalties_of_parameters_in_bf16_are_those_of_float32(case: str, make_module: Make) -> None:
    from fulmen.modules.regularization import add_penalties

    gradients = []
    for autocast in (False, True):
        module = make_module(CASES[case])
        optimizer = torch.optim.SGD(module.parameters(), lr=LR)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            add_penalties(module, module.regularizers, optimizer)
            for regularizer in module.regularizers:
                regularizer.after_step(module, dict.fromkeys(module.parameters(), LR))
        gradients.append([p.grad for p in module.parameters()] + [p.detach() for p in module.parameters()])
    assert all((a is None and b is None) or torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("case", CASES)
def test_a_resumed_run_ends_like_one_without_a_break(
    case: str, tmp_path: Path, make_trainer: Make, make_data: Make, make_module: Make
) -> None:
    whole, options = make_module(CASES[case]), {"precision": "32-true"}  # Lightning restores float64 in float32
    make_trainer(**options).fit(whole, make_data())
    first = make_trainer(max_epochs=1, **options)
    first.fit(make_module(CASES[case]), make_data())
    first.save_checkpoint(tmp_path / "first.ckpt")
    resumed = make_module(CASES[case], seed=5)  # other weights, as those of a model that is made to be filled
    make_trainer(**options).fit(resumed, make_data(), ckpt_path=tmp_path / "first.ckpt", weights_only=True)
    assert_same(resumed.network, whole.network, atol=0)


@pytest.mark.parametrize("case", CASES)
def test_frozen_parameters_are_left_alone(case: str, make_trainer: Make, make_data: Make, make_module: Make) -> None:
    module = make_module(CASES[case])
    module.network.hidden.requires_grad_(False)
    before = copy.deepcopy(module.network)
    make_trainer(max_epochs=1).fit(module, make_data())
    assert_same(module.network.hidden, before.hidden, atol=0)
    assert difference(module.network.head, before.head) > 0


@pytest.mark.parametrize("case", ["manifold_mixup", "jacobian", "srip", "spectral_norm", "sam"])
def test_the_global_random_state_is_not_touched(
    case: str, make_trainer: Make, make_data: Make, make_module: Make
) -> None:
    states = []
    for regularizers in ([], [CASES[case]]):
        module, data = make_module(*regularizers), make_data()
        torch.manual_seed(7)
        np.random.seed(7)  # noqa: NPY002
        make_trainer(max_epochs=1).fit(module, data)
        states.append((torch.rand(1).item(), np.random.rand()))  # noqa: NPY002
    assert states[0] == states[1]
