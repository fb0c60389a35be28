"""What a model's training will do, read off the model itself."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import nn

from fulmen.core.errors import ConfigError
from fulmen.modules import MLPModule, NetworkModule, SupervisedModule, TransferModule
from fulmen.modules.training_plan import Part, training_plan


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "test_efficientnet.pth"
    torch.save(timm.create_model("test_efficientnet").state_dict(), path)
    return path


def transfer(weights: Path, **options: Any) -> TransferModule:
    known: dict[str, Any] = {"input_shape": [3, 32, 32], "num_outputs": 2, "backbone": "test_efficientnet"}
    return TransferModule(**known, weights=str(weights), **options)


def network() -> nn.Module:
    norm = nn.BatchNorm2d(4, affine=False)  # statistics, and no parameters
    net = nn.Sequential(nn.Sequential(nn.Conv2d(1, 4, 1), norm), nn.Flatten(), nn.Linear(16, 3))
    net[0].requires_grad_(False)
    return net


def test_parts_hold_every_parameter_once(weights: Path) -> None:
    module = transfer(weights, unfreeze={"epoch": 2, "every": 3}, layer_decay=0.8)
    parts = training_plan(module)
    assert sum(part.parameters for part in parts) == sum(p.numel() for p in module.parameters())
    assert [part.trained for part in reversed(parts)] == [
        {epoch: part.parameters} for part, epoch in zip(reversed(parts), [0, 2, 5, 8, 11, 14, 17], strict=True)
    ]
    assert all(part.moving == {next(iter(part.trained)): part.statistics} for part in parts if part.statistics)
    rates = [rate for part in parts for rate in part.rates]
    assert rates == sorted(rates)
    assert rates[-1] == 1e-3


@pytest.mark.parametrize(("policy", "moving"), [("follow", {}), ("frozen", {}), ("update", {0})])
def test_policy_of_norm_layers(weights: Path, policy: Any, moving: Any) -> None:
    parts = training_plan(transfer(weights, batch_norm=policy))
    assert sum(part.statistics for part in parts) > 5
    assert all(set(part.moving) == set(moving) for part in parts if part.statistics)


def test_module_is_left_as_it_was(weights: Path) -> None:
    module = transfer(weights, unfreeze={"epoch": 2}, freeze=4)
    module.eval()
    flags = [p.requires_grad for p in module.parameters()]
    training_plan(module)
    assert flags == [p.requires_grad for p in module.parameters()]
    assert not any(part.training for part in module.modules())
    assert all(p.grad is None for p in module.parameters())


def test_network_of_ones_own() -> None:
    module = NetworkModule(network(), num_outputs=3, input_shape=[1, 2, 2])
    assert training_plan(module) == [
        Part("0", ("0",), 8, {}, (), 1, {0: 1}),
        Part("2", ("2",), 51, {0: 51}, (1e-3,), 0, {}),
    ]


def test_parameters_outside_of_the_network() -> None:
    class Scaled(MLPModule):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.scale = nn.Parameter(torch.ones(2))

    parts = training_plan(Scaled(hidden_features=[], input_shape=[4], num_outputs=3, optimizer="sgd"))
    assert parts[-1] == Part("others", ("loss and regularizers",), 2, {0: 2}, (1e-3,), 0, {})


def test_rates_of_an_optimizer_of_ones_own_are_not_known() -> None:
    class Own(MLPModule):
        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    assert all(part.rates == () for part in training_plan(Own(input_shape=[4], num_outputs=3)))


def test_nothing_to_train() -> None:
    module: SupervisedModule = NetworkModule(network().requires_grad_(False), num_outputs=3, input_shape=[1, 2, 2])
    with pytest.raises(ConfigError, match="nothing to train"):
        training_plan(module)
