"""Regularizers of batches: what they see and when, what they refuse, how they go together."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import rel_entr
from scipy.stats import bernoulli, entropy
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from fulmen.core.batch import Batch
from fulmen.core.errors import ConfigError
from fulmen.modules import NetworkModule, TransferModule
from fulmen_regularizers import ActivityL1, ActivityL2, Jacobian, KLSparsity, ManifoldMixup
from fulmen_regularizers.kl_sparsity import bernoulli_kl, bernoulli_kl_slope
from fulmen_regularizers.outputs import bernoulli_entropy, categorical_entropy
from fulmen_regularizers.selection import find_layers

Make = Callable[..., Any]


# Formulas


def test_entropies() -> None:
    logits = torch.randn(5, 4, dtype=torch.float64) * 3
    np.testing.assert_allclose(categorical_entropy(logits), entropy(logits.softmax(1), axis=1), atol=1e-12)
    expected = bernoulli(logits.sigmoid().numpy()).entropy().sum(1)
    np.testing.assert_allclose(bernoulli_entropy(logits), expected, atol=1e-12)
    sure = torch.tensor([[200.0, -200.0]], requires_grad=True)
    (categorical_entropy(sure) + bernoulli_entropy(sure)).sum().backward()
    assert sure.grad is not None
    assert torch.isfinite(sure.grad).all()


def test_bernoulli_kl_and_its_slope() -> None:
    q = torch.linspace(0.01, 0.99, 9, dtype=torch.float64, requires_grad=True)
    found = bernoulli_kl(0.2, q)
    expected = rel_entr(0.2, q.detach().numpy()) + rel_entr(0.8, 1 - q.detach().numpy())
    np.testing.assert_allclose(found.detach(), expected, atol=1e-12)
    (slope,) = torch.autograd.grad(found.sum(), q)
    np.testing.assert_allclose(bernoulli_kl_slope(0.2, q.detach()), slope, atol=1e-12)


@pytest.mark.parametrize("task", ["binary", "multilabel"])
def test_confidence_of_labels(task: str, make_trainer: Make, make_data: Make, make_module: Make) -> None:
    outputs = 1 if task == "binary" else 3
    targets = torch.arange(48 * outputs).reshape(48, outputs) % 2
    module = make_module({"name": "confidence_penalty", "weight": 0.5}, num_outputs=outputs, task=task)
    logits = torch.randn(7, outputs, dtype=torch.float64)
    (regularizer,) = module.regularizers
    found = regularizer.batch_penalty(module, Batch(torch.zeros(7, 4), targets[:7]), logits)
    expected = -0.5 * bernoulli(logits.sigmoid().numpy()).entropy().sum(1).mean()
    assert found.item() == pytest.approx(expected, abs=1e-9)


def test_confidence_of_a_regression(make_trainer: Make, make_data: Make, make_module: Make) -> None:
    module = make_module({"name": "confidence_penalty", "weight": 0.5}, num_outputs=1, task="regression")
    with pytest.raises(ConfigError, match="needs probabilities, which a regression does not predict"):
        make_trainer().fit(module, make_data())


def stub(network: nn.Module, step: int = 0) -> Any:
    """What regularizers of inputs and mixup read of a module."""
    loss = nn.CrossEntropyLoss()
    return SimpleNamespace(
        network=network, parameters=network.parameters, training=True, compute_loss=loss,
        trainer=SimpleNamespace(global_step=step),
    )  # fmt: skip


def test_jacobian_against_torch_autograd_functional() -> None:
    network = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    x = torch.randn(6, 4, dtype=torch.float64)
    full = [torch.autograd.functional.jacobian(network, row[None]).flatten() for row in x]  # type: ignore[no-untyped-call]
    expected = 0.7 / 2 * torch.stack([j.square().sum() for j in full]).mean()
    found = []
    for projections, steps in ((None, 1), (1, 2000)):
        regularizer = Jacobian(0.7, projections)
        batch = regularizer.before_forward(None, Batch(x))
        logits = network(batch.inputs)
        values = [regularizer.batch_penalty(stub(network, step), batch, logits).detach() for step in range(steps)]
        found.append(torch.stack(values).mean())
    torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(found[1], expected, rtol=0.05, atol=0)  # random projections: without bias


def test_inputs_that_are_no_real_numbers() -> None:
    for regularizer in (Jacobian(1.0), ManifoldMixup(layers="input")):
        regularizer.attach(stub(nn.Sequential(nn.Linear(4, 3))))
        with pytest.raises(ConfigError, match="int64"):
            regularizer.before_forward(stub(nn.Sequential()), Batch(torch.zeros(2, 4, dtype=torch.int64)))


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Linear(1, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        q = self.embedding(x[:, None, :, None])
        found: Tensor = self.head(F.scaled_dot_product_attention(q, q, q)[:, 0].mean(1))
        return found


@pytest.mark.parametrize("name", ["jacobian", "gradient_penalty"])
def test_an_operation_that_cannot_be_derived_twice(name: str, make_trainer: Make, make_data: Make) -> None:
    module = NetworkModule(Attention(), num_outputs=3, input_shape=[4], regularizers=[{"name": name, "weight": 1.0}])
    with pytest.raises(ConfigError, match="derive twice, which an operation of this network"):
        make_trainer(precision="32-true").fit(module, make_data())


# Layers


def test_activations_that_are_built_of_others_count_as_one() -> None:
    outer: Any = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    outer.is_activation = True
    network = nn.Sequential(nn.Linear(2, 2), outer, nn.GELU(), nn.MultiheadAttention(2, 1))
    assert list(find_layers(network, "activations")) == ["1", "2"]
    assert list(find_layers(network, ["2", "1.*", "activations"])) == ["1", "1.0", "1.1", "2"]


@pytest.mark.parametrize(
    ("layers", "message"), [("activations", "finds no activation layer of Linear"), (["x.*"], r"'x\.\*' matches no")]
)
def test_layers_that_are_not_there(layers: Any, message: str, make_trainer: Make, make_data: Make) -> None:
    for name in ("activity_l1", "kl_sparsity", "manifold_mixup"):
        spec = {"name": name, "layers": layers} | ({"weight": 1.0} if name != "manifold_mixup" else {})
        module = NetworkModule(nn.Linear(4, 3), num_outputs=3, input_shape=[4], regularizers=[spec])
        with pytest.raises(ConfigError, match=message):
            make_trainer().fit(module, make_data())


class Shared(nn.Module):
    """Runs one activation twice, or inside of activation checkpointing."""

    def __init__(self, reentrant: bool | None = None, times: int = 2) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(4, 5), nn.Linear(5, 5), nn.Linear(5, 3)
        self.act, self.reentrant, self.times = nn.Sigmoid(), reentrant, times

    def _inner(self, x: Tensor) -> Tensor:
        x = self.act(self.first(x))
        found: Tensor = self.act(self.second(x)) if self.times == 2 else torch.sigmoid(self.second(x))
        return found

    def forward(self, x: Tensor) -> Tensor:
        if self.reentrant is None:
            return self.head(self._inner(x))  # type: ignore[no-any-return]
        x = x.detach().requires_grad_() if self.reentrant else x
        return self.head(checkpoint(self._inner, x, use_reentrant=self.reentrant))  # type: ignore[no-any-return]


def fit_shared(spec: dict[str, Any], make_trainer: Make, make_data: Make, **options: Any) -> nn.Module:
    torch.manual_seed(2)
    network = Shared(**options)
    module = NetworkModule(
        network, num_outputs=3, input_shape=[4], optimizer={"name": "sgd", "lr": 0.1}, regularizers=[spec]
    )
    make_trainer(max_epochs=1).fit(module, make_data())
    return network


def test_a_layer_that_runs_twice_counts_twice() -> None:
    network = Shared()
    regularizer = ActivityL1(0.5)
    module: Any = nn.Module()
    module.network = network
    handles = regularizer.attach(module)
    batch = regularizer.before_forward(module, Batch(torch.randn(6, 4)))
    logits = network(batch.inputs)
    h = torch.sigmoid(network.first(batch.inputs))
    expected = 0.5 * (h.sum(1) + torch.sigmoid(network.second(h)).sum(1)).mean()
    torch.testing.assert_close(regularizer.batch_penalty(module, batch, logits), expected)
    assert regularizer.measured == []  # nothing is kept of the batch
    network(batch.inputs)
    assert regularizer.measured == []  # nothing is seen outside of a training step
    assert regularizer.batch_penalty(module, batch, logits) is None
    assert len(handles) == 1


CHECKPOINTED = [
    {"name": "activity_l2", "weight": 0.1},
    {"name": "kl_sparsity", "weight": 0.3},
    {"name": "manifold_mixup", "layers": ["act"]},
]


@pytest.mark.parametrize("spec", CHECKPOINTED, ids=lambda s: s["name"])
def test_activation_checkpointing(spec: dict[str, Any], make_trainer: Make, make_data: Make) -> None:
    times = 1 if spec["name"] == "manifold_mixup" else 2
    plain = fit_shared(spec, make_trainer, make_data, times=times)
    checkpointed = fit_shared(spec, make_trainer, make_data, times=times, reentrant=False)
    for p, q in zip(plain.parameters(), checkpointed.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-12)


@pytest.mark.parametrize("spec", CHECKPOINTED, ids=lambda s: s["name"])
def test_reentrant_activation_checkpointing_is_refused(
    spec: dict[str, Any], make_trainer: Make, make_data: Make
) -> None:
    with pytest.raises(ConfigError, match=r"layers: 'act' r(uns|an).* gradients"):
        fit_shared(spec, make_trainer, make_data, reentrant=True)


def test_mixup_needs_layers_that_run_once(make_trainer: Make, make_data: Make) -> None:
    with pytest.raises(ConfigError, match="layers: 'act' ran 2 times"):
        fit_shared({"name": "manifold_mixup", "layers": ["act"]}, make_trainer, make_data)


def test_validation_is_not_seen(make_trainer: Make, make_data: Make, make_module: Make) -> None:
    """Training ends alike with and without validation and its sanity check; the validation loss has no penalty."""
    specs = [{"name": "activity_l1", "weight": 0.1}, {"name": "kl_sparsity", "weight": 0.3}, "manifold_mixup"]
    ends = []
    for batches in (0, 4):
        module, data = make_module(*specs), make_data(val_fraction=0.25)
        trainer = make_trainer(limit_val_batches=batches, num_sanity_val_steps=2)
        trainer.fit(module, data)
        ends.append(module.network)
    for p, q in zip(ends[0].parameters(), ends[1].parameters(), strict=True):
        assert torch.equal(p, q)
    data.setup("fit")
    batch = next(iter(data.val_dataloader()))
    expected = F.cross_entropy(module.network(batch.inputs.double()), batch.targets)
    assert trainer.callback_metrics["val/loss"].item() == pytest.approx(expected.item(), abs=1e-6)


def test_units_of_feature_maps(make_trainer: Make) -> None:
    """Each pixel of each channel is a unit, here of both regularizers."""
    torch.manual_seed(0)
    network: Any = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sigmoid(), nn.Flatten(), nn.Linear(32, 3)).double()
    batch = Batch(torch.rand(5, 1, 6, 6, dtype=torch.float64), torch.arange(5) % 3)
    module: Any = nn.Module()
    module.network, module.trainer = network, SimpleNamespace(strategy=SimpleNamespace(reduce=lambda x, reduce_op: x))
    kl, l2 = KLSparsity(0.5, target=0.2, momentum=0.0), ActivityL2(0.5)
    activity = network[1](network[0](batch.inputs)).detach()
    for regularizer in (kl, l2):
        regularizer.attach(module)
    for step in range(2):
        for regularizer in (kl, l2):
            regularizer.before_forward(module, batch)
        logits = network(batch.inputs)
        found = [regularizer.batch_penalty(module, batch, logits) for regularizer in (kl, l2)]
        assert (found[0] is None) == (step == 0)
        kl.after_step(module, {})
    q = activity.mean(0).numpy()
    assert found[0] is not None
    assert found[0].item() == pytest.approx(0.5 * (rel_entr(0.2, q) + rel_entr(0.8, 1 - q)).sum(), abs=1e-9)
    assert found[1] is not None
    assert found[1].item() == pytest.approx(0.5 * activity.square().sum().item() / 5, abs=1e-9)
    kl.before_forward(module, batch)
    with pytest.raises(ConfigError, match="layers: '1' has 72 units now and had 32"):
        network[:2](torch.rand(5, 1, 8, 8, dtype=torch.float64))


def test_kl_sparsity_reaches_its_target(make_trainer: Make, make_data: Make, make_module: Make) -> None:
    means = {}
    for weight in (0.0, 3.0):
        module = make_module(
            {"name": "kl_sparsity", "weight": weight, "target": 0.1}, seed=3, optimizer={"name": "adam", "lr": 0.05}
        )
        make_trainer(max_epochs=60).fit(module, make_data())
        activity = module.network.hidden(make_data().inputs.double()).mean(0)
        means[weight] = activity.detach()
    assert (means[0.0] - 0.1).abs().max() > 0.2
    assert (means[3.0] - 0.1).abs().max() < 0.03


def test_kl_sparsity_needs_activations_between_zero_and_one(
    make_trainer: Make, make_data: Make, make_module: Make
) -> None:
    module = make_module({"name": "kl_sparsity", "weight": 1.0}, activation="tanh")
    with pytest.raises(ConfigError, match=r"layers: 'hidden\.0\.1' gives activations from -.* allowed: 0 to 1"):
        make_trainer().fit(module, make_data())


# Together


def test_sam_shows_the_others_the_same_batches_twice(
    make_trainer: Make, make_data: Make, make_module: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second pass has the draws of the first, and counts nothing again."""
    drawn: list[tuple[bool, Any]] = []
    draw = ManifoldMixup.draw

    def record(self: ManifoldMixup, module: Any, samples: int) -> Any:
        found = draw(self, module, samples)
        drawn.append((self.replaying, (found.layer, found.share, tuple(found.partners))))
        return found

    monkeypatch.setattr(ManifoldMixup, "draw", record)
    kl = {"name": "kl_sparsity", "weight": 0.3, "momentum": 0.0, "layers": ["hidden.0.1"]}
    specs = [
        {"name": "sam", "rho": 5.0},
        kl,
        {"name": "manifold_mixup", "layers": ["head"]},
        {"name": "l2", "weight": 1},
    ]
    module = make_module(*specs, optimizer={"name": "sgd", "lr": 0.0})
    data = make_data(4)
    make_trainer(accumulate_grad_batches=3, max_epochs=1).fit(module, data)
    assert [replaying for replaying, _ in drawn[:6]] == [False] * 3 + [True] * 3
    assert [d for replaying, d in drawn if replaying] == [d for replaying, d in drawn if not replaying]
    inputs = torch.cat([batch.inputs for batch in data.train_dataloader()][-3:]).double()  # of the last step
    running = module.regularizers[1].mean("hidden.0.1")
    torch.testing.assert_close(running, module.network.hidden(inputs).mean(0).detach(), rtol=0, atol=1e-12)


