"""What a classifier gets, and batch normalization that is folded away."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fulmen.core.errors import ConfigError
from fulmen.networks import Transfer
from fulmen.networks.features import classifier_inputs, classify, folded


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def lively(model: Any) -> Any:
    """A model in evaluation mode whose norm layers have statistics as if it had been trained."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return model.eval()


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, _BatchNorm) for module in model.modules())


@pytest.mark.parametrize(
    ("backbone", "left"),
    [
        ("test_resnet", 0),
        ("test_efficientnet", 0),
        ("test_byobnet", 0),
        ("mobilenetv3_small_050", 0),
        ("regnetx_002", 0),
        ("ghostnet_050", 0),
        ("test_convnext", 0),
        ("test_vit", 0),
        ("test_nfnet", 0),
        pytest.param("densenet121", 62, marks=pytest.mark.slow),  # its norm layers come before their convolutions
        pytest.param("inception_v3", 0, marks=pytest.mark.slow),
        pytest.param("vgg11_bn", 0, marks=pytest.mark.slow),
    ],
)
def test_folding_keeps_the_outputs(backbone: str, left: int) -> None:
    model = lively(timm.create_model(backbone, num_classes=3))
    size = model.default_cfg.get("input_size", (3, 96, 96))[-1] if "vit" in backbone else 96
    images = torch.randn(2, 3, size, size)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    made = folded(model, images[:1])
    with torch.no_grad():
        expected, found = model(images), made(images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    assert norms(made) == left
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(p.requires_grad for p in made.parameters())


def test_folded_weights_are_those_of_torch() -> None:
    model = lively(nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5)))
    expected = fuse_conv_bn_eval(model[0], model[1])
    (found,) = [m for m in folded(model, torch.randn(1, 3, 8, 8)).modules() if isinstance(m, nn.Conv2d)]
    torch.testing.assert_close(found.weight.contiguous(), expected.weight)
    torch.testing.assert_close(found.bias, expected.bias)


class Branching(nn.Module):
    """Convolutions that a batch normalization follows, but not alone, or not always."""

    def __init__(self) -> None:
        super().__init__()
        self.read_twice, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.run_twice, self.other_norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.changed, self.third_norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        made = self.read_twice(x)
        x = self.norm(made) + made
        x = self.other_norm(self.run_twice(x)) + self.run_twice(x)
        return self.third_norm(self.changed(x).mul_(2))


class Standardized(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x, self.weight / self.weight.std(), self.bias)


def test_what_cannot_be_folded_is_left() -> None:
    model, images = lively(Branching()), torch.randn(2, 3, 8, 8)
    made = folded(model, images)
    assert norms(made) == 3
    torch.testing.assert_close(made(images), model(images))
    model = lively(nn.Sequential(Standardized(3, 4, 1), nn.BatchNorm2d(4)))
    made = folded(model, images)
    assert norms(made) == 1
    torch.testing.assert_close(made(images), model(images))


@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit", "test_convnext", "mobilenetv3_small_050"])
def test_features_are_those_of_timm(backbone: str) -> None:
    model: Any = timm.create_model(backbone, num_classes=3).eval()
    size = 160 if "vit" in backbone else 64
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        found = classifier_inputs(model, images)
        torch.testing.assert_close(found, model.forward_head(model.forward_features(images), pre_logits=True))
        assert torch.equal(classify(model, found), model(images))


def test_a_convolution_as_classifier() -> None:
    model: Any = lively(timm.create_model("resnetv2_50", num_classes=3, layers=(1, 1, 1, 1)))
    assert isinstance(model.get_classifier(), nn.Conv2d)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        found = classifier_inputs(model, images)
        assert found.ndim == 2
        torch.testing.assert_close(classify(model, found), model(images))


def test_other_heads_are_refused() -> None:
    distilled = timm.create_model("deit_tiny_distilled_patch16_224", depth=1, img_size=32)
    with pytest.raises(ConfigError, match="no single classifier, but tuple"):
        classifier_inputs(distilled, torch.randn(1, 3, 32, 32))

    class Spatial(nn.Module):
        head = nn.Conv2d(3, 2, 1)

        def get_classifier(self) -> nn.Module:
            return self.head

        def forward(self, x: Tensor) -> Tensor:
            return self.head(x).mean((2, 3))

    with pytest.raises(ConfigError, match=r"takes \[\(1, 3, 4, 4\)\], not one row of features for each image"):
        classifier_inputs(Spatial(), torch.randn(1, 3, 4, 4))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "weights.pth"
    torch.save(lively(timm.create_model("test_efficientnet")).state_dict(), path)
    return path


def test_transfer_takes_features(weights: Path) -> None:
    net = Transfer((3, 64, 64), 2, "test_efficientnet", weights=weights, drop_rate=0.5)
    net.train()
    images = torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        features = net.features(images)
        assert net.training
        torch.manual_seed(3)
        expected = net(images)
        torch.manual_seed(3)
        torch.testing.assert_close(net(features), expected)
        net.eval()
        torch.testing.assert_close(net(features), net(images))
        assert not torch.equal(net(images), expected)  # dropout was on


def test_frozen_layers_keep_nothing_for_the_backward_pass(weights: Path) -> None:
    net = Transfer((3, 64, 64), 2, "test_efficientnet", weights=weights)
    head = net.model.get_classifier()
    net.train()
    kept: list[tuple[int, ...]] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tuple(tensor.shape))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        net(torch.randn(4, 3, 64, 64)).sum().backward()
    assert set(kept) <= {(4, head.in_features), (2, head.in_features), (head.in_features, 2)}
    assert {name for name, p in net.model.named_parameters() if p.grad is not None} == {
        "classifier.weight",
        "classifier.bias",
    }
    thawed = copy.deepcopy(net)
    thawed.requires_grad_(True)
    kept.clear()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        thawed(torch.randn(4, 3, 64, 64))
    assert len(kept) > 20  # the hooks do see what is kept
