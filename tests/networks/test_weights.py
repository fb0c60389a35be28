"""Weights from files: what fits is loaded, and what does not is named."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from lightning.pytorch import Trainer
from safetensors.torch import save_file

from fulmen.core.errors import ConfigError
from fulmen.modules import MLPModule, TransferModule
from fulmen.networks import Transfer

NAME = "test_resnet"


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    model = timm.create_model(NAME, num_classes=7)
    model(torch.randn(8, 3, 32, 32))  # statistics that are not those of a new model
    saved: dict[str, torch.Tensor] = model.state_dict()
    return saved


def network(file: Path, **options: Any) -> Transfer:
    return Transfer((3, 32, 32), 3, options.pop("backbone", NAME), weights=file, **options)


def loaded(net: Transfer, state: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, state[n]) for n, value in net.model.state_dict().items() if not n.startswith("fc."))


@pytest.mark.parametrize("wrap", ["plain", "state_dict", "model_ema", "module.", "safetensors", "half"])
def test_forms_of_files(wrap: str, state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    file = tmp_path / ("weights.safetensors" if wrap == "safetensors" else "weights.pth")
    contents: Any = {
        "state_dict": {"epoch": 3, "state_dict": state},
        "model_ema": {"model": {}, "model_ema": state},
        "module.": {f"module.{name}": value for name, value in state.items()},
        "half": {name: value.half() if value.is_floating_point() else value for name, value in state.items()},
    }.get(wrap, state)
    save_file(contents, file) if wrap == "safetensors" else torch.save(contents, file)
    wanted = {n: v.float() for n, v in contents.items()} if wrap == "half" else state
    assert loaded(network(file), wanted)


def test_the_home_folder_is_known(
    state: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    torch.save(state, tmp_path / "weights.pth")
    assert loaded(network(Path("~/weights.pth")), state)


def test_what_was_loaded_is_said(
    state: dict[str, torch.Tensor], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.save(state, tmp_path / "weights.pth")
    with caplog.at_level("INFO"):
        network(tmp_path / "weights.pth")
    assert f"weights.pth is in {NAME}; new: fc.weight, fc.bias" in caplog.text


def test_the_file_s_tensors_are_let_go_of(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    """timm notes what a model was made from, and would keep every weight twice."""
    torch.save(state, tmp_path / "weights.pth")
    assert "state_dict" not in network(tmp_path / "weights.pth").model.pretrained_cfg


@pytest.mark.parametrize("name", ["layer2.0.conv1.weight", "layer1.0.bn1.running_mean", "bn1.bias"])
def test_one_weight_that_is_missing_is_named(name: str, state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save({n: v for n, v in state.items() if n != name}, tmp_path / "weights.pth")
    with pytest.raises(ConfigError, match=rf"1 of the \d+ weights of the model are not in the file \({name}\)"):
        network(tmp_path / "weights.pth")


def test_one_weight_that_is_not_used_is_named(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save({**state, "layer9.0.conv1.weight": torch.randn(4, 4)}, tmp_path / "weights.pth")
    with pytest.raises(ConfigError, match=r"1 of the \d+ weights of the file are not in the model \(layer9.0.conv1"):
        network(tmp_path / "weights.pth")


def test_shapes_that_differ_are_named(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save({**state, "layer1.0.conv1.weight": torch.randn(4, 4, 3, 3)}, tmp_path / "weights.pth")
    with pytest.raises(ConfigError, match=r"weights: .*does not fit 'test_resnet'.*\s+.*layer1.0.conv1.weight"):
        network(tmp_path / "weights.pth")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["deit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "convnext_atto", "efficientnet_b0", "mobilevit_xxs"],
)
def test_every_family_s_own_file_fits(name: str, tmp_path: Path) -> None:
    model = timm.create_model(name, num_classes=5)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    net = Transfer((3, 224, 224), 2, name, weights=tmp_path / "weights.pth")
    head = {f"{n}" for n, _ in model.named_parameters()} - {
        n for n, p in net.model.named_parameters() if not p.requires_grad
    }
    saved = model.state_dict()
    assert all(torch.equal(v, saved[n]) for n, v in net.model.state_dict().items() if n not in head)


def facts(**more: Any) -> dict[str, Any]:
    return {"input_shape": [3, 32, 32], "num_outputs": 2, "target_type": "multiclass", **more}


def checkpoint(module: Any, path: Path) -> Path:
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(path)
    return path


def test_a_checkpoint_of_another_task_is_a_start(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save(state, tmp_path / "weights.pth")
    first = TransferModule(NAME, weights=str(tmp_path / "weights.pth"), freeze="none", **facts(num_outputs=9))
    with torch.no_grad():
        first.network.model.layer4[0].conv1.weight.mul_(2)  # as if it had been trained
    file = checkpoint(first, tmp_path / "best.ckpt")
    second = TransferModule(NAME, weights=str(file), **facts())
    trained = {n: v for n, v in first.network.model.state_dict().items() if not n.startswith("fc.")}
    assert all(torch.equal(second.network.model.state_dict()[n], v) for n, v in trained.items())
    assert second.network.model.fc.weight.shape[0] == 2


def test_a_checkpoint_of_grey_images_is_a_start(tmp_path: Path) -> None:
    first = TransferModule(NAME, freeze="none", **facts(input_shape=[1, 32, 32]))
    file = checkpoint(first, tmp_path / "best.ckpt")
    grey = TransferModule(NAME, weights=str(file), **facts(input_shape=[1, 32, 32]))
    assert torch.equal(grey.network.model.conv1[0].weight, first.network.model.conv1[0].weight)


@pytest.mark.parametrize("activation", ["silu", {"name": "prelu"}])
def test_a_checkpoint_with_other_activations_is_a_start(
    activation: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = TransferModule(NAME, freeze="none", activation=activation, **facts(num_outputs=9))
    with torch.no_grad():
        for parameter in first.network.model.parameters():
            parameter.add_(torch.rand_like(parameter))  # as if it had been trained
    file = checkpoint(first, tmp_path / "best.ckpt")
    second = TransferModule(NAME, weights=str(file), activation=activation, **facts())
    theirs, ours = (net.network.model.state_dict() for net in (first, second))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[n], v) for n, v in theirs.items() if not n.startswith("fc."))
    assert "Unexpected keys" not in caplog.text  # timm's, which does not know them


def test_learnable_activations_start_anew_from_an_ordinary_file(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save(state, tmp_path / "weights.pth")
    net = network(tmp_path / "weights.pth", activation="prelu")
    own = {n: v for n, v in net.model.state_dict().items() if n not in state}
    assert own
    assert all(bool((v == 0.25).all()) for v in own.values())
    assert all(torch.equal(net.model.state_dict()[n], v) for n, v in state.items() if not n.startswith("fc."))


@pytest.mark.parametrize(
    ("first", "options", "message"),
    [
        (
            {"backbone": "test_resnet", "activation": "silu"},
            {"backbone": "test_resnet"},
            "was trained with activation: silu, and this model has activation: null; give activation: silu",
        ),
        (
            {"backbone": "test_resnet"},
            {"backbone": "test_efficientnet"},
            "was trained with backbone: test_resnet, and .*",
        ),
        (
            {"backbone": "test_efficientnet", "backbone_options": {"pad_type": "same"}},
            {"backbone": "test_efficientnet"},
            r"give backbone_options: \{'pad_type': 'same'\}",
        ),
    ],
)
def test_a_checkpoint_of_another_model_is_refused(
    first: dict[str, Any], options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    file = checkpoint(TransferModule(freeze="none", **first, **facts()), tmp_path / "best.ckpt")
    with pytest.raises(ConfigError, match=message):
        TransferModule(weights=str(file), **options, **facts())


def test_a_checkpoint_without_a_backbone_is_refused(tmp_path: Path) -> None:
    module = MLPModule([4], input_shape=[2], num_outputs=2, target_type="multiclass")
    file = checkpoint(module, tmp_path / "best.ckpt")
    with pytest.raises(ConfigError, match="is a checkpoint of MLPModule, which has no timm backbone"):
        TransferModule(NAME, weights=str(file), **facts())
