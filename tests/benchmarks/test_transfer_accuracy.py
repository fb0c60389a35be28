"""What pretrained weights are worth, on ants/bees with the real MobileNetV2, through the command line.

uv run pytest tests/benchmarks/test_transfer_accuracy.py -o addopts= -s
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from tests.conftest import ROOT, Cli

DATA = ROOT.parent / "shared" / "data"
WEIGHTS = DATA / "mobilenetv2_100" / "mobilenetv2_100_imagenet_from_tflite.pth"
IMAGES = DATA / "hymenoptera" / "hymenoptera_data"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.benchmark(group="transfer"),
    pytest.mark.skipif(not (WEIGHTS.is_file() and IMAGES.is_dir()), reason=f"no ants/bees and MobileNetV2 in {DATA}"),
]


def accuracy(cli: Cli, folder: Path, config: str, *options: object) -> tuple[float, float]:
    """The validation accuracy of a run, and its seconds."""
    start = time.perf_counter()
    result = cli("fit", "--config", ROOT / "configs" / config, "--data.root", IMAGES, *options)
    seconds = time.perf_counter() - start
    assert result.code == 0, result.err
    versions = sorted((folder / "runs" / Path(config).stem).iterdir(), key=lambda path: int(path.name.split("_")[1]))
    found: float = json.loads((versions[-1] / "val_metrics.json").read_text())["val/accuracy"]
    return found, seconds


def test_the_shipped_config_reaches_95_percent(cli: Cli, tmp_path: Path) -> None:
    found, seconds = accuracy(cli, tmp_path, "ants_bees_feature_cache.yaml", "--model.weights", WEIGHTS)
    print(f"\nants/bees, features computed once, 30 epochs: {found:.1%} in {seconds:.0f} s")
    assert found >= 0.95


def test_pretrained_beats_random(cli: Cli, tmp_path: Path) -> None:
    """The same backbone, epochs, optimizer and rate; from random weights all layers are trained."""
    epochs = ("--trainer.max_epochs", 5)
    pretrained, _ = accuracy(cli, tmp_path, "ants_bees_transfer.yaml", "--model.weights", WEIGHTS, *epochs)
    random = ("--model.weights", "null", "--model.freeze", "none", *epochs)
    scratch, _ = accuracy(cli, tmp_path, "ants_bees_transfer.yaml", *random)
    print(f"\nants/bees, 5 epochs: pretrained {pretrained:.1%}, random {scratch:.1%}")
    assert pretrained >= scratch + 0.25
