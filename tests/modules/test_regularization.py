"""Penalties against loops that add them to the loss."""

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn import functional as F

from fulmen.core.errors import ConfigError
from fulmen.data import ArrayData, SupervisedDataModule
from fulmen.modules import MLPModule
from fulmen.modules.regularization import add_penalties
from fulmen.nn.regularizers import L1, L2, Regularizer

L1_SPEC: dict[str, Any] = {"name": "l1", "weight": 0.02}
L2_SPEC: dict[str, Any] = {"name": "l2", "weight": 0.05}
NET_SPEC: dict[str, Any] = {"name": "elastic_net", "weight": 0.05, "l1_ratio": 0.3}


def make_trainer(**options: Any) -> Trainer:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    return Trainer(
        **{"accelerator": "cpu", "logger": False, "max_epochs": 2, "limit_val_batches": 0, **quiet, **options}
    )


def make_data(**options: Any) -> ArrayData:
    torch.manual_seed(0)
    inputs = torch.randn(60, 4)
    targets = (inputs[:, 0] + inputs[:, 1] > 0).long() + (inputs[:, 2] > 1).long()
    return ArrayData(inputs, targets, **{"batch_size": 10, "val_fraction": 0.0, "test_fraction": 0.0, **options})


def make_module(**options: Any) -> MLPModule:
    torch.manual_seed(1)
    return MLPModule(hidden_features=[6], input_shape=[4], num_outputs=3, **options)


def penalty_of(network: nn.Module, spec: dict[str, Any]) -> Tensor:
    """The formulas, written out: weights have two dimensions here, biases one."""
    weights = [p for p in network.parameters() if p.ndim == 2]
    l1 = torch.stack([w.abs().sum() for w in weights]).sum()
    l2 = torch.stack([(w * w).sum() for w in weights]).sum()
    if spec["name"] == "l1":
        return spec["weight"] * l1
    if spec["name"] == "l2":
        return spec["weight"] * l2
    ratio = spec["l1_ratio"]
    return spec["weight"] * (ratio * l1 + (1 - ratio) / 2 * l2)  # type: ignore[no-any-return]


def loop(
    network: nn.Module,
    data: SupervisedDataModule,
    spec: dict[str, Any],
    optimizer: str,
    lr: float,
    accumulate: int = 1,
    clip: float | None = None,
    bfloat: bool = False,
) -> nn.Module:
    """Two epochs of plain PyTorch; the penalty is a part of the loss."""
    optim = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimizer](network.parameters(), lr=lr)
    for epoch in range(2):
        loader: Any = data.train_dataloader()
        loader.sampler.set_epoch(epoch)
        batches = list(loader)
        for i, batch in enumerate(batches):
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat):
                loss = F.cross_entropy(network(data.normalize(batch.inputs)), batch.targets)
            (loss / accumulate).backward()
            if (i + 1) % accumulate and i + 1 < len(batches):
                continue
            penalty_of(network, spec).backward()  # type: ignore[no-untyped-call]
            if clip is not None:
                nn.utils.clip_grad_norm_(network.parameters(), clip)
            optim.step()
            optim.zero_grad()
    return network


