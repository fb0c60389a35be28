"""The learning-rate range test, against loops written by hand."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn import functional

from fulmen.core.errors import ConfigError
from fulmen.data import ArrayData, IrisData
from fulmen.modules import MLPModule, NetworkModule, SupervisedModule, TransferModule
from fulmen.workflows import find_learning_rate
from fulmen.workflows.learning_rate import smooth, where_the_fall_slows

QUIET: dict[str, Any] = {"accelerator": "cpu", "devices": 1}
SEEN: list[Any] = []


def data(batch_size: int = 18) -> ArrayData:
    """18 training samples, whose classes follow from the inputs."""
    inputs = torch.randn(18, 4, generator=torch.Generator().manual_seed(0))
    return ArrayData(inputs, (inputs[:, 0] > 0).long(), batch_size=batch_size, val_fraction=0.0, test_fraction=0.0)


def module(cls: type[NetworkModule] = NetworkModule, optimizer: Any = None, **more: Any) -> NetworkModule:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    optimizer = optimizer or {"name": "sgd", "lr": 0.1, "momentum": 0.9}
    return cls(net, num_outputs=2, input_shape=[4], task="multiclass", optimizer=optimizer, **more)


def by_hand(rates: list[float]) -> list[float]:
    """Full-batch gradient descent with momentum at these rates."""
    samples = data()
    samples.setup("fit")
    batch = samples.on_after_batch_transfer(samples.datasets["train"].__getitems__(list(range(18))), 0)
    assert batch.targets is not None
    net = copy.deepcopy(module().network)
    velocity = [torch.zeros_like(p) for p in net.parameters()]
    losses = []
    for rate in rates:
        loss = functional.cross_entropy(net(batch.inputs), batch.targets)
        gradients = torch.autograd.grad(loss, list(net.parameters()))
        losses.append(loss.item())
        with torch.no_grad():
            for p, v, g in zip(net.parameters(), velocity, gradients, strict=True):
                v.mul_(0.9).add_(g)
                p.sub_(rate * v)
    return losses


@pytest.mark.parametrize(("batch_size", "accumulate"), [(18, 1), (9, 2)])
def test_the_curve_is_that_of_a_loop_by_hand(batch_size: int, accumulate: int) -> None:
    options = {**QUIET, "accumulate_grad_batches": accumulate}
    sweep = find_learning_rate(module(), data(batch_size), 1e-4, 1.0, 20, options)
    assert not sweep.diverged
    assert sweep.rates == pytest.approx(np.geomspace(1e-4, 1.0, 20).tolist())
    assert sweep.losses == pytest.approx(by_hand(sweep.rates), rel=1e-4)


def test_nothing_is_left_behind() -> None:
    trained, samples = module(), data()
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    torch.manual_seed(3)
    state = torch.get_rng_state()
    find_learning_rate(trained, samples, steps=10, trainer=QUIET)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())
    assert trained._trainer is None
    assert all(p.grad is None for p in trained.parameters())


class TwoRates(NetworkModule):
    """Two groups, the first a tenth of the second; notes the rates of each step."""

    def configure_optimizers(self) -> Any:
        first, last = self.network[0], self.network[2]  # type: ignore[index]
        groups = [{"params": first.parameters(), "lr": 0.01}, {"params": last.parameters()}]
        return torch.optim.Adam(groups, lr=0.1)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        SEEN.append([group["lr"] for group in optimizer.param_groups])


def test_groups_keep_their_ratio() -> None:
    SEEN.clear()
    sweep = find_learning_rate(module(TwoRates), data(), 1e-5, 1e-2, 10, QUIET)
    assert np.array(SEEN) == pytest.approx(np.array([[rate / 10, rate] for rate in sweep.rates]))


class Noting(NetworkModule):
    """Notes the rate of each step, the epoch that it is shown, and the order of samples."""

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        SEEN.append(("rate", optimizer.param_groups[0]["lr"]))

    def on_train_epoch_start(self) -> None:
        SEEN.append(("epoch", self.current_epoch))

    def step(self, batch: Any, stage: Any) -> Tensor | None:
        SEEN.append(("rows", tuple(batch.index.tolist())))
        return super().step(batch, stage)


@pytest.mark.parametrize(
    "schedule",
    [
        {"name": "cosine", "warmup_epochs": 2},
        {"name": "one_cycle"},
        {"name": "step", "step_size": 1},
        {"name": "plateau", "monitor": "val/loss"},
    ],
)
def test_schedules_rest(schedule: dict[str, Any]) -> None:
    SEEN.clear()
    made = module(Noting, optimizer={"name": "adam", "lr": 0.01}, schedule=schedule)
    sweep = find_learning_rate(made, data(8), 1e-5, 1e-2, 12, {**QUIET, "max_epochs": 5})
    assert [value for name, value in SEEN if name == "rate"] == pytest.approx(sweep.rates)


def test_a_small_set_is_gone_through_again_in_another_order_and_the_module_sees_its_first_epoch() -> None:
    SEEN.clear()
    find_learning_rate(module(Noting), data(9), 1e-5, 1e-2, 10, QUIET)
    epochs = [value for name, value in SEEN if name == "epoch"]
    rows = [value for name, value in SEEN if name == "rows"]
    assert epochs == [0] * 5
    assert len(set(rows[::2])) == 5


class Thawing(TransferModule):
    """Notes its rates, and how many parameters are trained."""

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        trained = sum(p.requires_grad for p in self.parameters())
        SEEN.append(([group["lr"] for group in optimizer.param_groups], trained))


@pytest.mark.filterwarnings("ignore:.*in eval mode at the start of training.*")  # frozen layers, and meant to be
def test_layer_decay_stays_and_what_is_thawed_later_rests() -> None:
    SEEN.clear()
    inputs = torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    samples = ArrayData(inputs, torch.arange(16) % 2, batch_size=8, val_fraction=0.0, test_fraction=0.0)
    made = Thawing(
        backbone="test_resnet",
        freeze=2,
        layer_decay=0.5,
        unfreeze={"epoch": 1, "every": 1},
        input_shape=[3, 32, 32],
        num_outputs=1,
        target_type="binary",
    )
    sweep = find_learning_rate(made, samples, 1e-5, 1e-2, 10, QUIET)
    (first, trained), (last, still) = SEEN[0], SEEN[-1]
    assert trained == still  # in the fifth epoch
    assert len(set(first)) > 2
    assert max(first) == pytest.approx(sweep.rates[0])
    ratio = sweep.rates[-1] / sweep.rates[0]
    assert last == pytest.approx([rate * ratio for rate in first])


def test_a_loss_that_diverges_ends_the_sweep() -> None:
    made = module(optimizer={"name": "sgd", "lr": 0.1, "momentum": 0.95})
    sweep = find_learning_rate(made, data(), 1e-3, 1e6, 60, QUIET)
    assert sweep.diverged
    assert len(sweep.rates) == len(sweep.losses) == len(sweep.smoothed) < 60
    assert np.isfinite(sweep.losses).all()
    assert sweep.suggestion is not None
    assert 1e-3 < sweep.suggestion < sweep.lowest


class Infinite(NetworkModule):
    """Its loss is never finite."""

    def compute_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return super().compute_loss(logits, targets) * torch.inf


def test_a_loss_that_is_never_finite_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"^lowest: the loss is not finite at a rate of 1\.0e-07 already"):
        find_learning_rate(module(Infinite), data(), steps=10, trainer=QUIET)


class ByHand(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lowest": 0.0}, "lowest: 0 and highest: 10 are no range"),
        ({"lowest": 1.0, "highest": 0.1}, "allowed: 0 < lowest < highest"),
        ({"highest": float("inf")}, "are no range"),
        ({"steps": 9}, "steps: 9 is out of range; allowed: at least 10"),
        ({"trainer": {**QUIET, "devices": 2, "strategy": "ddp_fork"}}, "trainer.strategy: .*write ddp"),
    ],
)
def test_mistakes(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_learning_rate(module(), data(), **{"trainer": QUIET, **arguments})


def test_modules_that_cannot_be_swept() -> None:
    with pytest.raises(ConfigError, match="ByHand steps its optimizer by hand"):
        find_learning_rate(ByHand(), data(), trainer=QUIET)
    with pytest.raises(ConfigError, match=r"optimizer.lr: SGD has the rates \[0.0\]; give one above 0"):
        find_learning_rate(module(optimizer={"name": "sgd", "lr": 0.0}), data(), trainer=QUIET)


def test_a_real_curve_suggests_a_rate_that_trains() -> None:
    samples = IrisData(batch_size=16)
    made: SupervisedModule = MLPModule(hidden_features=[16], input_shape=[4], num_outputs=3)
    found = find_learning_rate(made, samples, trainer=QUIET).suggestion
    assert found is not None
    assert 1e-3 < found < 0.2  # Adam's usual range for so small a network


# The maths


def valley(rates: np.ndarray[Any, Any], steep: float, noise: float = 0.0) -> list[float]:
    """A loss that falls around a rate as a logistic curve does, and rises again 100 times above it."""
    position = np.log10(rates / steep)
    fall = 2 - 1.5 / (1 + np.exp(-6 * position))
    rise = np.exp(8 * (position - 2.2))
    return list(fall + rise + noise * np.random.default_rng(0).normal(size=len(rates)))


@pytest.mark.parametrize("steep", [1e-5, 1e-3, 1e-1])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_the_rate_where_a_known_curve_slows(steep: float, noise: float) -> None:
    """A logistic curve with a slope of 6 a decade has done 80 % of its fall ln(4) / 6 decades behind its middle."""
    rates = np.geomspace(1e-7, 10, 200)
    losses = valley(rates, steep, noise)
    found = where_the_fall_slows(rates.tolist(), losses, smooth(losses, 1 if noise == 0 else 4))
    assert found is not None
    assert np.log10(found / steep) == pytest.approx(np.log(4) / 6, abs=0.05 if noise == 0 else 0.15)


def test_noise_rarely_suggests_anything() -> None:
    rates = np.geomspace(1e-7, 10, 100).tolist()
    curves = [(2 + 0.3 * np.random.default_rng(seed).normal(size=100)).tolist() for seed in range(200)]
    suggested = [where_the_fall_slows(rates, losses, smooth(losses, 2.5)) is not None for losses in curves]
    assert sum(suggested) < 0.1 * len(suggested)


def test_no_suggestion_where_there_is_none() -> None:
    rates = np.geomspace(1e-7, 10, 100)
    flat = (2 + 0.1 * np.random.default_rng(1).normal(size=100)).tolist()
    rising = np.linspace(1, 3, 100).tolist()
    at_once = [2.0, *np.linspace(1.0, 0.99, 99).tolist()]
    exploded = [2.0, *np.geomspace(200.0, 20.0, 99).tolist()]
    for losses in (flat, rising, at_once, exploded):
        assert where_the_fall_slows(rates.tolist(), losses, smooth(losses, 2.5)) is None


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=50),
    st.floats(0.1, 10),
)
def test_smoothing_is_a_mean(losses: list[float], width: float) -> None:
    smoothed = smooth(losses, width)
    assert smoothed.shape == (len(losses),)
    assert min(losses) - 1e-6 <= smoothed.min() <= smoothed.max() <= max(losses) + 1e-6
    assert smooth(losses[::-1], width)[::-1] == pytest.approx(smoothed)


def test_smoothing_keeps_a_line() -> None:
    assert smooth(list(range(50)), 2.0)[10:-10] == pytest.approx(range(10, 40))
