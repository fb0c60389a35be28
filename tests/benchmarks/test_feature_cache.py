"""What a frozen backbone costs, with and without the feature cache: ratios in one run, printed as a table.

The job: MobileNetV2 with its ImageNet weights, frozen, and a new head, on the photos of ants and bees at 224 px, batch
32, as `lightning fit` runs it (metrics, checkpoints, logger, progress in lines), with one thread and two workers. The
processor's seconds of the main process count, without those of the workers that decode: the clock's would count what
else the machine does, and are printed as well.

    uv run pytest tests/benchmarks/test_feature_cache.py -o addopts= -s
"""

from __future__ import annotations

import copy
import csv
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor
from torch.nn import functional as F

from fulmen.callbacks import Checkpoint, ProgressBar
from fulmen.cli.trainer import make_loggers
from fulmen.data import ImageFolderData
from fulmen.modules import TransferModule
from fulmen.modules.frozen_features import fast_forward

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
CONFIG = ROOT / "configs" / "ants_bees_feature_cache.yaml"
IMAGES = DATA / "hymenoptera" / "hymenoptera_data"
WEIGHTS = DATA / "mobilenetv2_100" / "mobilenetv2_100_imagenet_from_tflite.pth"
EPOCHS, ROUNDS, BATCH = 10, 5, 32

pytestmark = [
    pytest.mark.slow,
    pytest.mark.benchmark(group="feature cache"),
    pytest.mark.skipif(not (IMAGES.is_dir() and WEIGHTS.is_file()), reason="photos or weights are not here"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode", "ignore:The number of training batches"),
]


@pytest.fixture(autouse=True)
def _asked_for(request: pytest.FixtureRequest) -> None:
    """These take minutes, and a quiet machine: they run when benchmarks are asked for."""
    if request.config.getoption("--benchmark-skip"):
        pytest.skip("Skipping benchmark (--benchmark-skip active).")


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_data(**options: Any) -> ImageFolderData:
    half = [0.5, 0.5, 0.5]
    return ImageFolderData(str(IMAGES), image_size=224, mean=half, std=half, batch_size=BATCH, **options)


def make_module(data: ImageFolderData, **options: Any) -> TransferModule:
    torch.manual_seed(0)
    known = {name: getattr(data, name) for name in ("input_shape", "num_outputs", "class_names", "target_type")}
    same = {"pad_type": "same"}  # how the weights were trained
    return TransferModule("mobilenetv2_100", weights=str(WEIGHTS), backbone_options=same, **known, **options)


class Clock(Callback):
    """Seconds of the processor and of the clock: of the whole job, and of each epoch with all that follows it."""

    def __init__(self) -> None:
        self.times = [self.now()]

    @staticmethod
    def now() -> tuple[float, float]:
        return time.process_time(), time.perf_counter()

    def on_train_epoch_start(self, *_: Any) -> None:
        self.times.append(self.now())

    on_train_end = on_train_epoch_start

    def job(self, which: int) -> float:
        return self.times[-1][which] - self.times[0][which]

    def later(self, which: int) -> float:
        """The median of the epochs after the first."""
        epochs = self.times[2:]
        return statistics.median(end[which] - start[which] for start, end in pairwise(epochs))


def fit(folder: Path, **options: Any) -> tuple[Clock, TransferModule, Trainer]:
    """The whole job: data, model and training."""
    clock, data = Clock(), make_data()
    module = make_module(data, **options)
    run = folder / "runs" / "job" / "version_0"
    saver = Checkpoint("val/accuracy", mode="max", dirpath=run / "checkpoints")
    trainer = Trainer(
        max_epochs=EPOCHS, accelerator="cpu", devices=1, default_root_dir=run, enable_model_summary=False,
        logger=make_loggers("csv", run), callbacks=[ProgressBar(), saver, clock],
    )  # fmt: skip
    trainer.fit(module, data)
    return clock, module, trainer


def test_epochs_and_the_whole_job(tmp_path: Path) -> None:
    """The head is the same; an epoch is at least 200 times as fast, the job 6 times."""
    with_cache, without = fit(tmp_path / "with", feature_cache="ram"), fit(tmp_path / "without")
    print(f"\n{EPOCHS} epochs                    with cache    without")
    times: dict[str, float] = {}
    for what in ("job", "later"):
        for which, unit in enumerate(("processor", "clock")):
            ours, theirs = (getattr(fitted[0], what)(which) for fitted in (with_cache, without))
            times[f"{what} {unit}"] = theirs / ours
            print(f"{what:<6}{unit:<10} {ours:18.3f} s {theirs:8.2f} s  {theirs / ours:6.1f} times")
    for name, logged in with_cache[2].callback_metrics.items():
        assert float(logged) == pytest.approx(float(without[2].callback_metrics[name]), abs=1e-4), name
    heads = [fitted[1].network.model.classifier.weight.detach() for fitted in (with_cache, without)]  # type: ignore
    torch.testing.assert_close(heads[0], heads[1], rtol=0, atol=1e-5)
    network: Any = with_cache[1].network.eval()
    images = normalized(make_data(num_workers=0))[0]
    cached = fast_forward(with_cache[1], images[:2])(images)
    with torch.no_grad():
        found, expected = network(cached.clone()), network(images)
    furthest, largest = float((found - expected).abs().max()), float(expected.abs().max())
    print(f"logits (up to {largest:.1f}) of images and of their cached features differ by {furthest:.1e} at most")
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)  # as far as those of batches of 8 and of 32
    assert times["later processor"] >= 200
    assert times["job processor"] >= 6


