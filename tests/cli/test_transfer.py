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


def test_a_run_with_learnable_activations_is_the_start_of_another(cli: Cli, write: Write, tmp_path: Path) -> None:
    first = cli("fit", "--config", write({"freeze": "none", "activation": "prelu"}))
    assert first.code == 0, first.err
    best = tmp_path / "runs" / "small" / "version_0" / "checkpoints" / "best.ckpt"
    second = cli("fit", "--config", write({"weights": str(best), "activation": "prelu"}))
    assert second.code == 0, second.err
    assert "Unexpected keys" not in second.err
    other = cli("fit", "--config", write({"weights": str(best)}))
    assert other.code == 2
    assert "was trained with activation: prelu, and this model has activation: null; give" in other.error


def test_a_checkpoint_needs_no_file_of_weights(cli: Cli, write: Write, weights: Path) -> None:
    assert cli("fit", "--config", write()).code == 0
    weights.unlink()
    for config in (write(), write({"weights": None})):
        for command in (["validate"], ["model", "--ckpt_path", "last"], ["fit", "--ckpt_path", "last"]):
            result = cli(*command, "--config", config)
            assert result.code == 0, result.err


@pytest.mark.parametrize("change", [{"freeze": 2}, {"freeze": "none", "layer_decay": 0.5}])
def test_what_is_trained_stays_in_a_resumed_run(cli: Cli, write: Write, change: dict[str, Any]) -> None:
    assert cli("fit", "--config", write()).code == 0
    result = cli("fit", "--config", write(change), "--ckpt_path", "last")
    assert result.code == 2
    assert "last.ckpt: its optimizer trained other parameters" in result.error
    assert f"freeze: all (the config says {change['freeze']})" in result.error
    assert "`--model.weights runs/small/version_0/checkpoints/last.ckpt`" in result.error


def test_another_backbone_s_checkpoint_is_refused_in_a_few_lines(cli: Cli, write: Write, tmp_path: Path) -> None:
    assert cli("fit", "--config", write()).code == 0
    other = write({"backbone": "test_efficientnet", "weights": None, "freeze": "none"})
    result = cli("fit", "--config", other, "--ckpt_path", "last")
    assert result.code == 2
    assert "its weights do not fit this model" in result.error
    assert len(result.error) < 2000


def test_a_resumed_run_without_its_average(cli: Cli, write: Write) -> None:
    assert cli("fit", "--config", write(), "--ema", "{}").code == 0
    result = cli("fit", "--config", write(), "--ckpt_path", "last")
    assert result.code == 0, result.err
    assert "ema or swa: it goes on from their average, as this run has neither" in result.out
    assert "ema or swa" not in cli("fit", "--config", write(), "--ema", "{}", "--ckpt_path", "last").out


def test_a_training_without_validation_batches(cli: Cli, write: Write) -> None:
    without = ["--trainer.limit_val_batches", "0", "--early_stopping", "null", "--checkpoint", "null"]
    result = cli("fit", "--config", write(), *without, "--ema", "{}")
    assert result.code == 0, result.err


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
