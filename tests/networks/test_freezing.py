"""The freezing language, what rests with frozen layers, and that frozen means frozen in every family of timm."""

from typing import Any

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fulmen.core.errors import ConfigError
from fulmen.networks import Transfer
from fulmen.networks.freezing import Freeze, frozen_names, head_names, layers, places, rest, stages, statistics


def meta(name: str, **options: Any) -> Any:
    """A model without weights, which costs no time."""
    with torch.device("meta"):
        return timm.create_model(name, num_classes=5, **options)


@pytest.fixture(scope="module")
def resnet() -> Any:
    return meta("resnet18")


# Stages


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", "stem layer1 layer2 layer3 layer4 fc"),
        ("vgg11", "features.0 features.3 features.6 features.8 features.11 features.13 features.16 features.18 "
         "pre_logits head"),
        ("mobilenetv2_100", "stem blocks.0 blocks.1 blocks.2 blocks.3 blocks.4 blocks.5 blocks.6 classifier"),
        ("mobilenetv3_small_050", "stem blocks.0 blocks.1 blocks.2 blocks.3 blocks.4 blocks.5 conv_head classifier"),
        ("convnext_atto", "stem stages.0 stages.1 stages.2 stages.3 head.fc"),
        ("swin_tiny_patch4_window7_224", "patch_embed layers.0 layers.1 layers.2 layers.3 head"),
        ("densenet121", "stem features.denseblock1 features.denseblock2 features.denseblock3 features.denseblock4 "
         "classifier"),
        ("test_vit", "stem blocks.0 blocks.1 blocks.2 blocks.3 blocks.4 blocks.5 head"),
        ("inception_v3", "stem Conv2d_3b_1x1 Mixed_5b Mixed_5c Mixed_5d Mixed_6a Mixed_6b Mixed_6c Mixed_6d Mixed_6e "
         "Mixed_7a Mixed_7b Mixed_7c fc"),
        ("caformer_s18", "stem stages.0 stages.1 stages.2 stages.3 head.norm head.fc"),  # which timm does not group
    ],
)  # fmt: skip
def test_names_of_stages(name: str, expected: str) -> None:
    assert [stage.name for stage in stages(meta(name))] == expected.split()


def test_norm_before_the_head_belongs_to_the_last_stage() -> None:
    last, head = stages(meta("convnext_atto"))[-2:]
    assert {"head.norm.weight", "head.norm.bias"} <= set(last.parameters)
    assert head.parameters == ("head.fc.weight", "head.fc.bias")


def test_an_activation_s_parameters_belong_to_what_it_follows() -> None:
    """A learnable activation of the stem is frozen with the stem, whatever timm's patterns know of it."""
    net = Transfer((3, 32, 32), 2, "resnet18", freeze="none", activation="prelu")
    assert stages(net.model)[0].parameters == ("conv1.weight", "bn1.weight", "bn1.bias", "act1.weight")


def test_two_heads_are_one_stage() -> None:
    model = meta("deit_tiny_distilled_patch16_224")
    assert set(stages(model)[-1].parameters) == head_names(model) == {
        "head.weight", "head.bias", "head_dist.weight", "head_dist.bias"
    }  # fmt: skip


def test_places_of_parameters() -> None:
    assert places([["a.x.weight", "a.y.weight"], ["b"]]) == [["a"], ["b"]]


# The language


@pytest.mark.parametrize(
    ("freeze", "prefixes"),
    [
        ("none", ()),
        (0, ()),
        (1, ("conv1.", "bn1.")),
        (3, ("conv1.", "bn1.", "layer1.", "layer2.")),
        (5, ("conv1.", "bn1.", "layer")),
        ("all", ("conv1.", "bn1.", "layer")),
        ("until: stem", ()),
        ("until: layer3", ("conv1.", "bn1.", "layer1.", "layer2.")),
        ("until:layer3", ("conv1.", "bn1.", "layer1.", "layer2.")),
        ({"until": "layer3"}, ("conv1.", "bn1.", "layer1.", "layer2.")),
        ("until: layer3.1", ("conv1.", "bn1.", "layer1.", "layer2.", "layer3.0.")),
        ("until: layer3.1.conv2", ("conv1.", "bn1.", "layer1.", "layer2.", "layer3.0.")),  # timm does not split blocks
        ("until: fc", ("conv1.", "bn1.", "layer")),
        (["layer1.*", "conv1.*"], ("layer1.", "conv1.")),
        (["layer[12].0.conv?.weight"], ("layer1.0.conv", "layer2.0.conv")),
    ],
)  # fmt: skip
def test_language(resnet: Any, freeze: Freeze, prefixes: tuple[str, ...]) -> None:
    names = {name for name, _ in resnet.named_parameters()}
    assert frozen_names(resnet, freeze) == {name for name in names if name.startswith(prefixes)}


def test_until_the_head_never_freezes_the_head() -> None:
    model = meta("convnext_atto")
    assert frozen_names(model, "until: head") == {
        name for name, _ in model.named_parameters() if not name.startswith("head.")
    }
    model = meta("mobilenetv3_small_050")
    assert frozen_names(model, "until: classifier") == frozen_names(model, "all")
    assert "conv_head.weight" not in frozen_names(model, "until: conv_head")