def test_sam_leaves_parameters_as_they_were(make_module: Make) -> None:
    module = make_module({"name": "sam", "rho": 0.5})
    before = copy.deepcopy(module.network)
    for p in module.network.parameters():
        p.grad = torch.randn_like(p)
    moved: list[float] = []

    def replay() -> None:
        squares = [
            (p - q).square().sum() for p, q in zip(module.network.parameters(), before.parameters(), strict=True)
        ]
        moved.append(torch.stack(squares).sum().sqrt().item())
        raise RuntimeError("a replay that fails")

    with pytest.raises(RuntimeError, match="fails"):
        module.regularizers[0].before_step(module, replay)
    assert moved == [pytest.approx(0.5, rel=1e-5)]
    assert all(torch.equal(p, q) for p, q in zip(module.network.parameters(), before.parameters(), strict=True))


def test_mixup_draws() -> None:
    """Shares follow Beta(alpha, alpha), layers come equally often, and a step's draws are its own."""
    regularizer = ManifoldMixup(alpha=0.5)
    network = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    regularizer.attach(stub(network))
    draws = [regularizer.draw(stub(network, step), 8) for step in range(2000)]
    shares = np.array([d.share for d in draws])
    assert shares.mean() == pytest.approx(0.5, abs=0.03)
    assert shares.var() == pytest.approx(1 / 8, abs=0.01)  # of Beta(0.5, 0.5)
    assert {d.layer for d in draws} == {"input", "1"}
    assert sum(d.layer == "input" for d in draws) == pytest.approx(1000, abs=100)
    assert len({tuple(d.partners) for d in draws[:100]}) == 100
    assert all(sorted(d.partners) == list(range(8)) for d in draws)
    again = regularizer.draw(stub(network, 7), 8)
    assert (again.layer, again.share, list(again.partners)) == (*draws[7][:2], list(draws[7].partners))


