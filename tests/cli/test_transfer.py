"""Transfer learning, as a user types it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import yaml
from PIL import Image
from tests.conftest import Cli

from fulmen.data import ImageFolderData
from fulmen.networks import data_defaults

Write = Callable[..., Path]
NAME = "test_resnet"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Photos of two classes, which differ in colour."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 3)):
        for label, colour in (("ants", (200, 60, 60)), ("bees", (60, 60, 200))):
            folder = tmp_path / "images" / split / label
            folder.mkdir(parents=True)
            for i in range(count):
                noise = rng.integers(-40, 40, (60, 80, 3))
                Image.fromarray((np.array(colour) + noise).astype(np.uint8)).save(folder / f"{i}.png")
    return tmp_path / "images"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    torch.save(timm.create_model(NAME).state_dict(), tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


@pytest.fixture
def write(write_config: Write, images: Path, weights: Path) -> Callable[..., Path]:
    def config(model: dict[str, Any] | None = None, data: dict[str, Any] | None = None, **changes: Any) -> Path:
        arguments = {"backbone": NAME, "weights": str(weights), "optimizer": {"name": "adam", "lr": 0.05}}
        return write_config(
            model={"class_path": "TransferModule", "init_args": {**arguments, **(model or {})}},
            data={
                "class_path": "ImageFolderData",
                "init_args": {"root": str(images), "batch_size": 4, "num_workers": 0, **(data or {})},
            },
            trainer={"max_epochs": 2, "enable_model_summary": False},
            **changes,
        )

    return config


def saved_config(tmp_path: Path, version: int = 0) -> Any:
    return yaml.safe_load((tmp_path / "runs" / "small" / f"version_{version}" / "config.yaml").read_text())


def test_the_data_are_prepared_as_for_the_backbone(cli: Cli, write: Write, tmp_path: Path) -> None:
    result = cli("fit", "--config", write())
    assert result.code == 0, result.err
    wanted = data_defaults(NAME)
    used = saved_config(tmp_path)["data"]["init_args"]
    assert {name: used[name] for name in wanted} == wanted
    assert wanted["image_size"] == 160
    assert wanted["crop"] == 0.95
    again = cli("validate", "--config", write(), "--ckpt_path", "best")
    assert again.code == 0, again.err


def test_what_is_given_stays(cli: Cli, write: Write, tmp_path: Path) -> None:
    result = cli("fit", "--config", write(data={"image_size": 64, "crop": 1.0}), "--data.mean", "[0.1, 0.2, 0.3]")
    assert result.code == 0, result.err
    used = saved_config(tmp_path)["data"]["init_args"]
    assert (used["image_size"], used["crop"], used["mean"]) == (64, 1.0, [0.1, 0.2, 0.3])
    assert (used["std"], used["interpolation"]) == (data_defaults(NAME)["std"], "bilinear")


def test_other_models_leave_the_data_alone(cli: Cli, write_config: Write, images: Path, tmp_path: Path) -> None:
    path = write_config(
        model={"class_path": "CNNModule", "init_args": {"channels": [4]}},
        data={"class_path": "ImageFolderData", "init_args": {"root": str(images), "num_workers": 0}},
    )
    result = cli("fit", "--config", path)
    assert result.code == 0, result.err
    assert saved_config(tmp_path)["data"]["init_args"]["image_size"] is None
    assert ImageFolderData(str(images)).input_shape == [3, 224, 224]


def test_the_sheet_of_augmentations_is_of_the_backbone_s_size(cli: Cli, write: Write, tmp_path: Path) -> None:
    path = write(data={"augment": ["albumentations.Transpose"]})
    assert cli("augment", "--config", path, "--out", tmp_path / "sheet.png").code == 0
    assert cli("check", "--config", path).code == 0


def test_offline(cli: Cli, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    result = cli("fit", "--config", write({"weights": None, "pretrained": True}))
    assert result.code == 2
    assert result.error.startswith("pretrained: the weights of 'test_resnet' could not be fetched (model.safetensors")
    assert not (tmp_path / "runs").exists()  # and no random start


def test_a_run_is_the_start_of_another(cli: Cli, write: Write, tmp_path: Path) -> None:
    first = cli("fit", "--config", write({"freeze": "none"}))
    assert first.code == 0, first.err
    best = tmp_path / "runs" / "small" / "version_0" / "checkpoints" / "best.ckpt"
    second = cli("fit", "--config", write({"weights": str(best)}))
    assert second.code == 0, second.err
    states = [torch.load(tmp_path / f"runs/small/version_{v}/checkpoints/best.ckpt", weights_only=True) for v in (0, 1)]
    name = "network.model.layer4.0.conv1.weight"
    assert torch.equal(states[0]["state_dict"][name], states[1]["state_dict"][name])
    other = cli("fit", "--config", write({"weights": str(best), "backbone": "test_efficientnet"}))
    assert other.code == 2
    assert "was trained with backbone: test_resnet" in other.error


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"crop": 0.0}, "crop: 0.0 is out of range; allowed: 0 < crop <= 1"),
        ({"image_size": 0}, "image_size: 0 is out of range"),
        ({"interpolation": "bicubik"}, "interpolation"),
    ],
)
def test_mistakes_in_the_data(cli: Cli, write: Write, data: dict[str, Any], message: str) -> None:
    result = cli("fit", "--config", write(data=data))
    assert result.code == 2
    assert message in result.error
