"""Every optimizer steps, every parameter is in one group, and rates follow their formulas."""

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from tests.modules.conftest import make_trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from fulmen.core.errors import ConfigError, SpecError
from fulmen.core.registry import registry
from fulmen.data import ArrayData, SupervisedDataModule
from fulmen.modules import MLPModule, NetworkModule, SupervisedModule
from fulmen.modules.optimizers import LayerRate, learning_rates, make_optimizer, parameter_groups


def make_data() -> ArrayData:
    """40 samples to train on: 5 batches an epoch."""
    torch.manual_seed(0)
    return ArrayData(torch.randn(50, 4), torch.arange(50) % 3, batch_size=8, val_fraction=0.2, test_fraction=0.0)


def mlp(data: SupervisedDataModule, **options: Any) -> MLPModule:
    return MLPModule(**{"hidden_features": [6], "input_shape": [4], "num_outputs": data.num_outputs, **options})


class Rates(Callback):
    """The rate of each step, as the optimizer is about to use it."""

    def __init__(self) -> None:
        self.used: list[float] = []
        self.momenta: list[float] = []

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        group = optimizer.param_groups[0]
        self.used.append(group["lr"])
        self.momenta.append(group.get("momentum", math.nan))


def rates(schedule: Any, epochs: int = 4, lr: float = 0.1, **options: Any) -> Rates:
    data, found = make_data(), Rates()
    module = mlp(data, optimizer={"name": "sgd", "lr": lr}, schedule=schedule)
    make_trainer(max_epochs=epochs, callbacks=[found], **options).fit(module, data)
    return found


# Optimizers


@pytest.mark.parametrize("name", registry().names("optimizers"))
def test_every_optimizer_trains(name: str) -> None:
    data = make_data()
    module = mlp(data, optimizer={"name": name, "lr": 0.01})
    before = copy.deepcopy(module.network)
    make_trainer().fit(module, data)
    for (label, p), q in zip(module.network.named_parameters(), before.parameters(), strict=True):
        assert torch.isfinite(p).all(), label
        assert not torch.equal(p, q), label


def test_lbfgs_minimizes_with_its_closure() -> None:
    data = make_data()
    data.batch_size = 50
    module = mlp(data, hidden_features=[], optimizer={"name": "lbfgs", "lr": 1.0, "max_iter": 50})
    trainer = make_trainer(max_epochs=3)
    trainer.fit(module, data)
    inputs = data.normalize(data.inputs[data.datasets["train"].rows])  # type: ignore[attr-defined]
    targets = data.targets[data.datasets["train"].rows]  # type: ignore[attr-defined]
    loss = module.compute_loss(module(inputs), targets)
    gradients = torch.autograd.grad(loss, list(module.parameters()))
    assert max(g.abs().max().item() for g in gradients) < 1e-3  # a convex problem, solved


@pytest.mark.parametrize(
    ("spec", "fused"),
    [
        ("sgd", True),
        ("adam", True),
        ("adamw", True),
        ("adagrad", True),
        ({"name": "adam", "fused": False}, False),
        ({"name": "sgd", "foreach": True}, None),
        ({"name": "torch.optim.AdamW"}, True),
    ],
)
def test_fused_is_chosen_on_the_cpu_unless_told(spec: Any, fused: bool | None) -> None:
    optimizer = make_optimizer(nn.Linear(2, 2), spec)
    assert [group["fused"] for group in optimizer.param_groups] == [fused]


def test_fused_is_not_chosen_where_it_is_not_allowed() -> None:
    assert not make_optimizer(nn.Linear(2, 2), "adam", allow_fused=False).param_groups[0]["fused"]


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "adagrad"])
def test_fused_gives_the_same_numbers(name: str) -> None:
    trained = []
    for options in ({}, {"fused": False}):
        data = make_data()
        module = mlp(data, optimizer={"name": name, "lr": 0.01, "weight_decay": 0.1, **options})
        make_trainer(max_epochs=2).fit(module, data)
        trained.append(module)
    for p, q in zip(trained[0].parameters(), trained[1].parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-6)


def test_wrong_option_names_its_place() -> None:
    with pytest.raises(SpecError, match=r"^optimizer\.lrr: .*did you mean 'lr'"):
        make_optimizer(nn.Linear(2, 2), {"name": "adam", "lrr": 0.1})
    with pytest.raises(SpecError, match=r"^optimizer\.lrr: "):
        mlp(make_data(), optimizer={"name": "adam", "lrr": 0.1})


# Groups


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.PReLU(4), nn.Flatten(), nn.Linear(16, 6), nn.LayerNorm(6)
    )