@pytest.mark.filterwarnings("ignore:.*in eval mode at the start of training.*")  # frozen layers stay so
def test_transfer_with_frozen_layers(make_trainer: Make, tmp_path: Any) -> None:
    from fulmen.data import ArrayData

    torch.manual_seed(0)
    images, targets = torch.rand(16, 3, 32, 32), torch.arange(16) % 2
    data = ArrayData(images, targets, batch_size=8, val_fraction=0.0, test_fraction=0.0)
    specs = [
        {"name": "l2_sp", "weight": 0.1}, {"name": "activity_l2", "weight": 1e-4}, {"name": "max_norm", "limit": 1.0},
        {"name": "orthogonal", "weight": 1e-3}, "manifold_mixup", {"name": "sam", "rho": 0.05},
    ]  # fmt: skip
    facts = {"input_shape": [3, 32, 32], "num_outputs": 2, "task": "multiclass"}
    module = TransferModule("resnet10t", freeze=1, regularizers=specs, optimizer={"name": "sgd", "lr": 0.01}, **facts)
    before = copy.deepcopy(module.network)
    make_trainer(precision="32-true", max_epochs=1).fit(module, data)
    for (name, p), q in zip(module.network.named_parameters(), before.parameters(), strict=True):
        assert torch.isfinite(p).all()
        assert torch.equal(p, q) == (not p.requires_grad), name
