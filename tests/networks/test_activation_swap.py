"""Exchanging activations: what is found, what is left and why, and that nothing else changes."""

from __future__ import annotations

import copy
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from fulmen.core.errors import ConfigError
from fulmen.networks import Transfer
from fulmen.networks.activation_swap import Swap, swap_activations
from fulmen.nn.blocks import is_activation

FUNCTIONS = {"relu", "relu_", "relu6", "gelu", "silu", "elu", "leaky_relu", "hardswish", "hardtanh", "mish", "prelu"}


class Probe(nn.Module):
    """An activation that counts its calls, and changes what goes through."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        Probe.calls += 1
        return x.tanh()


class Counting(TorchFunctionMode):
    """Counts torch's activation functions, whoever calls them."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        self.seen[name] += name in FUNCTIONS
        return func(*args, **(kwargs or {}))


def count(model: nn.Module, x: Tensor) -> int:
    with Counting() as counting, torch.no_grad():
        model(x)
    return counting.seen.total()


MODELS: dict[str, dict[str, Any]] = {
    "beit_base_patch16_224": {"img_size": 32, "depth": 2, "embed_dim": 48, "num_heads": 3, "size": 32},
    "botnet26t_256": {"img_size": 64},
    "caformer_s18": {},
    "cait_xxs24_224": {"img_size": 32, "depth": 2, "size": 32},
    "coat_lite_tiny": {"img_size": 64},
    "coatnet_nano_rw_224": {"img_size": 64},
    "convit_tiny": {"img_size": 32, "depth": 2, "size": 32},
    "convnext_atto": {},
    "cspresnet50": {},
    "davit_tiny": {"depths": (1, 1, 1, 1)},
    "deit_tiny_patch16_224": {"img_size": 32, "depth": 2, "size": 32},
    "densenet121": {},
    "dla46_c": {},
    "dm_nfnet_f0": {},
    "dpn48b": {},
    "eca_nfnet_l0": {},
    "eca_resnext26ts": {},
    "edgenext_xx_small": {},
    "efficientformer_l1": {"size": 224},
    "efficientnet_b0": {},
    "efficientvim_m1": {},
    "efficientvit_b0": {},
    "efficientvit_m0": {"size": 224},
    "ese_vovnet19b_slim": {},
    "fasternet_t0": {},
    "fastvit_t8": {},
    "ghostnet_050": {},
    "hardcorenas_a": {},
    "hgnetv2_b0": {},
    "hrnet_w18_small": {},
    "iformer_t": {},
    "inception_next_atto": {},
    "inception_v3": {"size": 96},
    "lcnet_035": {},
    "legacy_seresnet18": {},
    "legacy_xception": {},
    "levit_128s": {"size": 224},
    "lowformer_b0": {},
    "mambaout_femto": {},
    "mobilenetv2_050": {},
    "mobilenetv3_small_050": {},
    "mobilenetv4_conv_small_035": {},
    "mobilevit_xxs": {},
    "mobilevitv2_050": {},
    "nasnetalarge": {"size": 96},  # calls functions
    "nf_resnet26": {},
    "poolformer_s12": {},
    "pvt_v2_b0": {},
    "rdnet_tiny": {},
    "regnety_002": {},
    "repghostnet_050": {},
    "repvit_m0_9": {},
    "res2net50_48w_2s": {},
    "resnest14d": {},
    "resnet18": {},
    "resnetv2_18": {},
    "rexnet_100": {},
    "seresnet18": {},
    "shvit_s1": {},
    "skresnet18": {},
    "starnet_s1": {},
    "swiftformer_xs": {},
    "tnt_s_patch16_224": {"depth": 2, "size": 224},
    "tresnet_m": {},
    "visformer_tiny": {"size": 224},
    "vit_relpos_small_patch16_224": {"img_size": 32, "depth": 2, "size": 32},
    "vit_tiny_patch16_224": {"img_size": 32, "depth": 2, "size": 32},
    "xception41": {},
    "xcit_nano_12_p16_224": {"depth": 2},
}
WITH_GATES = {"efficientvim_m1", "efficientvit_b0", "mambaout_femto", "mobilevitv2_050", "starnet_s1"}
"""Those that keep a few of the counted functions: gates, and kernels of linear attention."""


