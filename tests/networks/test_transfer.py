"""Transfer: small timm backbones, freezing, weights from files."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from fulmen.core.errors import ConfigError
from fulmen.core.restoring import restoring
from fulmen.networks import Transfer

REAL = (
    Path(__file__).parents[2].parent
    / "shared"
    / "data"
    / "mobilenetv2_100"
    / "mobilenetv2_100_imagenet_from_tflite.pth"
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A resnet18 with a head of 7 classes, as somebody would have saved it."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(timm.create_model("resnet18", num_classes=7).state_dict(), path)
    return path


def train(net: nn.Module, size: int = 32, steps: int = 2) -> None:
    """A few steps of plain SGD on noise."""
    net.train()
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1, weight_decay=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        net(torch.randn(4, 3, size, size)).square().sum().backward()
        optimizer.step()


def changed(net: nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}


def snapshot(net: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


@pytest.mark.parametrize(
    ("backbone", "size", "channels"),
    [
        ("resnet18", 64, 1),
        ("mobilenetv2_100", 64, 4),
        pytest.param("vgg11", 32, 1, marks=pytest.mark.slow),  # 128 million weights
        pytest.param("resnet18", 64, 4, marks=pytest.mark.slow),
        pytest.param("mobilenetv2_100", 64, 1, marks=pytest.mark.slow),
    ],
)
def test_shape(backbone: str, size: int, channels: int) -> None:
    net = Transfer((channels, size, size), 5, backbone, freeze="none")
    assert net(torch.randn(2, channels, size, size)).shape == (2, 5)


@pytest.mark.slow
def test_freeze_none_trains_everything() -> None:
    net = Transfer((3, 32, 32), 2, "resnet18", freeze="none")
    assert all(p.requires_grad for p in net.parameters())
    before = snapshot(net)
    train(net)
    assert changed(net, before) == set(before)


def test_freeze_all_trains_the_head_alone(weights: Path) -> None:
    net = Transfer((3, 32, 32), 2, "resnet18", weights=weights)
    assert {n for n, p in net.named_parameters() if p.requires_grad} == {"model.fc.weight", "model.fc.bias"}
    before = snapshot(net)
    train(net)
    assert changed(net, before) == {"model.fc.weight", "model.fc.bias"}  # no statistic of a norm layer either


@pytest.mark.parametrize(("stages", "prefixes"), [(1, ("conv1", "bn1")), (3, ("conv1", "bn1", "layer1", "layer2"))])
def test_freeze_first_stages(stages: int, prefixes: tuple[str, ...]) -> None:
    net = Transfer((3, 32, 32), 2, "resnet18", freeze=stages)
    frozen = {n for n, p in net.named_parameters() if not p.requires_grad}
    assert frozen == {n for n, _ in net.named_parameters() if n.removeprefix("model.").startswith(prefixes)}
    before = snapshot(net)
    train(net)
    still = {n for n in before if n.removeprefix("model.").startswith(prefixes)}
    assert changed(net, before) == set(before) - still


def test_freeze_first_stages_of_mobilenet() -> None:
    net = Transfer((3, 32, 32), 2, "mobilenetv2_100", freeze=3)
    frozen = {n.split(".")[1] + "." + n.split(".")[2] for n, p in net.named_parameters() if not p.requires_grad}
    assert {n for n in frozen if n.startswith("blocks")} == {"blocks.0", "blocks.1"}
    assert {n.split(".")[0] for n in frozen} == {"conv_stem", "bn1", "blocks"}


def test_every_stage_but_the_head_can_be_frozen(weights: Path) -> None:
    net = Transfer((3, 32, 32), 2, "resnet18", freeze=5, weights=weights)
    assert {n for n, p in net.named_parameters() if p.requires_grad} == {"model.fc.weight", "model.fc.bias"}
    with pytest.raises(ConfigError, match="5 stages before its head, got 6"):
        Transfer((3, 32, 32), 2, "resnet18", freeze=6)
    with pytest.raises(ConfigError, match="got -1"):
        Transfer((3, 32, 32), 2, "resnet18", freeze=-1)


def test_frozen_layers_stay_in_evaluation_mode() -> None:
    net = Transfer((3, 32, 32), 2, "resnet18", freeze=2)
    for _ in range(2):
        net.train()
        assert not net.model.layer1[0].bn1.training
        assert net.model.layer2[0].bn1.training
        net.eval()
        assert not net.model.layer2[0].bn1.training


def test_weights_of_another_head_are_loaded(weights: Path) -> None:
    saved = torch.load(weights, weights_only=True)
    torch.manual_seed(5)
    net = Transfer((3, 32, 32), 3, "resnet18", weights=str(weights))
    for name, value in net.model.state_dict().items():
        if name.startswith("fc."):
            assert value.shape[0] == 3
        else:
            assert torch.equal(value, saved[name]), name


@pytest.mark.parametrize("outputs", [1, 10])
def test_head_starts_small_whatever_its_width(outputs: int) -> None:
    head = Transfer((3, 32, 32), outputs, "mobilenetv2_100", freeze="none").model.get_classifier()
    bound = head.in_features**-0.5  # torch's own for a linear layer
    assert 0.9 * bound < head.weight.abs().max() <= bound
    assert head.bias.abs().max() <= bound


def test_first_layer_is_adapted_to_grey_images(weights: Path) -> None:
    saved = torch.load(weights, weights_only=True)
    net = Transfer((1, 32, 32), 3, "resnet18", weights=weights)
    torch.testing.assert_close(net.model.conv1.weight, saved["conv1.weight"].sum(1, keepdim=True))
    assert torch.equal(net.model.layer1[0].conv1.weight, saved["layer1.0.conv1.weight"])
    assert Transfer((5, 32, 32), 3, "resnet18", weights=weights)(torch.randn(1, 5, 32, 32)).shape == (1, 3)


def test_safetensors(weights: Path, tmp_path: Path) -> None:
    saved = torch.load(weights, weights_only=True)
    save_file(saved, tmp_path / "resnet18.safetensors")
    net = Transfer((3, 32, 32), 3, "resnet18", weights=tmp_path / "resnet18.safetensors")
    assert torch.equal(net.model.layer4[1].conv2.weight, saved["layer4.1.conv2.weight"])


def test_restoring_needs_no_file() -> None:
    with restoring():
        net = Transfer((3, 32, 32), 3, "resnet18", weights="gone.pth")
        Transfer((3, 32, 32), 3, "resnet18", pretrained=True)  # would fetch them
    assert [n for n, p in net.named_parameters() if p.requires_grad] == ["model.fc.weight", "model.fc.bias"]


def renamed(saved: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"network.backbone.{name}": value for name, value in saved.items()}


@pytest.mark.parametrize("case", ["prefix", "smaller", "larger", "other"])
def test_weights_that_do_not_fit_are_not_silently_ignored(case: str, weights: Path, tmp_path: Path) -> None:
    file, backbone = tmp_path / "weights.pth", "resnet18"
    if case == "prefix":
        torch.save(renamed(torch.load(weights, weights_only=True)), file)
    elif case == "smaller":
        file, backbone = weights, "resnet34"
    elif case == "larger":
        torch.save(timm.create_model("resnet34").state_dict(), file)
    else:
        torch.save(nn.Sequential(nn.Linear(3, 4)).state_dict(), file)
    with pytest.raises(ConfigError, match=r"weights: .* does not fit"):
        Transfer((3, 32, 32), 3, backbone, weights=file)


def test_weights_of_other_shapes(tmp_path: Path) -> None:
    torch.save(timm.create_model("resnet50").state_dict(), tmp_path / "weights.pth")
    with pytest.raises(ConfigError, match="size mismatch") as caught:
        Transfer((3, 32, 32), 3, "resnet18", weights=tmp_path / "weights.pth")
    assert "tensor(" not in str(caught.value)


def test_weights_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no file '.*gone\.pth'"):
        Transfer((3, 32, 32), 3, weights=tmp_path / "gone.pth")
    for name in ("broken.pth", "broken.safetensors"):
        (tmp_path / name).write_bytes(b"this is no weight file")
        with pytest.raises(ConfigError, match=rf"{name}' cannot be read"):
            Transfer((3, 32, 32), 3, weights=tmp_path / name)
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    with pytest.raises(ConfigError, match="holds no tensors"):
        Transfer((3, 32, 32), 3, weights=tmp_path / "empty.pth")


def test_weights_are_loaded_safely(tmp_path: Path) -> None:
    torch.save(timm.create_model("resnet18"), tmp_path / "whole_model.pth")  # a pickle, which could run any code
    with pytest.raises(ConfigError, match="cannot be read"):
        Transfer((3, 32, 32), 3, weights=tmp_path / "whole_model.pth")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "resnet81"}, "did you mean 'resnet"),
        ({"backbone": "resnet18", "backbone_options": {"no_such_option": 1}}, "'resnet18' refuses .*no_such_option"),
        ({"backbone": "vgg11", "drop_path_rate": 0.1}, "'vgg11' refuses .*drop_path_rate=0.1"),
        ({"drop_rate": 1.0}, "drop_rate: 1.0 is out of range; allowed: 0 <= drop_rate < 1"),
        ({"drop_path_rate": -0.1}, "drop_path_rate: -0.1 is out of range"),
        ({"input_shape": (64,)}, "takes images"),
        ({"freeze": "all"}, "random features"),
        ({"freeze": 5}, "freeze: 5 would train a head on random features"),
        ({"freeze": "until: fc"}, "freeze: 'until: fc' would train a head on random features; give `pretrained: true`"),
    ],
)
def test_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Transfer(**{"input_shape": (3, 32, 32), "num_outputs": 2, "freeze": "none", **options})


@pytest.mark.parametrize(("freeze", "where"), [("none", "weights;"), (2, "weights, also where it is frozen;")])
def test_a_random_start_is_said(freeze: Any, where: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        Transfer((3, 32, 32), 2, "test_resnet", freeze=freeze)
    assert f"test_resnet starts from random {where} for trained ones give `pretrained: true`" in caplog.text


def test_options_reach_the_backbone() -> None:
    net = Transfer(
        (3, 32, 32), 2, drop_rate=0.3, drop_path_rate=0.2, freeze="none", backbone_options={"act_layer": "gelu"}
    )
    assert net.model.drop_rate == 0.3
    assert any("GELU" in type(m).__name__ for m in net.modules())
    assert any(type(m).__name__ == "DropPath" for m in net.modules())


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_file(), reason=f"the real weights are not at {REAL}")
def test_real_weights() -> None:
    options = {"pad_type": "same"}
    reference = timm.create_model("mobilenetv2_100", **options).eval()
    reference.load_state_dict(torch.load(REAL, weights_only=True))
    x = torch.rand(2, 3, 224, 224)
    expected = reference.forward_features(x)
    for outputs in (2, 1000):  # 1000 is ImageNet's own number of classes
        net = Transfer((3, 224, 224), outputs, "mobilenetv2_100", weights=REAL, backbone_options=options).eval()
        torch.testing.assert_close(net.model.forward_features(x), expected)
        assert net(x).shape == (2, outputs)
        assert outputs != 1000 or not torch.allclose(net(x), reference(x))  # the head is new all the same