def test_bias_and_norm_can_be_spared_from_decay() -> None:
    net = network()
    optimizer = make_optimizer(net, {"name": "adamw", "weight_decay": 0.1, "decay_bias_and_norm": False})
    names = {id(p): name for name, p in net.named_parameters()}
    found = {group["weight_decay"]: {names[id(p)] for p in group["params"]} for group in optimizer.param_groups}
    assert found == {
        0.1: {"0.weight", "4.weight"},
        0.0: {"0.bias", "1.weight", "1.bias", "2.weight", "4.bias", "5.weight", "5.bias"},
    }


@pytest.mark.parametrize("decay", [True, False])
def test_every_parameter_is_in_one_group(decay: bool) -> None:
    net = network()
    found = [id(p) for group in parameter_groups(net, decay) for p in group["params"]]
    assert sorted(found) == sorted(id(p) for p in net.parameters())
    assert len(parameter_groups(net, decay)) == (1 if decay else 2)


@pytest.mark.parametrize("decay", [True, False])
def test_shared_parameters_are_in_a_group_once(decay: bool) -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Embedding(3, 3))
    net[1].weight = net[0].weight
    net[2].weight = net[0].weight
    found = [id(p) for group in parameter_groups(net, decay) for p in group["params"]]
    assert len(found) == len(set(found)) == 3
    make_optimizer(net, {"name": "sgd", "decay_bias_and_norm": decay})


def test_frozen_parameters_are_in_no_group() -> None:
    net = network()
    net[0].requires_grad_(False)  # type: ignore[index]
    found = {id(p) for group in parameter_groups(net, False) for p in group["params"]}
    assert found == {id(p) for p in net.parameters() if p.requires_grad}


def test_only_biases_make_one_group_without_decay() -> None:
    net = nn.Linear(2, 2)
    net.weight.requires_grad_(False)
    (group,) = parameter_groups(net, decay_bias_and_norm=False)
    assert group["weight_decay"] == 0.0


def test_nothing_to_train() -> None:
    with pytest.raises(ConfigError, match="nothing to train: every parameter is frozen"):
        make_optimizer(nn.Linear(2, 2).requires_grad_(False), "adam")
    module = NetworkModule(nn.Linear(4, 3).requires_grad_(False), input_shape=[4], num_outputs=3)
    with pytest.raises(ConfigError, match="nothing to train"):
        make_trainer().fit(module, make_data())


def test_rates_of_layers_make_groups() -> None:
    net = network()
    frozen, norm, head = net[0].requires_grad_(False), net[1], net[4]  # type: ignore[index]
    rates = {p: LayerRate("head", 0.1) for p in head.parameters()} | {frozen.weight: LayerRate("stem", 0.01, 3)}
    found = parameter_groups(net, decay_bias_and_norm=False, rates=rates)
    assert [(g["name"], g.get("lr"), g.get("weight_decay")) for g in found] == [
        ("head", 0.1, None), ("head/no_decay", 0.1, 0.0), ("stem", 0.01, None), ("others/no_decay", None, 0.0)
    ]  # fmt: skip
    assert found[2]["params"] == [frozen.weight]  # which is trained later
    trained = {p for group in found for p in group["params"]}
    assert trained == {p for p in net.parameters() if p.requires_grad} | {frozen.weight}
    assert norm.weight in found[3]["params"]
    assert [len(group["params"]) for group in found] == [1, 1, 1, 5]


@pytest.mark.parametrize(("spec", "rate"), [("adamw", 1e-3), ({"name": "sgd", "lr": "5e-2"}, 0.05), ("lion", 1e-4)])
def test_rates_of_layers_are_shares_of_the_optimizers(spec: Any, rate: float) -> None:
    net = nn.Linear(2, 2)
    optimizer = make_optimizer(net, spec, layer_rates=lambda lr: {net.weight: LayerRate("weight", lr / 2)})
    assert [(group["name"], group["lr"]) for group in optimizer.param_groups] == [
        ("weight", rate / 2),
        ("others", rate),
    ]


def test_rates_of_each_parameter() -> None:
    class Two(SupervisedModule):
        def build_network(self) -> nn.Module:
            return nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3))

        def configure_optimizers(self) -> Any:
            groups = [{"params": layer.parameters(), "lr": lr} for layer, lr in zip(self.network, (0.1, 0.2))]  # type: ignore[call-overload]  # noqa: B905
            return torch.optim.SGD(groups)

        def on_train_end(self) -> None:
            self.found = learning_rates(self)

    data = make_data()
    module = Two(input_shape=[4], num_outputs=3)
    make_trainer().fit(module, data)
    expected = {name: 0.1 if name.startswith("network.0") else 0.2 for name, _ in module.named_parameters()}
    assert {name: module.found[p] for name, p in module.named_parameters()} == expected


