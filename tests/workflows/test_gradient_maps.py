"""Grad-CAM, against its closed form and against plain autograd."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from fulmen.core.errors import ConfigError
from fulmen.modules import CNNModule, NetworkModule, TransferModule
from fulmen.networks import CNN, MLP
from fulmen.workflows import grad_cam, overlay
from fulmen.workflows.gradient_maps import class_activation


def images(count: int = 3, channels: int = 1, side: int = 16) -> Tensor:
    return torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(1))


def shown(small: Tensor, side: int) -> Tensor:
    """Maps ``(N, h, w)`` as Grad-CAM shows them."""
    large = functional.interpolate(small.relu()[:, None], (side, side), mode="bilinear", align_corners=False)[:, 0]
    return large / large.amax((1, 2), keepdim=True).clamp_min(1e-30)


def with_plain_autograd(network: nn.Module, layer: nn.Module, x: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """A layer's output and the gradient of the classes' logits, through the whole network."""
    kept: list[Tensor] = []
    handle = layer.register_forward_hook(lambda m, a, output: kept.append(output))
    logits = network.eval()(x)
    handle.remove()
    (gradients,) = torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), kept[0])
    return kept[0].detach(), gradients


def cnn(**options: Any) -> CNN:
    torch.manual_seed(0)
    return CNN((1, 16, 16), 3, channels=[4, 8], pooling="stride", **options)


@pytest.mark.parametrize("classes", [None, torch.tensor([2, 0, 1])])
def test_it_is_cam_where_a_mean_and_a_linear_layer_follow(classes: Tensor | None) -> None:
    """Zhou et al. 2016: the weights of the class times the map; Grad-CAM's are these over the number of places."""
    network, x = cnn().eval(), images()
    with torch.no_grad():
        activations, logits = network.features(x), network(x)
    wanted = logits.argmax(1) if classes is None else classes
    cam = torch.einsum("nk,nkhw->nhw", network.head.weight[wanted].detach(), activations)
    found = grad_cam(network, x, classes)
    assert found.layer == "features"
    assert found.classes.tolist() == wanted.tolist()
    torch.testing.assert_close(found.maps, shown(cam, 16))


def test_a_yes_no_model_has_maps_of_both() -> None:
    module = CNNModule(channels=[4, 8], pooling="stride", input_shape=[1, 16, 16], num_outputs=1, target_type="binary")
    x = images()
    network: Any = module.eval().network
    with torch.no_grad():
        activations = network.features(x)
    cam = torch.einsum("k,nkhw->nhw", network.head.weight[0].detach(), activations)
    yes, no = (grad_cam(module, x, torch.full((3,), c)) for c in (1, 0))
    torch.testing.assert_close(yes.maps, shown(cam, 16))
    torch.testing.assert_close(no.maps, shown(-cam, 16))
    predicted = grad_cam(module, x)
    assert predicted.classes.tolist() == (module(x).detach().flatten() > 0).long().tolist()


def test_the_layer_before_the_last_pooling() -> None:
    network = CNN((1, 16, 16), 3, channels=[4, 8], pooling="max", head="flatten").eval()
    x, classes = images(), torch.tensor([0, 1, 2])
    found = grad_cam(network, x, classes)
    assert isinstance(network.get_submodule(found.layer), nn.ReLU)  # of the last stage, not the pooling after it
    activations, gradients = with_plain_autograd(network, network.get_submodule(found.layer), x, classes)
    assert activations.shape == (3, 8, 8, 8)
    torch.testing.assert_close(found.maps, shown(class_activation(activations, gradients), 16))


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext"])
def test_backbones_against_plain_autograd(name: str) -> None:
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=5)
    x, classes = images(2, 3, 96), torch.tensor([1, 4])
    kept: list[Tensor] = []
    original = model.forward_features
    model.forward_features = lambda inputs: kept.append(original(inputs)) or kept[0]  # type: ignore[func-returns-value]
    logits = model.eval()(x)
    del model.forward_features
    (gradients,) = torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), kept[0])
    expected = shown(class_activation(kept[0].detach(), gradients), 96)
    torch.testing.assert_close(grad_cam(model, x, classes).maps, expected)


def test_patches_of_a_vision_transformer_are_looked_at_where_they_count() -> None:
    """The class token alone is classified: the patches' last outputs are dead."""
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", num_classes=5, img_size=96, depth=3)
    x, classes = images(2, 3, 96), torch.tensor([1, 4])
    found = grad_cam(model, x, classes)
    assert found.layer == "blocks.2.norm1"
    tokens, gradients = with_plain_autograd(model, model.blocks[2].norm1, x, classes)
    as_maps = [t[:, 1:].transpose(1, 2).reshape(2, -1, 6, 6) for t in (tokens, gradients)]
    torch.testing.assert_close(found.maps, shown(class_activation(*as_maps), 96))


def test_channels_last_maps_of_swin() -> None:
    torch.manual_seed(0)
    model = timm.create_model(
        "swin_tiny_patch4_window7_224", num_classes=5, img_size=64, embed_dim=24, depths=(1, 1), num_heads=(2, 2),
        window_size=4,
    )  # fmt: skip
    x, classes = images(2, 3, 64), torch.tensor([1, 4])
    with torch.no_grad():
        features = model.eval().forward_features(x)
    assert features.shape == (2, 8, 8, 48)
    cam = torch.einsum("nk,nhwk->nhw", model.head.fc.weight[classes].detach(), features)
    torch.testing.assert_close(grad_cam(model, x, classes).maps, shown(cam, 64))


