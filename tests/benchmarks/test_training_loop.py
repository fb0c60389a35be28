"""What a training step costs beside others': ratios in one run, printed as a table.

The job: MLP 784-256-128-10, ReLU, Adam, batch 128, 60,000 random rows, 2 threads. Each contender trains
whole epochs, taking turns, so that a machine that slows down slows all of them down; the median counts.

    uv run pytest tests/benchmarks -o addopts= -s
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import Accuracy

from fulmen.callbacks import Checkpoint, EarlyStopping, ProgressBar
from fulmen.cli.trainer import make_loggers
from fulmen.data import ArrayData
from fulmen.modules import MLPModule

ROWS, BATCH, ROUNDS, EPOCHS = 60_000, 128, 7, 2
EpochTime = Callable[[], float]


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))


def by_hand(inputs: torch.Tensor, targets: torch.Tensor, fused: bool | None = None) -> EpochTime:
    net = network()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=fused)

    def epoch() -> float:
        start = time.perf_counter()
        for rows in torch.randperm(ROWS).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(net(inputs[rows]), targets[rows]).backward()
            optimizer.step()
        return time.perf_counter() - start

    return epoch


def by_dataloader(inputs: torch.Tensor, targets: torch.Tensor) -> EpochTime:
    net = network()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=BATCH, shuffle=True)

    def epoch() -> float:
        start = time.perf_counter()
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
        return time.perf_counter() - start

    return epoch


class Tutorial(LightningModule):
    """As Lightning's tutorial writes it, with an accuracy metric and the progress bar."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network()
        self.accuracy = Accuracy(task="multiclass", num_classes=10)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        x, y = batch
        logits = self.net(x)
        loss = F.cross_entropy(logits, y)
        self.accuracy(logits, y)
        self.log("train_loss", loss, prog_bar=True)
        self.log("train_accuracy", self.accuracy, prog_bar=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class Clock(Callback):
    """When the last training epoch starts, and when everything after it is done."""

    start = end = 0.0

    def on_train_epoch_start(self, *_: Any) -> None:
        self.start = time.perf_counter()

    def on_train_end(self, *_: Any) -> None:
        self.end = time.perf_counter()


def seconds(trainer: Trainer, fit: Callable[[Trainer], None]) -> float:
    """Seconds of the last epoch, its metrics, logs and checkpoints included."""
    clock = Clock()
    trainer.callbacks.append(clock)  # type: ignore[attr-defined]
    fit(trainer)
    return clock.end - clock.start


def by_lightning(inputs: torch.Tensor, targets: torch.Tensor, folder: Path) -> EpochTime:
    def epoch() -> float:
        loader = DataLoader(TensorDataset(inputs, targets), batch_size=BATCH, shuffle=True)
        trainer = Trainer(
            max_epochs=EPOCHS, accelerator="cpu", default_root_dir=folder, enable_model_summary=False, logger=False
        )
        return seconds(trainer, lambda t: t.fit(Tutorial(), loader))

    return epoch


def by_fulmen(inputs: torch.Tensor, targets: torch.Tensor, folder: Path, monkeypatch: pytest.MonkeyPatch) -> EpochTime:
    """As `lightning fit` runs it: metrics, checkpoints, logger, early stopping and progress bar on."""
    versions = iter(range(1000))

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)  # the bar is drawn, as in a terminal

    def epoch() -> float:
        run = folder / "runs" / "job" / f"version_{next(versions)}"
        data = ArrayData(inputs, targets, batch_size=BATCH, val_fraction=0.0, test_fraction=0.0, standardize=False)
        model = MLPModule(input_shape=data.input_shape, num_outputs=10, class_names=data.class_names)
        trainer = Trainer(
            max_epochs=EPOCHS,
            accelerator="cpu",
            default_root_dir=run,
            enable_model_summary=False,
            logger=make_loggers("auto", run),
            callbacks=[
                Checkpoint("train/loss", dirpath=run),
                EarlyStopping("train/loss"),
                ProgressBar(),
            ],
        )
        return seconds(trainer, lambda t: t.fit(model, datamodule=data))

    return epoch


@pytest.mark.benchmark(group="training loop")
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_training_loop(benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(2)
    torch.manual_seed(0)
    inputs, targets = torch.randn(ROWS, 784), torch.arange(ROWS) % 10
    contenders = {
        "(a) by hand, tensor batches": by_hand(inputs, targets),
        "    the same, fused Adam": by_hand(inputs, targets, fused=True),
        "(b) DataLoader(TensorDataset)": by_dataloader(inputs, targets),
        "(c) Lightning, as its tutorial": by_lightning(inputs, targets, tmp_path),
        "    Fulmen": by_fulmen(inputs, targets, tmp_path, monkeypatch),
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}

    def turns() -> None:
        for name, epoch in contenders.items():
            times[name].append(epoch())

    benchmark.pedantic(turns, rounds=ROUNDS, warmup_rounds=1)
    median = {name: statistics.median(t[1:]) for name, t in times.items()}
    base = median["(a) by hand, tensor batches"]
    print(f"\n{'':<32}{'s/epoch':>8}{'ratio':>8}{'fastest':>9}")
    for name, value in median.items():
        print(f"{name:<32}{value:8.2f}{value / base:8.2f}{min(times[name][1:]):9.2f}")


@pytest.mark.benchmark(group="start")
@pytest.mark.slow
def test_help_starts_fast(benchmark: Any) -> None:
    script = Path(sys.executable).with_name("lightning")
    times: dict[str, list[float]] = {"python -c pass": [], "lightning --help": []}

    def turns() -> None:
        for name, command in zip(times, ([sys.executable, "-c", "pass"], [script, "--help"]), strict=True):
            start = time.perf_counter()
            subprocess.run(command, capture_output=True, check=True)
            times[name].append(time.perf_counter() - start)

    benchmark.pedantic(turns, rounds=10, warmup_rounds=1)
    median = {name: statistics.median(t[1:]) for name, t in times.items()}
    print()
    for name, value in median.items():
        print(f"{name:<20}{value:6.3f} s")
