"""Batches of JPEGs beside torchvision's usual pipeline, and scans of many files: ratios in one run.

The usual pipeline is ``ImageFolder`` with Pillow, ``RandomResizedCrop``, ``RandomHorizontalFlip`` and ``Normalize`` of
``transforms.v2``; ours is ``augment: [resized_crop, flip]`` with normalization in the batch. Both take turns, and
seconds of the processor are counted, those of the workers too: what else the machine does plays no part.

    uv run pytest tests/benchmarks/test_image_loading.py -o addopts= -s
"""

from __future__ import annotations

import math
import os
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from fulmen.data import ImageFolderData

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
DATA = Path(__file__).parents[3] / "shared" / "data" / "hymenoptera" / "hymenoptera_data"
BATCH, EPOCHS, TURNS = 32, 2, 3
Epoch = tuple[Any, Callable[[], int]]
"""A loader, and what runs one epoch and counts the images."""
AHEAD = {None: 1.05, "ram": 4.0, "disk": 4.0}
"""At least so many times as fast as the usual pipeline."""


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """128 JPEGs of 500 x 375 pixels, as compressible as photos."""
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("jpegs")
    for i in range(128):
        path = root / "train" / "ab"[i % 2] / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8)).resize(
            (500, 375), Image.Resampling.BICUBIC
        )
        grain = rng.normal(0, 12, (375, 500, 3))
        Image.fromarray((np.asarray(coarse) + grain).clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return root


def usual(root: Path, workers: int) -> Epoch:
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    transform = v2.Compose(
        [
            v2.RandomResizedCrop(224),
            v2.RandomHorizontalFlip(),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    dataset = ImageFolder(str(root / "train"), transform, is_valid_file=lambda name: name.endswith(".jpg"))
    loader = DataLoader(dataset, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    return loader, lambda: sum(len(inputs) for inputs, _ in loader)


def ours(root: Path, workers: int, cache: Any) -> Epoch:
    data = ImageFolderData(
        str(root / "train"), batch_size=BATCH, num_workers=workers, cache=cache, augment=["resized_crop", "flip"],
        val_fraction=0.0, test_fraction=0.0,
    )  # fmt: skip
    data.setup("fit")
    loader = data.train_dataloader()
    return loader, lambda: sum(len(data.on_after_batch_transfer(batch, 0).inputs) for batch in loader)


def used(loader: Any) -> float:
    """Seconds of the processor, of this process and of the loader's workers."""
    ticks = 0
    for worker in getattr(getattr(loader, "_iterator", None), "_workers", ()):
        fields = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def cost(epoch: Epoch) -> tuple[float, float]:
    """Seconds of the processor, and of the clock, for an image."""
    loader, run = epoch
    before, start = used(loader), time.perf_counter()
    images = sum(run() for _ in range(EPOCHS))
    return (used(loader) - before) / images, (time.perf_counter() - start) / images


def compare(root: Path, workers: int, title: str) -> dict[str | None, float]:
    epochs = {"usual": usual(root, workers), **{cache: ours(root, workers, cache) for cache in AHEAD}}
    for _, run in epochs.values():
        run()  # fills the caches
    found: dict[Any, list[tuple[float, float]]] = {name: [] for name in epochs}
    for _ in range(TURNS):
        for name, epoch in epochs.items():
            found[name].append(cost(epoch))
    ratios = {
        name: statistics.median(u[0] / o[0] for u, o in zip(found["usual"], found[name], strict=True)) for name in AHEAD
    }
    print(f"\n{title}, {workers} workers")
    for name, costs in found.items():
        processor, clock = (1 / statistics.median(c[i] for c in costs) for i in (0, 1))
        ratio = ratios.get(name, 1.0)
        print(
            f"  {name or 'no cache':<10}{processor:6.0f} images/s of one core, {clock:6.0f}/s here, {ratio:5.2f} times"
        )
    return ratios


@pytest.mark.slow
@pytest.mark.benchmark(group="image loading")
@pytest.mark.skipif(sys.platform != "linux", reason="the seconds of workers are read from /proc")
@pytest.mark.parametrize("workers", [0, 2])
def test_generated_jpegs(generated: Path, workers: int) -> None:
    ratios = compare(generated, workers, "generated")
    assert {name: ratio for name, ratio in ratios.items() if ratio < AHEAD[name]} == {}


@pytest.mark.slow
@pytest.mark.benchmark(group="image loading")
@pytest.mark.skipif(not DATA.is_dir(), reason="the photos of ants and bees are not here")
@pytest.mark.skipif(sys.platform != "linux", reason="the seconds of workers are read from /proc")
@pytest.mark.parametrize("workers", [0, 2])
def test_ants_and_bees(workers: int) -> None:
    ratios = compare(DATA, workers, "ants and bees")
    assert {name: ratio for name, ratio in ratios.items() if ratio < AHEAD[name]} == {}


@pytest.mark.slow
@pytest.mark.benchmark(group="image loading")
@pytest.mark.skipif(not DATA.is_dir(), reason="the photos of ants and bees are not here")
def test_fastai() -> None:
    """Its random resized crop for each image, flip and normalization for each batch, in one process."""
    vision = pytest.importorskip("fastai.vision.all")
    loaders = vision.ImageDataLoaders.from_folder(
        DATA, train="train", valid="val", bs=BATCH, num_workers=0, device="cpu",
        item_tfms=vision.RandomResizedCrop(224),
        batch_tfms=[vision.Flip(), vision.Normalize.from_stats(*vision.imagenet_stats)],
    )  # fmt: skip
    theirs: Epoch = loaders.train, lambda: sum(len(batch[0]) for batch in loaders.train)
    mine = ours(DATA, 0, None)
    costs = [(cost(theirs)[0], cost(mine)[0]) for _ in range(TURNS)]
    fastai, fulmen = (statistics.median(c[i] for c in costs) for i in (0, 1))
    print(f"\nfastai {1 / fastai:.0f} images/s of one core, no cache {1 / fulmen:.0f}")
    assert statistics.median(c[0] / c[1] for c in costs) >= AHEAD[None]


@pytest.mark.slow
@pytest.mark.benchmark(group="image loading")
def test_scanning_grows_linearly(tmp_path: Path) -> None:
    """Four times as many files take at most 5 times as long, and 150 bytes each while they are split."""
    counts = (10_000, 40_000)
    for count in counts:
        for i in range(count):
            path = tmp_path / str(count) / f"class_{i % 10}" / f"IMG_{i:08d}.png"
            path.parent.mkdir(parents=True, exist_ok=True) if i < 10 else None
            path.write_bytes(b"\x89PNG\r\n\x1a\n")
    seconds, bytes_each = dict.fromkeys(counts, math.inf), {}
    for count in counts * 5:  # in turns, so that what else the machine does weighs on both alike
        start = time.process_time()
        ImageFolderData(str(tmp_path / str(count))).setup("fit")
        seconds[count] = min(seconds[count], time.process_time() - start)
    for count in counts:
        tracemalloc.start()
        data = ImageFolderData(str(tmp_path / str(count)))
        data.setup("fit")
        held, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        bytes_each[count] = (held / count, peak / count)
        print(
            f"\n{count} files: {seconds[count]:.2f} s, {held / count:.0f} bytes a file held, {peak / count:.0f} at most"
        )
    assert seconds[40_000] <= 5 * seconds[10_000]
    assert bytes_each[40_000][0] <= 100
    assert bytes_each[40_000][1] <= 250