def create(name: str) -> tuple[nn.Module, Tensor]:
    options = dict(MODELS[name])
    size = options.pop("size", 64)
    torch.manual_seed(0)
    return timm.create_model(name, num_classes=3, **options).eval(), torch.randn(2, 3, size, size)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_activation_of_a_backbone_is_exchanged_or_left_with_a_reason(name: str) -> None:
    model, x = create(name)
    before = count(model, x)
    weights = {n: v.clone() for n, v in model.state_dict().items()}
    swapped = copy.deepcopy(model)
    swap = swap_activations(swapped, Probe)
    Probe.calls = 0
    after = count(swapped, x)
    assert Probe.calls > 0
    assert Probe.calls + after == before  # each call of an activation is the new one's now, or one that was left
    assert (after > 0) == (name in WITH_GATES), swap.left
    assert after == 0 or any("gate" in reason or "kernel" in reason for reason in swap.left.values())
    swapped.train()
    swapped(x).sum().backward()  # nothing is changed in place that the backward pass needs
    left = swapped.state_dict()
    assert set(left) <= set(weights)  # learnable activations of the backbone's own may go
    assert all(torch.equal(left[n], weights[n]) for n in left if "running" not in n and "num_batches" not in n)


SAME: dict[str, list[str]] = {
    "relu": [
        "botnet26t_256",
        "densenet121",
        "dla46_c",
        "efficientvim_m1",
        "efficientvit_m0",
        "ese_vovnet19b_slim",
        "ghostnet_050",
        "hgnetv2_b0",
        "hrnet_w18_small",
        "inception_v3",
        "legacy_seresnet18",
        "legacy_xception",
        "mobilenetv4_conv_small_035",
        "nasnetalarge",
        "nf_resnet26",
        "regnety_002",
        "repghostnet_050",
        "res2net50_48w_2s",
        "resnest14d",
        "resnet18",
        "resnetv2_18",
        "seresnet18",
        "shvit_s1",
        "skresnet18",
        "xception41",
    ],
    "silu": ["eca_nfnet_l0", "eca_resnext26ts", "efficientnet_b0", "mobilevit_xxs", "mobilevitv2_050"],
    "gelu": ["convnext_atto", "deit_tiny_patch16_224", "edgenext_xx_small", "mambaout_femto", "poolformer_s12"],
    "hardswish": ["levit_128s"],
    "relu6": ["mobilenetv2_050", "starnet_s1"],
}


@pytest.mark.slow
@pytest.mark.parametrize(("spec", "name"), [(spec, name) for spec, names in SAME.items() for name in names])
def test_the_same_activation_changes_no_bit(spec: str, name: str) -> None:
    model, x = create(name)
    with torch.no_grad():
        expected = model(x)
        assert swap_activations(model, spec).exchanged
        assert torch.equal(model(x), expected)
        swap_activations(model, "tanh")
        assert not torch.equal(model(x), expected)  # the outputs do depend on it


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto", "vit_tiny_patch16_224", "mobilenetv2_050"])
def test_what_timm_makes_with_another_activation_is_the_same(name: str) -> None:
    model, x = create(name)
    options = {key: value for key, value in MODELS[name].items() if key != "size"}
    reference = timm.create_model(name, num_classes=3, act_layer=nn.SiLU, **options).eval()
    reference.load_state_dict(model.state_dict())
    swap = swap_activations(model, "silu")
    assert not [place for place in swap.left if "softmax" not in place]
    with torch.no_grad():
        assert torch.equal(model(x), reference(x))


def test_gates_are_left() -> None:
    model, _ = create("mobilenetv3_small_050")
    swap = swap_activations(model, "silu")
    assert "bn1.act" in swap.exchanged
    assert "blocks.0.0.se.act1" in swap.exchanged
    assert swap.left["blocks.0.0.se.gate"] == "a gate: its values in [0, 1] weigh something"
    assert {type(m).__name__ for m in model.modules() if is_activation(m)} == {"SiLU", "Hardsigmoid"}
    assert len(swap.exchanged) == 33
    assert len(swap.left) == 9