@settings(deadline=None)  # the first look at a model takes longer
@given(number=st.integers(0, 8), name=st.sampled_from(["mobilenetv2_050", "test_vit", "test_convnext"]))
def test_until_a_stage_is_the_number_of_those_before_it(number: int, name: str) -> None:
    model = meta(name)
    found = stages(model)
    number = min(number, len(found) - 1)
    assert frozen_names(model, f"until: {found[number].name}") == frozen_names(model, number)


@pytest.mark.parametrize(
    ("freeze", "message"),
    [
        (6, r"freeze: this backbone has 5 stages before its head, got 6: stem, layer1, layer2, layer3, layer4"),
        (-1, r"5 stages before its head, got -1"),
        ("layer3", r"freeze: 'layer3' is not known; write 'until: layer3' to train layer3 and what follows; allowed:"),
        ("al", r"freeze: 'al' is not known; allowed: all, none, a number of first stages"),
        (True, r"freeze: True is not known"),
        (None, r"freeze: None is not known"),
        (2.5, r"freeze: 2\.5 is not known"),
        ([], r"freeze: \[\] is not known"),
        ([3], r"freeze: \[3\] is not known"),
        ({"after": "layer3"}, r"freeze: \{'after': 'layer3'\} is not known"),
        ("until:", r"freeze: 'until:' is not known"),
        ("until: layr3", r"freeze: until: there is no stage or module 'layr3'; did you mean 'layer3'\? Stages: stem, "),
        ("until: act1", r"no stage or module 'act1'"),  # it has no parameters
        (["layr1.*"], r"freeze: 'layr1\.\*' matches none of the parameters; did you mean 'layer1\.\*'\? Stages: stem,"),
        (["layer1"], r"freeze: 'layer1' matches none of the parameters; did you mean 'layer1\.\*'\?"),
        (["zzz"], r"freeze: 'zzz' matches none of the parameters; They are like 'conv1\.weight'"),
        (["*"], r"freeze: \['\*'\] freezes the head too, which is new and starts at random"),
    ],
)
def test_mistakes(resnet: Any, freeze: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        frozen_names(resnet, freeze)


# What rests


class Tiny(nn.Module):
    """Two norm layers, of which one has no parameters, and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(), nn.BatchNorm2d(4, affine=False))
        self.b = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.Dropout())


@pytest.mark.parametrize(
    ("policy", "moving"),
    [("follow", ["b.1"]), ("frozen", []), ("update", ["a.1", "a.3", "b.1"])],
)
def test_norm_layers_follow_the_policy(policy: Any, moving: list[str]) -> None:
    model = Tiny().train()
    model.a.requires_grad_(False)
    rest(model, policy)
    norms = {id(norm) for norm in statistics(model)}
    assert [name for name, m in model.named_modules() if id(m) in norms and m.training] == moving
    assert not model.a[2].training  # frozen layers drop nothing
    assert model.b[2].training


@pytest.mark.parametrize("policy", ["follow", "frozen", "update"])
@pytest.mark.parametrize("backbone", ["test_resnet", "test_efficientnet"])  # torch's norm layers, and timm's
def test_buffers_move_as_the_policy_says(backbone: str, policy: Any) -> None:
    net = Transfer((3, 32, 32), 2, backbone, freeze="none", batch_norm=policy)
    net.set_frozen(frozen_names(net.model, 3))
    first = {name for stage in stages(net.model)[:3] for name in stage.parameters}
    before = values(net.model)
    train(net)
    changed = {name for name, value in values(net.model).items() if not torch.equal(value, before[name])}
    buffers = {name for name, _ in net.model.named_buffers()}
    frozen = {name for name in buffers if f"{name.rpartition('.')[0]}.weight" in first}
    assert 0 < len(frozen) < len(buffers)
    assert changed & buffers == {"follow": buffers - frozen, "frozen": set(), "update": buffers}[policy]
    assert not changed & first
    assert all(p.requires_grad for name, p in net.model.named_parameters() if name not in first)


def test_policy_outlasts_a_change_of_mode() -> None:
    net = Transfer((3, 32, 32), 2, "test_resnet", freeze="none", batch_norm="frozen")
    for _ in range(2):
        assert not any(norm.training for norm in statistics(net.train()))
        assert not any(module.training for module in net.eval().modules())
    net.batch_norm = "update"
    net.set_frozen(frozen_names(net.model, "all"))
    assert not net.model.layer1.training  # it was in evaluation mode, and stays there
    assert all(norm.training for norm in statistics(net.train()))
    assert not net.model.layer1.training


def test_norm_layers_can_be_frozen_by_pattern() -> None:
    net = Transfer((3, 32, 32), 2, "test_resnet", freeze=["*bn*"])
    frozen = {name for name, p in net.model.named_parameters() if not p.requires_grad}
    assert frozen
    assert all("bn" in name for name in frozen)
    modes = {name: norm.training for name, norm in net.model.named_modules() if norm in statistics(net)}
    assert modes == {name: f"{name}.weight" not in frozen for name in modes}
    assert set(modes.values()) == {True, False}


# Frozen means frozen

FAMILIES = {
    "byoanet": "eca_botnext26ts_256", "byobnet": "test_byobnet", "cait": "cait_xxs24_224", "coat": "coat_tiny",
    "convit": "convit_tiny", "convnext": "test_convnext", "cspnet": "cs3darknet_focus_s", "cspnext": "cspnext_tiny",
    "deit": "deit_tiny_distilled_patch16_224", "densenet": "densenet121", "dla": "dla46x_c", "dpn": "dpn48b",
    "edgenext": "edgenext_xx_small", "efficientformer_v2": "efficientformerv2_s0",
    "efficientnet": "test_efficientnet", "efficientvim": "efficientvim_m1", "efficientvit_mit": "efficientvit_b0",
    "efficientvit_msra": "efficientvit_m0", "eva": "eva02_tiny_patch14_224", "fasternet": "fasternet_t0",
    "ghostnet": "ghostnet_050", "hardcorenas": "hardcorenas_b", "hgnet": "hgnetv2_b0", "iformer": "iformer_s",
    "inception_next": "inception_next_atto", "inception_v3": "inception_v3", "lcnetv2": "lcnetv2_small",
    "mambaout": "test_mambaout", "maxxvit": "test_coatnet", "metaformer": "poolformerv2_s12",
    "mobilenetv3": "mobilenetv3_small_050", "mobilevit": "mobilevit_xxs", "nfnet": "test_nfnet", "pit": "pit_xs_224",
    "pvt_v2": "pvt_v2_b0", "regnet": "regnetx_002", "repghost": "repghostnet_050", "repvit": "repvit_m1",
    "resnest": "resnest14d", "resnet": "test_resnet", "resnetv2": "resnetv2_18", "rexnet": "rexnet_100",
    "senet": "legacy_seresnet18", "shvit": "shvit_s1", "starnet": "starnet_s050", "swiftformer": "swiftformer_xs",
    "swin_transformer": "swin_tiny_patch4_window7_224", "tiny_vit": "tiny_vit_5m_224",
    "vision_transformer": "test_vit", "vision_transformer_relpos": "test_vit_relpos",
    "vovnet": "ese_vovnet19b_slim_dw", "xcit": "xcit_nano_12_p8_224",
}  # fmt: skip
"""A family of timm -> a small model of it."""
SIZES = {"inception_v3": 80}


def values(model: nn.Module) -> dict[str, torch.Tensor]:
    """Weights and all buffers, also those that are not saved."""
    return {name: t.detach().clone() for name, t in [*model.named_parameters(), *model.named_buffers()]}


def train(net: nn.Module, size: int = 32, steps: int = 2) -> None:
    """A few steps with all parameters in the optimizer."""
    net.train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        net(torch.randn(2, 3, size, size)).square().sum().backward()
        optimizer.step()


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_frozen_means_frozen(family: str) -> None:
    name = FAMILIES[family]
    size = SIZES.get(family, 32)
    torch.manual_seed(0)
    net = Transfer((3, size, size), 2, name, freeze="none")
    model = net.model
    found, fine = stages(model), layers(model)
    every = [parameter for parameter, _ in model.named_parameters()]
    assert sorted(every) == sorted(p for stage in found for p in stage.parameters)
    assert sorted(every) == sorted(p for layer in fine for p in layer.parameters)
    assert len({stage.name for stage in found}) == len(found)
    assert len({layer.name for layer in fine}) == len(fine)
    assert set(found[-1].parameters) == head_names(model)

    for number in (len(found) // 2, len(found) - 1):  # the first half, and everything but the head
        frozen = frozen_names(model, number if number < len(found) - 1 else "all")
        net.set_frozen(frozen)
        net.eval()(torch.randn(2, 3, size, size))  # ConViT makes its table of positions when it sees a size
        before = values(model)
        train(net, size)
        changed = {n for n, value in values(model).items() if not torch.equal(value, before[n])}
        trained = [p for stage in found[number:] for p in stage.parameters]
        assert not changed & frozen
        assert set(found[-1].parameters) & changed
        assert frozen == set(every) - set(trained)
        for place in places([sorted(frozen), trained])[0]:  # buffers of modules that are frozen as a whole
            assert not {n for n in changed if f"{n}.".startswith(f"{place}.")}
        if number == len(found) - 1:
            heads = {id(module) for head in [model.get_classifier()] for module in as_list(head)}
            inside = tuple(f"{n}." for n, module in model.named_modules() if id(module) in heads)
            assert {n for n in changed if not n.startswith(inside)} == set()
        else:
            assert any(n in changed for n in found[-2].parameters)


def as_list(head: Any) -> list[nn.Module]:
    return list(head) if isinstance(head, tuple | list) else [head]


def test_the_table_of_families_is_right() -> None:
    from timm.models._registry import _model_to_module

    assert {family: _model_to_module[name] for family, name in FAMILIES.items()} == {f: f for f in FAMILIES}
    assert len(FAMILIES) >= 30
