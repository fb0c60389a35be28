"""Every shipped config: it names its command on its first line, parses completely, and runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tests.conftest import ROOT, Cli

CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
DATA = ROOT.parent / "shared" / "data"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_first_line_is_the_command(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    assert first.startswith(f"# lightning fit --config configs/{path.name}")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_config_runs(cli: Cli, path: Path, tmp_path: Path) -> None:
    options: list[object] = ["--trainer.max_epochs", 2]
    if path.stem == "ants_bees_transfer":
        options += own_images(tmp_path)
    if path.stem == "fashion_mnist_cnn":
        options += ["--data.download", "false"]
    result = cli("fit", "--config", path, *options)
    if path.stem == "fashion_mnist_cnn":  # nothing is fetched in a test
        assert result.code == 2
        assert "FashionMNIST is not in" in result.error
        assert "Offline?" in result.error
        return
    assert result.code == 0, result.err
    assert (tmp_path / "runs" / path.stem / "version_0" / "checkpoints" / "best.ckpt").is_file()


def own_images(folder: Path) -> list[object]:
    """Images and backbone weights that take the place of real ones."""
    import timm

    rng = np.random.default_rng(0)
    for name in ("train/ants", "train/bees", "val/ants", "val/bees"):
        (folder / "images" / name).mkdir(parents=True)
        for i in range(4):
            Image.fromarray(rng.integers(0, 256, (60, 80, 3), np.uint8)).save(folder / "images" / name / f"{i}.jpg")
    weights = folder / "weights.pth"
    torch.save(timm.create_model("mobilenetv2_100").state_dict(), weights)
    return [
        "--data.root",
        folder / "images",
        "--data.image_size",
        64,
        "--data.num_workers",
        0,
        "--model.weights",
        weights,
    ]


def scores(folder: Path, stage: str = "test") -> dict[str, float]:
    found: dict[str, float] = json.loads((folder / f"{stage}_metrics.json").read_text())
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "metric", "least"),
    [
        ("digits_mlp", "accuracy", 0.97),
        ("digits_cnn", "accuracy", 0.985),
        ("iris_mlp", "accuracy", 0.9),
        ("wine_linear", "accuracy", 0.93),
        ("breast_cancer_mlp", "auroc", 0.98),
        ("diabetes_mlp", "r2", 0.35),
        ("spirals_mlp", "accuracy", 0.97),
    ],
)
def test_accuracy_of_shipped_configs(cli: Cli, name: str, metric: str, least: float, tmp_path: Path) -> None:
    assert cli("fit", "--config", ROOT / "configs" / f"{name}.yaml").code == 0
    assert scores(tmp_path / "runs" / name / "version_0")[f"test/{metric}"] >= least


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="the real data are not here")
def test_ants_and_bees(cli: Cli, tmp_path: Path) -> None:
    weights = DATA / "mobilenetv2_100" / "mobilenetv2_100_imagenet_from_tflite.pth"
    images = DATA / "hymenoptera" / "hymenoptera_data"
    path = ROOT / "configs" / "ants_bees_transfer.yaml"
    assert yaml.safe_load(path.read_text())["trainer"]["max_epochs"] == 5
    assert cli("fit", "--config", path, "--data.root", images, "--model.weights", weights).code == 0
    assert scores(tmp_path / "runs" / path.stem / "version_0", "val")["val/accuracy"] >= 0.94