def normalized(data: ImageFolderData, count: int = 2 * BATCH) -> Tensor:
    """Validation images as the network gets them, ``(batches, N, C, H, W)``."""
    data.setup("fit")
    batch = data.on_after_batch_transfer(data.datasets["val"].__getitems__(list(range(count))), 0)
    images: Tensor = batch.inputs.contiguous()  # as a hand-written loop has them
    return images.unflatten(0, (-1, BATCH))


def ratio(ours: Callable[[], Any], theirs: Callable[[], Any]) -> tuple[float, float, float]:
    """Seconds of both, and how many times as fast ours is: they take turns, the median counts."""
    ours(), theirs()
    times: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        pair = []
        for run in (ours, theirs):
            start = time.perf_counter()
            run()
            pair.append(time.perf_counter() - start)
        times.append((pair[0], pair[1]))
    mine, other = (statistics.median(t[i] for t in times) for i in (0, 1))
    return mine, other, statistics.median(t[1] / t[0] for t in times)


def test_computing_features() -> None:
    """At least 1.3 times as fast as the plain loop, and the same logits."""
    data = make_data(num_workers=0)
    module = make_module(data).eval()
    module.trainer = Trainer(accelerator="cpu", devices=1, logger=False, enable_progress_bar=False)
    network: Any = module.network
    plain, batches = copy.deepcopy(network.model), normalized(data)
    forward = fast_forward(module, batches[0][:2])

    def theirs() -> Tensor:
        with torch.no_grad():
            return torch.cat([plain(images) for images in batches])

    def ours() -> Tensor:  # eight at once, as the cache computes them on a CPU
        return torch.cat([forward(images) for images in batches.flatten(0, 1).split(8)])

    with torch.no_grad():
        furthest = float((network(ours().clone()) - theirs()).abs().max())
    mine, other, times = ratio(ours, theirs)
    count = batches.shape[0] * BATCH
    print(f"\nplain loop {count / other:.1f} images/s, ours {count / mine:.1f} images/s, {times:.2f} times")
    print(f"logits differ by {furthest:.1e} at most")
    assert furthest <= 1e-5
    assert times >= 1.3


def test_frozen_without_the_cache() -> None:
    """Not slower than a hand-written loop that runs the backbone without gradients, by more than a tenth."""
    data = make_data(num_workers=0, cache="ram", val_fraction=0.0)
    module = make_module(data)
    net: Any = copy.deepcopy(module.network.model)
    optimizer = torch.optim.Adam(net.classifier.parameters(), lr=1e-3)
    steps = 4

    def ours() -> None:
        trainer = Trainer(
            max_epochs=1, limit_train_batches=steps, limit_val_batches=0, accelerator="cpu", devices=1, logger=False,
            enable_model_summary=False, enable_progress_bar=False, enable_checkpointing=False,
        )  # fmt: skip
        trainer.fit(module, data)

    def theirs() -> None:
        for i, batch in enumerate(data.train_dataloader()):
            if i == steps:
                break
            images = data.normalize(batch.inputs)
            net.eval()
            with torch.no_grad():
                features = net.forward_head(net.forward_features(images), pre_logits=True)
            optimizer.zero_grad()
            logits = net.classifier(features)
            F.binary_cross_entropy_with_logits(logits.flatten(), batch.targets.float()).backward()
            optimizer.step()

    mine, other, times = ratio(ours, theirs)
    print(f"\n{steps} steps: hand-written {other:.2f} s, ours {mine:.2f} s, {times:.2f} times as fast")
    assert times >= 1 / 1.1


def lightning(folder: Path, *arguments: object) -> float:
    """Seconds of a `lightning` command with one thread beside the workers, and with all that it takes to start."""
    command = "import sys; from fulmen.cli.main import main; sys.exit(main(sys.argv[1:]))"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", command, *map(str, arguments)], cwd=folder, env=environment, check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return time.perf_counter() - start


def accuracy(folder: Path, weights: Path) -> tuple[float, float]:
    """Validation accuracy of the shipped config, in percent, and its seconds."""
    folder.mkdir()
    seconds = lightning(folder, "fit", "--config", CONFIG, "--data.root", IMAGES, "--model.weights", weights)
    scores = json.loads((folder / "runs" / CONFIG.stem / "version_0" / "val_metrics.json").read_text())
    return 100 * scores["val/accuracy"], seconds


def test_accuracy_of_the_shipped_config(tmp_path: Path) -> None:
    """At least 95 % within a minute, from the command to its end; 25 points more than from random weights."""
    torch.manual_seed(0)
    torch.save(timm.create_model("mobilenetv2_100", pad_type="same").state_dict(), tmp_path / "random.pth")
    random, _ = accuracy(tmp_path / "random", tmp_path / "random.pth")
    pretrained, seconds = accuracy(tmp_path / "pretrained", WEIGHTS)
    print(f"\npretrained {pretrained:.1f} % in {seconds:.0f} s, random {random:.1f} %")
    options = ("--config", CONFIG, "--data.root", IMAGES, "--model.weights", WEIGHTS, "--ckpt_path", "best")
    lightning(tmp_path / "pretrained", "predict", *options, "--output", "predictions.csv")
    rows = list(csv.DictReader((tmp_path / "pretrained" / "predictions.csv").read_text().splitlines()))
    right = sum(f"/{row['prediction']}/" in row["sample"] for row in rows)
    assert 100 * right / len(rows) == pytest.approx(pretrained)  # the checkpoint is one of the whole model
    assert pretrained >= 95
    assert pretrained - random >= 25
    assert seconds <= 60