# Schedules: 5 steps an epoch, 4 epochs; factors by step k = 0, 1, ...


def _warm(k: int, steps: float) -> float:
    return min(1.0, (k + 1) / steps)


def _left(k: int, warm: int, total: int) -> float:
    return max(0.0, (k - warm) / (total - warm))


CLOSED: list[tuple[Any, Callable[[int], float]]] = [
    (None, lambda k: 1.0),
    ("constant", lambda k: 1.0),
    ({"name": "constant", "warmup_epochs": 1}, lambda k: _warm(k, 5)),
    ({"name": "constant", "warmup_epochs": 1.5}, lambda k: _warm(k, 7.5)),
    ({"name": "step", "step_size": 2, "gamma": 0.5}, lambda k: 0.5 ** (k // 10)),
    ({"name": "step", "step_size": 1, "gamma": 0.5, "warmup_epochs": 2}, lambda k: _warm(k, 10) * 0.5 ** (k // 5)),
    ({"name": "exponential", "gamma": 0.9}, lambda k: 0.9 ** (k // 5)),
    ("linear", lambda k: 1 - k / 20),
    (
        {"name": "linear", "min_factor": 0.1, "warmup_epochs": 1},
        lambda k: _warm(k, 5) * (1 - 0.9 * _left(k, 5, 20)),
    ),
    ("cosine", lambda k: (1 + math.cos(math.pi * k / 20)) / 2),
    (
        {"name": "cosine", "min_factor": 0.2, "warmup_epochs": 1},
        lambda k: _warm(k, 5) * (0.2 + 0.8 * (1 + math.cos(math.pi * _left(k, 5, 20))) / 2),
    ),
    ({"name": "torch.optim.lr_scheduler.ExponentialLR", "gamma": 0.5}, lambda k: 0.5 ** (k // 5)),
    ({"name": "torch.optim.lr_scheduler.StepLR", "step_size": 2}, lambda k: 0.1 ** (k // 10)),
]


@pytest.mark.parametrize(("spec", "factor"), CLOSED, ids=lambda v: str(v) if not callable(v) else "")
def test_rates_follow_their_formula(spec: Any, factor: Callable[[int], float]) -> None:
    found = rates(spec)
    assert found.used == pytest.approx([0.1 * factor(k) for k in range(20)])


def test_every_schedule_is_tried_here() -> None:
    tried = {spec if isinstance(spec, str) else spec["name"] for spec, _ in CLOSED if spec}
    assert {name for name in tried if "." not in name} | {"one_cycle", "plateau"} == set(registry().names("schedules"))


def test_rates_with_accumulated_batches() -> None:
    # 5 batches, 2 a step: 3 steps an epoch, the last from one batch
    found = rates({"name": "cosine", "warmup_epochs": 1}, accumulate_grad_batches=2)
    expected = [_warm(k, 3) * (1 + math.cos(math.pi * _left(k, 3, 12))) / 2 for k in range(12)]
    assert found.used == pytest.approx([0.1 * e for e in expected])
    stepwise = rates({"name": "step", "step_size": 2, "gamma": 0.5}, accumulate_grad_batches=2)
    assert stepwise.used == pytest.approx([0.1 * 0.5 ** (k // 6) for k in range(12)])


def test_rates_with_a_number_of_steps() -> None:
    found = rates("linear", epochs=-1, max_steps=8)
    assert found.used == pytest.approx([0.1 * (1 - k / 8) for k in range(8)])


def test_rates_with_fewer_batches() -> None:
    found = rates({"name": "linear", "warmup_epochs": 1}, limit_train_batches=2)
    assert found.used == pytest.approx([0.1 * _warm(k, 2) * (1 - _left(k, 2, 8)) for k in range(8)])


def test_one_cycle_is_torchs() -> None:
    found = rates({"name": "one_cycle", "pct_start": 0.25, "div_factor": 10})
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.1, total_steps=20, pct_start=0.25, div_factor=10, cycle_momentum=False
    )
    expected = []
    for _ in range(20):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert found.used == pytest.approx(expected)
    assert max(found.used) == pytest.approx(0.1)
    assert found.momenta == [0] * 20  # SGD without momentum stays without


@pytest.mark.parametrize(
    "spec",
    [
        {"name": "plateau"},
        {"name": "plateau", "monitor": "train/loss"},
        {"name": "torch.optim.lr_scheduler.ReduceLROnPlateau"},
    ],
    ids=["val", "train", "torch"],
)
def test_plateau_lowers_the_rate_when_nothing_improves(spec: dict[str, Any]) -> None:
    spec = {**spec, "factor": 0.5, "patience": 1}
    found = rates(spec, epochs=6, lr=1e-6)  # too small to change anything
    expected = [1.0, 1.0, 1.0, 0.5, 0.5, 0.25]  # epoch 0 is the best; 1 and 2 are not better
    assert found.used == pytest.approx([1e-6 * e for e in expected for _ in range(5)], rel=1e-6, abs=0)


def test_plateau_keeps_the_rate_while_it_improves() -> None:
    found = rates({"name": "plateau", "factor": 0.5, "patience": 0, "monitor": "train/loss"}, lr=0.1)
    assert found.used == [0.1] * 20


def test_plateau_of_an_unknown_metric() -> None:
    with pytest.raises(ConfigError, match=r"schedule\.monitor: .*did you mean 'val/accuracy'"):
        rates({"name": "plateau", "monitor": "val/acuracy"})


@pytest.mark.parametrize("name", ["cosine", "linear", "one_cycle"])
def test_endless_training_has_no_end_to_schedule_for(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^schedule: .*set trainer\.max_epochs or trainer\.max_steps"):
        rates(name, epochs=-1)


class Endless(IterableDataset[tuple[Tensor, Tensor]]):
    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield torch.randn(4), torch.tensor(0)


def test_data_without_a_length() -> None:
    options: dict[str, Any] = {"input_shape": [4], "num_outputs": 3, "optimizer": {"name": "sgd", "lr": 0.1}}
    loader = DataLoader(Endless(), 2)
    found = Rates()
    trainer = make_trainer(max_steps=8, callbacks=[found], limit_val_batches=0)
    trainer.fit(MLPModule(schedule="cosine", **options), loader, loader)
    assert found.used == pytest.approx([0.05 * (1 + math.cos(math.pi * k / 8)) for k in range(8)])
    with pytest.raises(ConfigError, match=r"^schedule: .*set trainer\.max_epochs or trainer\.max_steps"):
        make_trainer(limit_val_batches=0).fit(MLPModule(schedule="cosine", **options), loader, loader)
    with pytest.raises(ConfigError, match=r"^schedule: .*set trainer\.limit_train_batches"):
        make_trainer(limit_val_batches=0, max_steps=8).fit(MLPModule(schedule="step", **options), loader, loader)


def test_warmup_that_is_longer_than_training() -> None:
    with pytest.raises(ConfigError, match=r"^schedule: .*warmup_epochs: 25 warm-up steps do not fit in 20 steps"):
        rates({"name": "cosine", "warmup_epochs": 5})


def test_object_is_used_as_it_is() -> None:
    def halved(optimizer: torch.optim.Optimizer) -> Any:
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5)

    class Own(MLPModule):
        def configure_optimizers(self) -> Any:
            optimizer = super().configure_optimizers()
            return {"optimizer": optimizer, "lr_scheduler": halved(optimizer)}

    data, found = make_data(), Rates()
    module = Own(input_shape=[4], num_outputs=3, optimizer={"name": "sgd", "lr": 0.1})
    make_trainer(callbacks=[found]).fit(module, data)
    assert found.used == [0.05] * 5


def test_schedule_survives_a_checkpoint(tmp_path: Any) -> None:
    data = make_data()
    whole, parts = Rates(), Rates()
    spec = {"name": "cosine", "warmup_epochs": 1}
    options: dict[str, Any] = {"optimizer": {"name": "sgd", "lr": 0.1}, "schedule": spec}
    make_trainer(max_epochs=4, callbacks=[whole]).fit(mlp(data, **options), make_data())

    class StopAfterTwo(Callback):
        def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            trainer.should_stop = trainer.current_epoch == 1

    first = make_trainer(max_epochs=4, callbacks=[parts, StopAfterTwo()])
    first.fit(mlp(data, **options), make_data())
    first.save_checkpoint(tmp_path / "half.ckpt")
    again = make_trainer(max_epochs=4, callbacks=[parts])
    again.fit(mlp(data, **options), make_data(), ckpt_path=tmp_path / "half.ckpt", weights_only=True)
    assert parts.used == pytest.approx(whole.used)


def first_parameter(module: nn.Module) -> Tensor:
    return next(iter(module.parameters()))


def test_rate_of_zero_changes_nothing() -> None:
    data = make_data()
    module = mlp(data, optimizer={"name": "sgd", "lr": 0.0})
    before = first_parameter(module).detach().clone()
    make_trainer().fit(module, data)
    assert torch.equal(first_parameter(module), before)