def test_a_frozen_backbone_is_looked_through_and_left_alone() -> None:
    torch.manual_seed(0)
    module = TransferModule(
        backbone="test_resnet", freeze=2, input_shape=[3, 64, 64], num_outputs=3, target_type="multiclass"
    )
    module.train()
    network: Any = module.network
    modes = [m.training for m in module.modules()]
    flags = [p.requires_grad for p in module.parameters()]
    before = {name: value.clone() for name, value in module.state_dict().items()}
    found = grad_cam(module, images(2, 3, 64))
    assert found.layer == "forward_features"
    assert found.maps.shape == (2, 64, 64)
    assert [m.training for m in module.modules()] == modes
    assert [p.requires_grad for p in module.parameters()] == flags
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(p.grad is None for p in module.parameters())
    assert "forward_features" not in vars(network.model)
    assert not any(m._forward_hooks for m in module.modules())


def test_gradient_checkpointing_changes_nothing() -> None:
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", num_classes=5, img_size=64, depth=3)
    x = images(2, 3, 64)
    plain = grad_cam(model, x)
    model.set_grad_checkpointing(True)
    torch.testing.assert_close(grad_cam(model, x).maps, plain.maps)
    assert model.grad_checkpointing is True


class Shared(nn.Module):
    """One activation in place, used twice; the second use is the last map."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 4, 3, 2, 1), nn.Conv2d(4, 6, 3, 2, 1)
        self.relu = nn.ReLU(inplace=True)
        self.unused = nn.Conv2d(1, 1, 1)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.last(self.relu(self.first(x))))
        return self.head(self.relu(x.add_(0)).mean((2, 3)))  # type: ignore[no-any-return]


def test_a_module_that_is_used_twice_and_works_in_place() -> None:
    torch.manual_seed(0)
    network, x, classes = Shared().eval(), images(), torch.tensor([0, 1, 2])
    with torch.no_grad():
        activations = network.last(network.first(x).relu()).relu()
    cam = torch.einsum("nk,nkhw->nhw", network.head.weight[classes].detach(), activations)
    module = NetworkModule(network, input_shape=[1, 16, 16], num_outputs=3)
    found = grad_cam(module, x, classes)
    assert found.layer == "relu"
    torch.testing.assert_close(found.maps, shown(cam, 16))


def test_a_map_of_nothing_is_zero() -> None:
    network = cnn().eval()
    with torch.no_grad():
        network.head.weight.fill_(-1.0)
    assert not grad_cam(network, images(), torch.zeros(3, dtype=torch.long)).maps.any()


def test_mistakes() -> None:
    x = images()
    with pytest.raises(ConfigError, match="layer: MLP has no convolution whose map has more than one place"):
        grad_cam(MLP((1, 16, 16), 3, [4]), x)
    with pytest.raises(ConfigError, match=r"layer: unknown module 'featuers'; did you mean 'features'\?"):
        grad_cam(cnn(), x, layer="featuers")
    with pytest.raises(ConfigError, match="layer: 'unused' is not used when Shared looks at an image"):
        grad_cam(Shared(), x, layer="unused")
    with pytest.raises(ConfigError, match=r"layer: its output has the shape \(3, 8\); allowed"):
        grad_cam(cnn(), x, layer="pool")
    with pytest.raises(ConfigError, match=r"images: Grad-CAM needs images \(N, C, H, W\), and got the shape \(3, 16\)"):
        grad_cam(cnn(), torch.zeros(3, 16))
    silent = cnn()
    nn.init.zeros_(silent.head.weight)
    with pytest.raises(ConfigError, match="layer: the logits of CNN do not depend on the map at 'features'"):
        grad_cam(silent, x)


def test_an_overlay_shows_the_image_where_the_map_is_zero_and_red_where_it_is_one() -> None:
    picture = torch.full((1, 1, 1, 3), 51, dtype=torch.uint8)  # 0.2
    found = overlay(picture, torch.tensor([[[0.0, 0.5, 1.0]]]), opacity=0.6)
    expected = torch.tensor([[0.2, 0.2, 0.2], [0.44, 0.29, 0.14], [0.68, 0.08, 0.08]]).T[None, :, None]
    torch.testing.assert_close(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "resnet18", "vgg11_bn", "mobilenetv2_050", "mobilenetv3_small_050", "efficientnet_b0", "densenet121",
        "regnetx_002", "convnext_atto", "poolformer_s12", "deit_tiny_distilled_patch16_224",
        "swin_tiny_patch4_window7_224", "mixer_s32_224", "levit_128s", "pit_ti_224", "xcit_nano_12_p16_224",
        "pvt_v2_b0", "mvitv2_tiny", "cait_xxs24_224", "ghostnet_050", "edgenext_xx_small", "fastvit_t8",
        "mobilevit_xxs",
    ],
)  # fmt: skip
def test_families_of_backbones(name: str) -> None:
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=4)
    for p in model.parameters():  # heads that start with zeros show nothing
        if not p.any():
            nn.init.normal_(p, std=0.02)
    side = model.pretrained_cfg["input_size"][-1]
    found = grad_cam(model, images(1, 3, side).expand(4, -1, -1, -1), torch.arange(4))
    assert found.maps.shape == (4, side, side)
    assert torch.isfinite(found.maps).all()
    assert found.maps.amax((1, 2)).max() == 1  # something speaks for one of the classes
    assert found.maps.flatten(1).std(1).max() > 0