@pytest.mark.parametrize(
    ("name", "place", "reason"),
    [
        ("starnet_s1", "stages.0.1.act", "a gate: it is multiplied with another input"),
        ("mambaout_femto", "stages.0.blocks.0.act", "a gate: it is multiplied with another input"),
        (
            "mobilevitv2_050",
            "stages.2.1.transformer.0.attn._forward_self_attn: F.relu(value)",
            "a gate: it is multiplied with another input",
        ),
        (
            "efficientvit_b0",
            "stages.2.blocks.1.context_module.main.kernel_func",
            "the kernel of a linear attention, which has to stay positive",
        ),
    ],
)
def test_factors_and_kernels_are_left(name: str, place: str, reason: str) -> None:
    model, _ = create(name)
    swap = swap_activations(model, "silu")
    assert swap.left[place] == reason


def test_norm_layers_that_activate_are_left() -> None:
    with torch.device("meta"), pytest.raises(ConfigError, match=r"left \(is part of EvoNorm2dS0\): 51: norm, stem"):
        swap_activations(timm.create_model("resnetv2_50d_evos"), "silu")


class Parent(nn.Module):
    """Methods that call activations in every way."""

    offset = 0.25

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.gain = nn.Parameter(torch.tensor(2.0))
        self.nothing: nn.Module | None = None

    def inherited(self, x: Tensor) -> Tensor:
        return torch.relu(x) + self.offset

    def overridden(self, x: Tensor) -> Tensor:
        return F.relu(x)


class Functional(Parent):
    def __init__(self) -> None:
        super().__init__()
        self.act = F.gelu

    def overridden(self, x: Tensor) -> Tensor:
        return super().overridden(x) - 1

    def forward(self, x: Tensor, *, times: int = 2) -> Tensor:
        for _ in range(times):
            x = F.relu(self.layer(x), inplace=True)
        x = F.gelu(input=torch.nn.functional.silu(x - 0.5), approximate="tanh") * self.gain
        x = self.act(x + 0.3)
        y = x + 0.1
        F.relu_(y)
        gated = F.relu(x) * torch.sigmoid(x)
        if self.nothing is not None:
            gated = gated * self.nothing(x).sigmoid()
        return self.overridden(self.inherited(x + 1).relu()) + gated + y


def by_hand(model: Functional, x: Tensor, act: Any) -> Tensor:
    for _ in range(2):
        x = act(model.layer(x))
    x = act(act(x - 0.5)) * model.gain
    x = act(x + 0.3)
    y = F.relu(x + 0.1)
    gated = F.relu(x) * torch.sigmoid(x)
    return F.relu(act(act(x + 1) + 0.25)) - 1 + gated + y


@pytest.fixture
def functional() -> tuple[Functional, Tensor, Swap]:
    torch.manual_seed(0)
    model, x = Functional(), torch.randn(3, 4)
    return model, x, swap_activations(model, "tanh")


def test_functions_are_exchanged_where_it_is_safe(functional: tuple[Functional, Tensor, Swap]) -> None:
    model, x, swap = functional
    assert sorted(swap.exchanged) == [
        "act",
        "forward: F.gelu(input=torch.nn.functional.silu(x - 0.5), approximate='tanh')",
        "forward: F.relu(self.layer(x), inplace=True)",
        "forward: self.inherited(x + 1).relu()",
        "forward: torch.nn.functional.silu(x - 0.5)",
        "inherited: torch.relu(x)",
    ]
    assert swap.left == {
        "forward: F.relu_(y)": "changes its input in place",
        "forward: F.relu(x)": "a gate: it is multiplied with another input",
        "forward: torch.sigmoid(x)": "a gate: its values in [0, 1] weigh something",
        "overridden: F.relu(x)": "in a method that a subclass overrides",
    }
    torch.testing.assert_close(model(x), by_hand(model, x, torch.tanh))
    assert not torch.allclose(model(x), model(x, times=1))
    assert isinstance(model, Functional)
    torch.testing.assert_close(Functional.forward(model, x), by_hand(model, x, F.relu), atol=1, rtol=1)  # still there


