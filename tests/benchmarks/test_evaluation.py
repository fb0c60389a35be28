"""What metrics cost a training, and how fast the bootstrap is: ratios in one run, printed as tables.

The first job: the MLP of ``configs/digits_mlp.yaml``, digits of 8 x 8 pixels, 10 classes, batch 32, one thread, trained
and validated each epoch by a plain ``Trainer``. The processor's seconds inside the metrics (their updates, computation
and reset, training and validation) and inside the callback that keeps predictions are counted while it runs, and set
against all others of the same ``fit``: the difference of two runs would be smaller than what they differ by chance.
The second: 1,000 resamples of 10,000 predictions of 10 classes, every headline metric, one thread.

    uv run pytest tests/benchmarks/test_evaluation.py -o addopts= -s
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from tests.evaluation.made import predictions, sklearn_scores

from fulmen.callbacks import PredictionRecorder
from fulmen.data import DigitsData
from fulmen.evaluation import bootstrap
from fulmen.modules import MLPModule
from fulmen.tasks.meter import Meter

EPOCHS, ROUNDS = 10, 5
RESAMPLES, SAMPLES, CLASSES = 1000, 10_000, 10

pytestmark = [pytest.mark.slow, pytest.mark.benchmark(group="evaluation"), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True)
def _asked_for(request: pytest.FixtureRequest) -> None:
    """Beside other tests these would measure those."""
    if request.config.getoption("--benchmark-skip"):
        pytest.skip("Skipping benchmark (--benchmark-skip active).")


class Watched:
    """Counts the processor's seconds of some methods."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.patch, self.seconds = patch, {"metrics": 0.0, "predictions": 0.0}

    def watch(self, cls: type, names: Sequence[str], where: str) -> None:
        for name in names:
            self.patch.setattr(cls, name, self._timed(getattr(cls, name), where))

    def _timed(self, method: Callable[..., Any], where: str) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.thread_time()
            try:
                return method(*args, **kwargs)
            finally:
                self.seconds[where] += time.thread_time() - start

        return timed


def train(folder: Path) -> float:
    """Processor seconds of a training."""
    data = DigitsData(batch_size=32, val_fraction=0.1, test_fraction=0.2)
    data.setup("fit")
    torch.manual_seed(0)
    module = MLPModule(
        hidden_features=[256, 128],
        normalization="batch",
        dropout=0.3,
        loss={"name": "cross_entropy", "label_smoothing": 0.1},
        regularizers=[{"name": "l2", "weight": 1e-5}],
        optimizer={"name": "adam", "lr": 3e-3},
        schedule={"name": "cosine", "warmup_epochs": 1},
        input_shape=data.input_shape,
        num_outputs=10,
    )
    trainer = Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        default_root_dir=folder,
        callbacks=[PredictionRecorder()],
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        logger=False,
    )
    start = time.thread_time()
    trainer.fit(module, datamodule=data)
    return time.thread_time() - start


def test_metrics_cost_at_most_a_twentieth_of_the_training(
    benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    watched = Watched(monkeypatch)
    watched.watch(Meter, ["update", "compute", "reset"], "metrics")
    hooks = [name for name in vars(PredictionRecorder) if name.startswith("on_")]
    watched.watch(PredictionRecorder, hooks, "predictions")
    shares: dict[str, list[float]] = {"metrics": [], "predictions": [], "together": []}

    def turn() -> None:
        watched.seconds.update(metrics=0.0, predictions=0.0)
        total = train(tmp_path)
        rest = total - sum(watched.seconds.values())
        for name, found in [*watched.seconds.items(), ("together", total - rest)]:
            shares[name].append(found / rest)

    benchmark.pedantic(turn, rounds=ROUNDS, warmup_rounds=1)
    median = {name: statistics.median(found[1:]) for name, found in shares.items()}
    print("\nof all else that the training does:")
    for name, value in median.items():
        print(f"{name:<28}{100 * value:6.2f} %")
    assert median["together"] < 0.05


def test_bootstrap_of_ten_thousand_predictions(benchmark: Any) -> None:
    made = predictions("multiclass", SAMPLES, classes=CLASSES)
    weights = np.random.default_rng(0).random((2048, 2048))
    times: dict[str, list[float]] = {"matrix product": [], "bootstrap": [], "scikit-learn": []}

    def turns() -> None:
        start = time.process_time()
        for _ in range(4):
            weights @ weights
        times["matrix product"].append(time.process_time() - start)
        start = time.process_time()
        bootstrap(made, RESAMPLES)
        times["bootstrap"].append(time.process_time() - start)
        rows = np.random.default_rng(0).integers(0, SAMPLES, SAMPLES)
        start = time.process_time()
        sklearn_scores(made.take(rows))
        times["scikit-learn"].append((time.process_time() - start) * RESAMPLES)

    benchmark.pedantic(turns, rounds=5, warmup_rounds=1)
    median = {name: statistics.median(found[1:]) for name, found in times.items()}
    print(f"\n{'':<52}{'s':>8}{'ratio':>8}")
    said = (
        "4 products of 2,048 x 2,048 float64 (69 GFLOP)",
        "1,000 x 10,000, 10 classes, 14 metrics",
        "scikit-learn's loop (1,000 times one resample)",
    )
    for words, value in zip(said, median.values(), strict=True):
        print(f"{words:<52}{value:8.3f}{value / median['bootstrap']:8.2f}")
    assert median["scikit-learn"] > 20 * median["bootstrap"]
    assert median["bootstrap"] < median["matrix product"]