def assert_same_weights(a: nn.Module, b: nn.Module, atol: float = 1e-6) -> None:
    for (name, p), q in zip(a.named_parameters(), b.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=atol, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("spec", [L1_SPEC, L2_SPEC, NET_SPEC], ids=lambda s: s["name"])
@pytest.mark.parametrize(
    ("options", "handmade"),
    [
        ({}, {}),
        ({"accumulate_grad_batches": 2}, {"accumulate": 2}),
        ({"gradient_clip_val": 0.3}, {"clip": 0.3}),
    ],
    ids=["plain", "accumulated", "clipped"],
)
def test_training_equals_a_loop_with_the_penalty_in_the_loss(
    options: dict[str, Any], handmade: dict[str, Any], spec: dict[str, Any], optimizer: str
) -> None:
    lr = 0.1 if optimizer == "sgd" else 0.01
    data, module = make_data(), make_module(optimizer={"name": optimizer, "lr": lr}, regularizers=[spec])
    start = copy.deepcopy(module.network)
    make_trainer(**options).fit(module, data)
    assert_same_weights(module.network, loop(copy.deepcopy(start), data, spec, optimizer, lr, **handmade))
    without = loop(start, data, {**spec, "weight": 0.0}, optimizer, lr, **handmade)
    difference = max((p - q).abs().max().item() for p, q in zip(module.network.parameters(), without.parameters()))  # noqa: B905
    assert difference > 1e-3


@pytest.mark.parametrize("spec", [L1_SPEC, NET_SPEC], ids=lambda s: s["name"])
def test_training_in_mixed_precision(spec: dict[str, Any]) -> None:
    data = make_data()
    module = make_module(optimizer={"name": "sgd", "lr": 0.1}, regularizers=[spec])
    start = copy.deepcopy(module.network)
    make_trainer(precision="bf16-mixed").fit(module, data)
    assert_same_weights(module.network, loop(start, data, spec, "sgd", 0.1, bfloat=True), atol=2e-3)


def test_several_regularizers_add_up() -> None:
    data = make_data()
    module = make_module(optimizer={"name": "sgd", "lr": 0.1}, regularizers=[L1_SPEC, L2_SPEC])
    start = copy.deepcopy(module.network)
    make_trainer().fit(module, data)
    both = {"name": "elastic_net", "weight": 0.12, "l1_ratio": 1 / 6}  # 0.02 of l1 and 0.05 of l2
    assert_same_weights(module.network, loop(start, data, both, "sgd", 0.1))


def test_penalty_is_logged() -> None:
    class Before(Callback):
        def on_train_batch_start(
            self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
        ) -> None:
            self.penalty = penalty_of(pl_module.network, L2_SPEC).item()  # type: ignore[arg-type]

    before = Before()
    trainer = make_trainer(callbacks=[before], log_every_n_steps=1)
    trainer.fit(make_module(regularizers=[L2_SPEC]), make_data())
    assert trainer.callback_metrics["train/penalty"].item() == pytest.approx(before.penalty, rel=1e-5)
    assert trainer.callback_metrics["train/loss"] < 3  # the loss is logged without it


def test_proximal_l1_makes_exact_zeros() -> None:
    zeros = {}
    for proximal in (False, True):
        spec = {"name": "l1", "weight": 0.1, "proximal": proximal}
        module = make_module(optimizer={"name": "sgd", "lr": 0.05}, regularizers=[spec])
        make_trainer(max_epochs=10).fit(module, make_data())
        weights = torch.cat([p.flatten() for n, p in module.network.named_parameters() if n.endswith("weight")])
        zeros[proximal] = int((weights == 0).sum())
        assert not any((p == 0).any() for n, p in module.network.named_parameters() if n.endswith("bias"))
    assert zeros[False] == 0
    assert zeros[True] > 5


@pytest.mark.parametrize("accumulate", [1, 2])
def test_proximal_l1_shrinks_once_a_step_by_rate_times_weight(accumulate: int) -> None:
    spec = {"name": "l1", "weight": 0.01, "proximal": True}
    schedule = {"name": "linear"}
    data = make_data()
    module = make_module(optimizer={"name": "sgd", "lr": 0.1}, schedule=schedule, regularizers=[spec])
    network = copy.deepcopy(module.network)
    make_trainer(max_epochs=1, accumulate_grad_batches=accumulate).fit(module, data)
    steps = 6 // accumulate
    loader: Any = data.train_dataloader()
    for i, batch in enumerate(loader):
        loss = F.cross_entropy(network(data.normalize(batch.inputs)), batch.targets)
        (loss / accumulate).backward()
        if (i + 1) % accumulate:
            continue
        rate = 0.1 * (1 - (i // accumulate) / steps)
        with torch.no_grad():
            for p in network.parameters():
                assert p.grad is not None
                p -= rate * p.grad
                if p.ndim == 2:
                    p.copy_(p.sign() * (p.abs() - rate * 0.01).clamp_min(0))
                p.grad = None
    assert_same_weights(module.network, network)


def test_no_penalty_of_frozen_weights() -> None:
    module = make_module(regularizers=[L2_SPEC], optimizer={"name": "sgd", "lr": 0.1})
    module.network.hidden.requires_grad_(False)  # type: ignore[union-attr]
    before = copy.deepcopy(module.network.hidden)
    make_trainer().fit(module, make_data())
    assert_same_weights(module.network.hidden, before, atol=0)  # type: ignore[arg-type]


def test_gradient_of_a_parameter_that_has_none_yet() -> None:
    module = make_module()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    penalty = add_penalties(module, [L2(0.5)], optimizer)
    assert penalty is not None
    assert not penalty.requires_grad
    for name, p in module.network.named_parameters():
        if name.endswith("weight"):
            torch.testing.assert_close(p.grad, p.detach())
        else:
            assert p.grad is None


def test_nothing_is_added_without_a_penalty() -> None:
    module = make_module()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    assert add_penalties(module, [], optimizer) is None
    assert add_penalties(module, [L1(0.5, proximal=True)], optimizer) is None
    assert all(p.grad is None for p in module.parameters())


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec", [L1_SPEC, NET_SPEC, {"name": "l1", "weight": 0.1, "proximal": True}], ids=["l1", "elastic_net", "proximal"]
)
def test_two_processes_equal_one_with_the_whole_batch(spec: dict[str, Any]) -> None:
    options: dict[str, Any] = {"optimizer": {"name": "sgd", "lr": 0.1}, "regularizers": [spec]}
    one, two = make_module(**options), make_module(**options)
    make_trainer().fit(one, make_data(batch_size=10))
    make_trainer(strategy="ddp_fork", devices=2).fit(two, make_data(batch_size=5))
    assert_same_weights(one, two)


SHARDED = """
import sys
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import ModelParallelStrategy
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from fulmen.data import ArrayData
from fulmen.modules import MLPModule

class Sharded(MLPModule):
    def configure_model(self):
        if any(isinstance(p, DTensor) for p in self.parameters()):
            return
        fully_shard(self.network.hidden, mesh=self.device_mesh["data_parallel"])
        fully_shard(self.network, mesh=self.device_mesh["data_parallel"])

def run(kind, size, **options):
    torch.manual_seed(0)
    inputs = torch.randn(60, 4)
    targets = (inputs[:, 0] + inputs[:, 1] > 0).long() + (inputs[:, 2] > 1).long()
    data = ArrayData(inputs, targets, batch_size=size, val_fraction=0.0, test_fraction=0.0)
    torch.manual_seed(1)
    module = kind(
        hidden_features=[6], input_shape=[4], num_outputs=3, optimizer={"name": "sgd", "lr": 0.1},
        regularizers=[{"name": "l1", "weight": 0.02}, {"name": "l2", "weight": 0.05},
                      {"name": "l1", "weight": 0.05, "proximal": True}],
    )
    trainer = Trainer(accelerator="cpu", logger=False, max_epochs=2, limit_val_batches=0,
                      enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False, **options)
    trainer.fit(module, data)
    return module, {name: value.full_tensor() for name, value in module.network.state_dict().items()}

if __name__ == "__main__":
    strategy = ModelParallelStrategy(data_parallel_size=2, tensor_parallel_size=1)
    module, found = run(Sharded, 5, strategy=strategy, devices=2)
    assert all(isinstance(p, DTensor) for p in module.network.parameters())
    if module.global_rank == 0:
        torch.save(found, sys.argv[1])
"""


@pytest.mark.slow
def test_sharded_parameters_equal_whole_ones(tmp_path: Path) -> None:
    script = tmp_path / "sharded.py"
    script.write_text(SHARDED)
    saved = tmp_path / "weights.pt"
    done = subprocess.run(
        [sys.executable, str(script), str(saved)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = torch.load(saved, weights_only=True)
    specs = [L1_SPEC, L2_SPEC, {"name": "l1", "weight": 0.05, "proximal": True}]
    one = make_module(optimizer={"name": "sgd", "lr": 0.1}, regularizers=specs)
    make_trainer().fit(one, make_data())
    assert set(found) == set(one.network.state_dict())
    for name, value in one.network.state_dict().items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-6)


class OwnTrainingStep(MLPModule):
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.compute_loss(self(batch.inputs), batch.targets)


class OfBatches(Regularizer):
    def batch_penalty(self, module: Any, batch: Any, logits: Tensor) -> Tensor:
        return self.weight * logits.square().mean()


class OfSteps(Regularizer):
    def before_step(self, module: Any, replay: Any) -> None:
        replay()


class Vector(Regularizer):
    def batch_penalty(self, module: Any, batch: Any, logits: Tensor) -> Tensor:
        return logits.square().sum(1)


class Number(Regularizer):
    def penalty(self, module: nn.Module) -> Any:
        return 0.5


@pytest.mark.parametrize(
    ("base", "regularizer", "message"),
    [
        (OwnTrainingStep, OfBatches(0.1), "OfBatches has no effect.*override `step` alone"),
        (OwnTrainingStep, OfSteps(0.1), "OfSteps sees no batches.*override `step` instead"),
        (MLPModule, Vector(0.1), r"Vector is a tensor of shape \(10,\); it has to be a scalar tensor"),
        (MLPModule, Number(0.1), "Number is 0.5; it has to be a scalar tensor"),
        (MLPModule, L2(0.1, ["nowhere.*"]), r"regularizers\[0\]: parameters: 'nowhere.\*' matches none"),
    ],
)
def test_what_would_do_nothing_is_an_error(base: type[MLPModule], regularizer: Regularizer, message: str) -> None:
    module = base(hidden_features=[6], input_shape=[4], num_outputs=3, regularizers=[regularizer])
    before = [p.detach().clone() for p in module.parameters()]
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        make_trainer().fit(module, make_data())
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))


@pytest.mark.parametrize("weight", [-1.0, float("nan")])
def test_weights_are_not_negative(weight: float) -> None:
    with pytest.raises(ConfigError, match=r"weight: .* is out of range"):
        L1(weight)
