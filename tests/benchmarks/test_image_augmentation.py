"""What the pipeline costs beside a loop over albumentations itself: ratios in one run, printed as a table.

Both apply the same transforms to the same images and stack a batch. The two take turns, batch by batch, so
that a machine that slows down slows both; the loop is given the pipeline's seeds outside of its time, so that
both draw the same numbers and do the same work, and the results are compared. The median of the ratios counts.

    uv run pytest tests/benchmarks/test_image_augmentation.py -o addopts= -s
"""

from __future__ import annotations

import os
import statistics
import time
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fulmen.augment import ImagePipeline, Streams, sample_keys

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
BATCH = 32
LIMIT = 1.05
Images = list[NDArray[np.uint8]]

PIPELINES: dict[str, list[dict[str, Any]]] = {
    "flip, crop": [
        {"name": "HorizontalFlip", "p": 0.5},
        {"name": "Pad", "padding": 4, "p": 1.0},
        {"name": "RandomCrop", "p": 1.0},
    ],
    "flip, affine, color, noise": [
        {"name": "HorizontalFlip", "p": 0.5},
        {"name": "Affine", "rotate": (-15, 15), "scale": (0.8, 1.25), "p": 1.0},
        {"name": "ColorJitter", "p": 1.0},
        {"name": "GaussNoise", "p": 0.5},
    ],
}


def sized(options: dict[str, Any], side: int) -> dict[str, Any]:
    return {**options, "height": side, "width": side} if options["name"] == "RandomCrop" else options


class ByHand:
    """``A.Compose([...])(image=...)`` in a loop, then one batch."""

    def __init__(self, specs: list[dict[str, Any]]) -> None:
        import albumentations as A

        made = [getattr(A, spec["name"])(**{k: v for k, v in spec.items() if k != "name"}) for spec in specs]
        self.streams = Streams()
        self.compose = A.Compose(made)
        self.compose.set_random_state(self.streams.numpy, self.streams.python)

    def seconds(self, images: Images, keys: list[int]) -> tuple[float, torch.Tensor]:
        total, out = 0.0, []
        for image, key in zip(images, keys, strict=True):
            self.streams.reseed(key)
            start = time.perf_counter()
            out.append(self.compose(image=image, force_apply=True)["image"])
            total += time.perf_counter() - start
        start = time.perf_counter()
        batch = torch.from_numpy(np.stack(out)).permute(0, 3, 1, 2)
        return total + time.perf_counter() - start, batch


@pytest.mark.slow
@pytest.mark.benchmark(group="image augmentation")
@pytest.mark.parametrize("side", [32, 224])
@pytest.mark.parametrize("name", PIPELINES)
def test_image_augmentation(name: str, side: int) -> None:
    import cv2

    cv2.setNumThreads(0)
    specs = [sized(options, side) for options in PIPELINES[name]]
    hand = ByHand(specs)
    pipeline = ImagePipeline([{**s, "name": f"albumentations.{s['name']}"} for s in specs], (3, side, side))
    images = list(np.random.default_rng(0).integers(0, 256, (BATCH, side, side, 3), dtype=np.uint8))
    ratios, ours, theirs = [], [], []
    for turn in range(400 if side == 32 else 60):
        index = torch.arange(turn * BATCH, (turn + 1) * BATCH)
        keys = sample_keys(0, 0, index.numpy()).tolist()

        def by_pipeline(index: torch.Tensor = index) -> tuple[float, torch.Tensor]:
            start = time.perf_counter()
            batch = pipeline(images, index)
            return time.perf_counter() - start, batch

        if turn % 2:
            (a, x), (b, y) = by_pipeline(), hand.seconds(images, keys)
        else:
            (b, y), (a, x) = hand.seconds(images, keys), by_pipeline()
        assert torch.equal(x, y)
        if turn >= 5:
            ratios, ours, theirs = [*ratios, a / b], [*ours, a], [*theirs, b]
    rate = [BATCH / statistics.median(times) for times in (theirs, ours)]
    ratio = statistics.median(ratios)
    print(
        f"\n{name:<28}{side:>4} px   by hand {rate[0]:7.0f}/s   pipeline {rate[1]:7.0f}/s   ratio of times {ratio:.3f}"
    )
    assert ratio <= LIMIT
