"""What trainer keys and the module's own switches do: numbers as without, or as by hand."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from fulmen.core.errors import ConfigError
from fulmen.modules import CNNModule, MLPModule, TransferModule

from .conftest import make_trainer


class Watching(Callback):
    """The gradients' norm before each step, and how layers of the network are run."""

    def __init__(self) -> None:
        self.norms: list[float] = []
        self.types: set[torch.dtype] = set()
        self.last: set[bool] = set()
        self.keys: set[str] = set()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for layer in pl_module.network.modules():
            if isinstance(layer, nn.Conv2d):
                layer.register_forward_hook(self._note)

    def _note(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self.types.add(output.dtype)
        self.last.add(inputs[0].is_contiguous(memory_format=torch.channels_last))

    def on_before_zero_grad(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        if gradients:
            self.norms.append(float(torch.cat([g.flatten() for g in gradients]).norm()))


def images() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(24, 3, 8, 8, generator=generator), torch.arange(24) % 3


def cnn(**options: Any) -> CNNModule:
    torch.manual_seed(0)
    options = {"channels": [4, 8], "optimizer": {"name": "sgd", "lr": 0.1}, **options}
    return CNNModule(input_shape=[3, 8, 8], num_outputs=3, class_names=["a", "b", "c"], **options)


def fit(module: LightningModule, watching: Callback | None = None, batch_size: int = 6, **options: Any) -> Trainer:
    loader = DataLoader(TensorDataset(*images()), batch_size=batch_size)
    trainer = make_trainer(callbacks=[watching] if watching else None, **options)
    trainer.fit(module, loader, loader)
    return trainer


def assert_same(one: nn.Module, other: nn.Module, **tolerance: float) -> None:
    first, second = one.state_dict(), other.state_dict()
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], **tolerance, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradients_are_clipped(precision: str) -> None:
    free, clipped = Watching(), Watching()
    options: dict[str, Any] = {"normalization": None, "optimizer": {"name": "adam", "lr": 1e-3}}  # fused, where it can
    fit(cnn(**options), free, precision=precision)
    fit(cnn(**options), clipped, precision=precision, gradient_clip_val=0.05)
    assert len(free.norms) == len(clipped.norms) == 3  # those of the last step are not cleared
    assert min(free.norms) > 0.06
    assert clipped.norms == pytest.approx([0.05] * 3, rel=1e-3)


def test_accumulated_gradients_are_those_of_the_whole_batch() -> None:
    whole, parts = cnn(normalization=None), cnn(normalization=None)
    assert fit(whole, batch_size=12).global_step == 2
    assert fit(parts, batch_size=4, accumulate_grad_batches=3).global_step == 2
    assert_same(whole.network, parts.network, rtol=1e-5, atol=1e-6)


def test_mixed_precision_computes_in_bfloat16_and_trains_in_float32() -> None:
    plain, mixed, watching = cnn(), cnn(), Watching()
    fit(plain)
    fit(mixed, watching, precision="bf16-mixed")
    assert watching.types == {torch.bfloat16}
    assert {p.dtype for p in mixed.parameters()} == {torch.float32}
    differences = [(p - q).abs().max() for p, q in zip(plain.parameters(), mixed.parameters(), strict=True)]
    assert 0 < max(differences) < 0.05


def test_label_smoothing_is_that_of_soft_targets() -> None:
    module = cnn(loss={"name": "cross_entropy", "label_smoothing": 0.2})
    logits, targets = torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
    soft = F.one_hot(targets, 3) * 0.8 + 0.2 / 3
    torch.testing.assert_close(module.compute_loss(logits, targets), -(soft * logits.log_softmax(1)).sum(1).mean())


def test_drop_path_skips_blocks_in_training_alone() -> None:
    torch.manual_seed(0)
    module = TransferModule("resnet10t", freeze="none", drop_path_rate=0.6, input_shape=[3, 32, 32], num_outputs=3)
    paths = [m for m in module.network.modules() if type(m).__name__ == "DropPath"]
    rates = [path.drop_prob for path in paths]
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(0.6)
    skipped = paths[-1].train()(torch.ones(2000, 1, 1, 1)).flatten()
    assert (skipped == 0).float().mean().item() == pytest.approx(0.6, abs=0.04)
    assert skipped.mean().item() == pytest.approx(1, abs=0.1)  # those that stay are scaled up
    assert torch.equal(paths[-1].eval()(torch.ones(3, 1, 1, 1)), torch.ones(3, 1, 1, 1))


def test_channels_last_is_another_layout_of_the_same_numbers() -> None:
    plain, last, watching = cnn(), cnn(channels_last=True), Watching()
    fit(plain)
    fit(last, watching)
    assert watching.last == {True}
    convolutions = [m for m in last.network.modules() if isinstance(m, nn.Conv2d)]
    assert all(c.weight.is_contiguous(memory_format=torch.channels_last) for c in convolutions)
    assert_same(plain.network, last.network, rtol=1e-4, atol=1e-5)
    with pytest.raises(ConfigError, match=r"channels_last: it is for images .* have the shape \(4,\)"):
        MLPModule(input_shape=[4], num_outputs=2, channels_last=True)


@pytest.mark.parametrize("backbone", ["resnet10t", "convnext_atto"])
def test_gradient_checkpointing_trains_alike_with_less_memory(backbone: str) -> None:
    modules, kept = [], []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        module = TransferModule(
            backbone,
            freeze="none",
            gradient_checkpointing=checkpointing,
            activation="silu",
            input_shape=[3, 32, 32],
            num_outputs=3,
            optimizer={"name": "sgd", "lr": 0.01},
        )
        kept.append(saved_numbers(copy.deepcopy(module.network).train()))
        trainer = make_trainer(max_steps=2)
        loader = DataLoader(TensorDataset(torch.randn(8, 3, 32, 32), torch.arange(8) % 3), batch_size=4)
        torch.manual_seed(1)
        trainer.fit(module, loader, loader)
        modules.append(module)
    assert_same(*modules, rtol=0, atol=0)  # the statistics of batch normalization too
    assert kept[1] < 0.7 * kept[0]


def saved_numbers(network: nn.Module) -> int:
    """How many numbers a forward pass keeps for the backward pass, besides weights."""
    weights, count = {p.data_ptr() for p in network.parameters()}, 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal count
        count += 0 if tensor.data_ptr() in weights else tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network(torch.randn(4, 3, 32, 32))
    return count


def test_a_checkpoint_has_the_exchanged_activations(tmp_path: Path) -> None:
    options: dict[str, Any] = {"input_shape": [3, 8, 8], "num_outputs": 3, "class_names": ["a", "b", "c"]}
    module = TransferModule(
        "resnet10t", freeze="none", activation={"name": "prelu", "init": 0.1}, gradient_checkpointing=True, **options
    )
    fit(module).save_checkpoint(tmp_path / "model.ckpt")
    assert [c["name"] for c in module.components if c["kind"] == "activations"] == ["prelu"]
    loaded = TransferModule.load_from_checkpoint(tmp_path / "model.ckpt")
    slopes = [n for n, m in loaded.network.named_modules() if isinstance(m, nn.PReLU)]
    assert len(slopes) == len(module.network.swap.exchanged) > 5
    assert_same(module, loaded, rtol=0, atol=0)
    inputs = images()[0]
    assert torch.equal(loaded.eval()(inputs), module.eval()(inputs))


@pytest.mark.parametrize("backbone", ["vgg11", "inception_v3"])
def test_backbones_without_gradient_checkpointing(backbone: str) -> None:
    with torch.device("meta"), pytest.raises(ConfigError, match=f"timm has none for '{backbone}'"):
        TransferModule(backbone, freeze="none", gradient_checkpointing=True, input_shape=[3, 96, 96], num_outputs=3)


def test_compile_needs_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ConfigError, match=r"compile: torch builds code .* set it to false"):
        fit(cnn(compile=True))


def test_compile_keeps_names_and_numbers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With a backend that only traces; test_configs runs the real one."""
    graphs = []

    def backend(graph: torch.fx.GraphModule, inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    compiling = torch.compile
    monkeypatch.setattr(torch, "compile", lambda *args, **options: compiling(*args, **options, backend=backend))
    torch._dynamo.reset()
    plain, compiled = cnn(), cnn(compile=True)
    fit(plain)
    assert graphs == []
    trainer = fit(compiled)
    assert len(graphs) >= 2  # of training, and of evaluation
    assert_same(plain, compiled, rtol=1e-5, atol=1e-6)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    loaded = CNNModule.load_from_checkpoint(tmp_path / "model.ckpt")
    assert_same(loaded, compiled, rtol=0, atol=0)
    torch._dynamo.reset()
