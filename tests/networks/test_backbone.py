"""Backbones: made as their training was, or an error within seconds."""

import time
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from fulmen.core.errors import ConfigError
from fulmen.networks import Transfer, backbone, data_defaults

NAME = "test_resnet"


@pytest.mark.parametrize("name", ["resnet18", "inception_v3", "vgg11", "convnext_atto", "vit_tiny_patch16_224"])
def test_data_are_prepared_as_timm_does(name: str) -> None:
    wanted: dict[str, Any] = timm.data.resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(name).to_dict())
    found = data_defaults(name)
    assert found["image_size"] == wanted["input_size"][-1]
    assert (tuple(found["mean"]), tuple(found["std"])) == (wanted["mean"], wanted["std"])
    assert (found["interpolation"], found["crop"]) == (wanted["interpolation"], wanted["crop_pct"])


def test_a_model_of_one_size_is_made_for_another(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = timm.create_model("test_vit", num_classes=4)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    net = Transfer((3, 96, 128), 2, "test_vit", weights=tmp_path / "weights.pth")
    assert net(torch.randn(2, 3, 96, 128)).shape == (2, 2)
    overlay = {"file": str(tmp_path / "weights.pth")}
    reference = timm.create_model(
        "test_vit", pretrained=True, pretrained_cfg_overlay=overlay, num_classes=2, img_size=(96, 128)
    )
    assert torch.equal(net.model.pos_embed, reference.pos_embed)


def test_as_many_classes_as_imagenet(tmp_path: Path) -> None:
    """The file's head goes, whatever its width is: the classes are others."""
    torch.save(timm.create_model(NAME, num_classes=7).state_dict(), tmp_path / "weights.pth")
    net = Transfer((3, 32, 32), 1000, NAME, weights=tmp_path / "weights.pth")
    assert net(torch.randn(1, 3, 32, 32)).shape == (1, 1000)


@pytest.fixture
def empty_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub whose cache is empty, and that nobody answers for."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # the port where nothing is kept
    return tmp_path / "hub"


def test_offline_is_said_at_once(empty_hub: Path) -> None:
    start = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        Transfer((3, 32, 32), 2, NAME, pretrained=True)
    assert time.monotonic() - start < 30  # the hub's own attempts go on for three quarters of a minute
    text = str(caught.value)
    for part in ("model.safetensors of timm/test_resnet.r160_in1k", str(empty_hub), "127.0.0.1:9", "--model.weights"):
        assert part in text


def test_a_host_that_does_not_answer_is_not_waited_for(empty_hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbone, "_PATIENCE", 0.05)

    def slow(*args: Any, **kwargs: Any) -> None:
        time.sleep(0.5)
        raise TimeoutError

    monkeypatch.setattr("urllib.request.urlopen", slow)
    with pytest.raises(ConfigError, match=r"no answer within 0\.05 s"):
        Transfer((3, 32, 32), 2, NAME, pretrained=True)


def test_switched_off(empty_hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match="HF_HUB_OFFLINE is set"):
        Transfer((3, 32, 32), 2, NAME, pretrained=True)


def test_weights_that_are_in_the_cache_need_no_network(empty_hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    state = timm.create_model(NAME).state_dict()
    folder = empty_hub / "models--timm--test_resnet.r160_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc").mkdir(parents=True)
    save_file(state, folder / "snapshots" / "abc" / "model.safetensors")
    net = Transfer((3, 32, 32), 2, NAME, pretrained=True)
    assert torch.equal(net.model.layer2[0].conv1.weight, state["layer2.0.conv1.weight"])
    assert not constants.HF_HUB_OFFLINE


def test_weights_at_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few of timm's models are on no hub."""
    cfg = timm.get_pretrained_cfg(NAME)
    monkeypatch.setattr(cfg, "hf_hub_id", None)
    monkeypatch.setattr(cfg, "url", "http://127.0.0.1:9/weights.pth")
    monkeypatch.setattr(timm, "get_pretrained_cfg", lambda name: cfg)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1:9/weights\.pth, which is not in .*checkpoints"):
        Transfer((3, 32, 32), 2, NAME, pretrained=True)


def test_a_model_without_weights() -> None:
    name = next(n for n in timm.list_models("resnet*") if not timm.is_model_pretrained(n))
    with pytest.raises(ConfigError, match="timm has no weights of"):
        Transfer((3, 32, 32), 2, name, pretrained=True)


@pytest.mark.parametrize(
    ("name", "message"),
    [("resnet81", "did you mean 'resnet"), ("resnet18.nope", r"Pretrained: resnet18\.a1_in1k")],
)
def test_names_that_are_none(name: str, message: str) -> None:
    for make in (lambda: data_defaults(name), lambda: Transfer((3, 32, 32), 2, name, freeze="none")):
        with pytest.raises(ConfigError, match=message):
            make()