def test_exchanged_functions_survive_copies(functional: tuple[Functional, Tensor, Swap]) -> None:
    model, x, _ = functional
    expected = by_hand(model, x, torch.tanh)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        torch.testing.assert_close(other(x), expected)
        with torch.no_grad():
            other.layer.weight.zero_()
        assert not torch.allclose(other(x), expected)
    torch.testing.assert_close(model(x), expected)
    assert swap_activations(model, "softsign").exchanged  # and can be exchanged again
    torch.testing.assert_close(model(x), by_hand(model, x, F.softsign))


@pytest.mark.slow
def test_exchanged_functions_compile(functional: tuple[Functional, Tensor, Swap]) -> None:
    model, x, _ = functional
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), by_hand(model, x, torch.tanh))


def test_learnable_activations_are_one_a_place() -> None:
    model = nn.Sequential(Functional(), act := nn.ReLU(), act)
    swap = swap_activations(model, {"name": "prelu", "init": 0.1})
    slopes = [p for name, p in model.named_parameters() if p.shape == (1,)]
    assert len(slopes) == len(swap.exchanged) == 8
    model(torch.randn(3, 4)).sum().backward()
    assert all(p.grad is not None for p in slopes)
    assert "0.functional_activations.0.weight" in model.state_dict()


def test_scaled_activations_keep_their_scale() -> None:
    model, _ = create("dm_nfnet_f0")
    name, gamma = next((n, m.gamma) for n, m in model.named_modules() if type(m).__name__ == "GammaAct")
    assert name in swap_activations(model, "tanh").exchanged
    x = torch.randn(5)
    torch.testing.assert_close(model.get_submodule(name)(x), x.tanh() * gamma)


def test_activations_of_plugins() -> None:
    pytest.importorskip("fulmen_activations")
    model, x = create("resnet18")
    swap_activations(model, "swish")
    assert {type(m).__name__ for m in model.modules() if is_activation(m)} == {"Swish"}
    assert len([n for n, _ in model.named_parameters() if n.startswith("layer1.0.act1.")]) == 1
    assert model(x).shape == (2, 3)


class Iterated(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(super().forward(x))


@pytest.mark.parametrize(
    ("model", "spec", "message"),
    [
        (nn.Sequential(nn.ReLU()), "glu", "gives 4 of 8 features"),
        (nn.Sequential(nn.ReLU()), {"name": "prelu", "num_parameters": 3}, "fits only some widths"),
        (nn.Sequential(nn.Linear(2, 2)), "relu", "nothing can be exchanged in Sequential: it has none"),
        (nn.Sequential(nn.Sigmoid()), "relu", r"nothing can be exchanged in Sequential: left \(a gate"),
        (nn.LSTM(2, 2), "relu", "nothing can be exchanged in LSTM"),
        (Iterated(nn.Linear(2, 2)), "relu", r"left \(in a container\): 1: forward: F.relu"),
    ],
)
def test_errors(model: nn.Module, spec: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        swap_activations(model, spec)


def test_nothing_asked_for_is_nothing_done() -> None:
    model = nn.Sequential(nn.ReLU())
    assert swap_activations(model, None) == Swap([], {})
    assert type(model[0]) is nn.ReLU


def test_transfer_exchanges_after_its_weights_are_loaded(tmp_path: Path) -> None:
    torch.manual_seed(1)
    reference = timm.create_model("mobilenetv3_small_050", num_classes=3)
    torch.save(reference.state_dict(), tmp_path / "weights.pth")
    net = Transfer((3, 32, 32), 3, "mobilenetv3_small_050", weights=tmp_path / "weights.pth", activation="prelu")
    assert len(net.swap.exchanged) == 33
    assert net.swap.lines()[0] == "activations exchanged: 33"
    assert torch.equal(net.model.conv_stem.weight, reference.conv_stem.weight)
    assert {n for n, p in net.named_parameters() if p.requires_grad} == {
        "model.classifier.weight",
        "model.classifier.bias",
    }
    again = Transfer((3, 32, 32), 3, "mobilenetv3_small_050", freeze="none", activation="prelu")
    again.load_state_dict(net.state_dict())
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(again.eval()(x), net.eval()(x))
    assert Transfer((3, 32, 32), 3, "resnet18", freeze="none").swap == Swap([], {})
