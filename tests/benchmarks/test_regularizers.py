"""What regularizers add to a training step: ratios in one run, printed as a table.

Contenders take turns, so that a machine that slows down slows all of them down. Of the long steps of the
ResNet-18 the median ratio counts; of the short ones of the digits CNN, the fastest tenth of all.

    uv run pytest tests/benchmarks/test_regularizers.py -o addopts= -s
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from lightning.pytorch import Callback, Trainer
from torch import nn
from torch.nn import functional as F

from fulmen.data import DigitsData
from fulmen.modules import CNNModule
from fulmen.modules.regularization import add_penalties
from fulmen.nn.regularizers import L1, L2, Regularizer

BATCH, SIZES, ROUNDS = 32, {64: 11, 224: 5}, 8
LIMIT = 1.10
"""What L1 + L2 may cost of a ResNet-18's step on images of 224 px."""


class Classifier(nn.Module):
    """What :func:`add_penalties` reads of a module."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        super().__init__()
        self.network = timm.create_model("resnet18", num_classes=10)


def stepper(size: int, regularizers: list[Regularizer]) -> Callable[[], float]:
    """Seconds of one step of SGD."""
    torch.manual_seed(0)
    module: Any = Classifier()
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3)
    inputs, targets = torch.randn(BATCH, 3, size, size), torch.arange(BATCH) % 10

    def step() -> float:
        start = time.perf_counter()
        optimizer.zero_grad()
        F.cross_entropy(module.network(inputs), targets).backward()
        add_penalties(module, regularizers, optimizer)
        optimizer.step()
        return time.perf_counter() - start

    return step


@pytest.mark.benchmark(group="penalties")
@pytest.mark.slow
def test_l1_and_l2_of_a_resnet18(benchmark: Any) -> None:
    torch.set_num_threads(2)
    ratios: dict[int, float] = {}

    def turns() -> None:
        print(f"\n{'ResNet-18, batch 32':<22}{'plain, s':>10}{'L1 + L2, s':>12}{'ratio':>8}")
        for size, rounds in SIZES.items():
            contenders = [stepper(size, []), stepper(size, [L1(1e-6), L2(1e-4)])]
            times = [[step() for step in contenders] for _ in range(rounds + 1)][1:]
            plain, both = (statistics.median(column) for column in zip(*times, strict=True))
            # each pair is measured back to back: its ratio hardly depends on what else the machine does
            ratios[size] = statistics.median(b / a for a, b in times)
            print(f"{f'{size} x {size} px':<22}{plain:10.3f}{both:12.3f}{ratios[size]:8.3f}")

    benchmark.pedantic(turns, rounds=1)
    assert ratios[224] <= LIMIT


SPECS: dict[str, Any] = {
    "none": None,
    "l1 and l2": [{"name": "l1", "weight": 1e-6}, {"name": "l2", "weight": 1e-5}],
    "group_lasso": {"name": "group_lasso", "weight": 1e-4},
    "max_norm": {"name": "max_norm", "limit": 3.0},
    "orthogonal": {"name": "orthogonal", "weight": 1e-4},
    "srip": {"name": "srip", "weight": 1e-4},
    "spectral_norm": {"name": "spectral_norm", "weight": 1e-4},
    "spectral_norm, exact": {"name": "spectral_norm", "weight": 1e-4, "exact": True},
    "hoyer": {"name": "hoyer", "weight": 1e-6},
    "l2_sp": {"name": "l2_sp", "weight": 1e-4},
    "activity_l1": {"name": "activity_l1", "weight": 1e-6},
    "activity_l2": {"name": "activity_l2", "weight": 1e-6},
    "kl_sparsity": {"name": "kl_sparsity", "weight": 1e-6},
    "confidence_penalty": {"name": "confidence_penalty", "weight": 0.1},
    "jacobian": {"name": "jacobian", "weight": 1e-3},
    "jacobian, exact": {"name": "jacobian", "weight": 1e-3, "projections": None},
    "gradient_penalty": {"name": "gradient_penalty", "weight": 1e-3},
    "manifold_mixup": {"name": "manifold_mixup"},
    "sam": {"name": "sam"},
}


class Steps(Callback):
    """Seconds of each step, after the first ones."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._start = 0.0

    def on_train_batch_start(self, *_: Any) -> None:
        self._start = time.perf_counter()

    def on_train_batch_end(self, *_: Any) -> None:
        self.times.append(time.perf_counter() - self._start)


def epoch_steps(spec: Any) -> list[float]:
    """Seconds of the steps of the digits CNN (batch 64) in an epoch."""
    torch.manual_seed(0)
    data = DigitsData(batch_size=64)
    known = {name: getattr(data, name) for name in ("input_shape", "num_outputs", "class_names")}
    specs = spec if isinstance(spec, list) else [spec] if spec else None
    module = CNNModule(channels=[32, 64], activation="sigmoid", regularizers=specs, **known)
    steps = Steps()
    Trainer(
        accelerator="cpu", logger=False, max_epochs=1, limit_val_batches=0, callbacks=[steps],
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    ).fit(module, data)  # fmt: skip
    return steps.times[3:]


@pytest.mark.benchmark(group="regularizers")
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_regularizer_on_the_digits_cnn(benchmark: Any) -> None:
    torch.set_num_threads(1)
    times: dict[str, list[float]] = {name: [] for name in SPECS}

    def turns() -> None:
        for name, spec in SPECS.items():
            times[name] += epoch_steps(spec)

    benchmark.pedantic(turns, rounds=ROUNDS, warmup_rounds=1)
    fastest = {name: statistics.quantiles(found, n=10)[0] for name, found in times.items()}
    print(f"\n{'digits CNN, batch 64':<24}{'ms/step':>9}{'ratio':>8}")
    for name, seconds in fastest.items():
        print(f"{name:<24}{1000 * seconds:9.2f}{seconds / fastest['none']:8.2f}")
    assert min(fastest.values()) > 0.9 * fastest["none"]  # less would be noise: measure again
