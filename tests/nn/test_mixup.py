"""Mixup and CutMix against timm's soft targets, and what they draw."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from scipy.stats import kstest
from timm.data.mixup import mixup_target
from timm.loss import SoftTargetCrossEntropy
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from fulmen.core.batch import Batch
from fulmen.core.errors import ConfigError
from fulmen.core.spec import build
from fulmen.modules import MLPModule
from fulmen.nn.mixup import CutMix, Mixup
from fulmen.testing import check_regularizer

test_kit = check_regularizer("mixup", options={"alpha": 1.0})  # that of CutMix would need images


@pytest.fixture(autouse=True)
def _seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")


def module(step: int = 0, loss: Any = F.cross_entropy) -> Any:
    return SimpleNamespace(trainer=SimpleNamespace(global_step=step), compute_loss=loss)


def images(samples: int, size: int = 8) -> Tensor:
    """Each sample has a value of its own."""
    return torch.arange(1.0, samples + 1).reshape(-1, 1, 1, 1).expand(-1, 3, size, size).contiguous()


@pytest.mark.parametrize("samples", [1, 2, 7, 8])
@pytest.mark.parametrize("step", range(4))
def test_mixup_blends_a_batch_with_its_reverse(samples: int, step: int) -> None:
    x = torch.randn(samples, 5)
    kept = x.clone()
    mixup = Mixup(alpha=1.0)
    mixed = mixup.before_forward(module(step), Batch(x, torch.zeros(samples))).inputs
    assert mixup.share is not None
    assert 0 < mixup.share < 1
    torch.testing.assert_close(mixed, mixup.share * x + (1 - mixup.share) * x.flip(0))
    assert torch.equal(x, kept)  # what was given is not changed


@pytest.mark.parametrize("step", range(8))
def test_cutmix_pastes_a_box_and_counts_its_pixels(step: int) -> None:
    cutmix, x = CutMix(), images(6, size=16)
    mixed = cutmix.before_forward(module(step), Batch(x, torch.zeros(6))).inputs
    own, other = mixed == x, mixed == x.flip(0)
    assert bool((own ^ other).all())
    assert own.float().mean().item() == pytest.approx(cutmix.share)
    rows, columns = (other[0, 0].any(dim).nonzero().flatten() for dim in (1, 0))
    box = torch.zeros(16, 16, dtype=torch.bool)
    if len(rows):
        box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    assert torch.equal(other, box.expand_as(other))


@pytest.mark.parametrize("regularizer", [Mixup(1.0), CutMix(), Mixup(0.4, 1.0)], ids=["mixup", "cutmix", "both"])
@pytest.mark.parametrize("samples", [5, 6])
def test_loss_is_that_of_timms_soft_targets(regularizer: Mixup, samples: int) -> None:
    targets, logits = torch.randint(4, (samples,)), torch.randn(samples, 4)
    batch = regularizer.before_forward(module(3), Batch(images(samples), targets))
    found = regularizer.loss(module(3), batch, logits)
    soft = mixup_target(targets, 4, regularizer.share)
    torch.testing.assert_close(found, SoftTargetCrossEntropy()(logits, soft))
    smoothed = regularizer.loss(module(3, nn.CrossEntropyLoss(label_smoothing=0.1)), batch, logits)
    torch.testing.assert_close(
        smoothed, SoftTargetCrossEntropy()(logits, mixup_target(targets, 4, regularizer.share, smoothing=0.1))
    )


def shares(regularizer: Mixup, steps: int = 400) -> list[float]:
    x, found = images(2), []
    for step in range(steps):
        regularizer.before_forward(module(step), Batch(x, torch.zeros(2)))
        assert regularizer.share is not None
        found.append(regularizer.share)
    return found


def test_shares_follow_the_beta_distribution() -> None:
    assert kstest(shares(Mixup(0.4)), "beta", args=(0.4, 0.4)).pvalue > 0.01


def test_how_often_batches_are_mixed_and_cut() -> None:
    assert np.mean(np.array(shares(Mixup(1.0, prob=0.3))) == 1.0) == pytest.approx(0.7, abs=0.07)
    both = Mixup(1.0, 1.0, switch_prob=0.25)
    cut = []
    for step in range(400):
        mixed = both.before_forward(module(step), Batch(images(2), torch.zeros(2))).inputs
        cut.append(set(mixed.unique().tolist()) <= {1.0, 2.0})
    assert np.mean(cut) == pytest.approx(0.25, abs=0.07)


def test_draws_depend_on_seed_and_step_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    before, generator = np.random.get_state()[1].tolist(), torch.get_rng_state()  # type: ignore[index]  # noqa: NPY002
    first = shares(Mixup(0.4, 1.0), 20)
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), generator)
    np.random.seed(6)  # noqa: NPY002
    assert shares(Mixup(0.4, 1.0), 20) == first
    assert len(set(first)) > 10
    monkeypatch.setenv("PL_GLOBAL_SEED", "1")
    assert shares(Mixup(0.4, 1.0), 20) != first


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "mixup", "alpha": -0.1}, "alpha: -0.1 is out of range"),
        ({"name": "mixup", "alpha": float("nan")}, "alpha: nan is out of range"),
        ({"name": "mixup", "alpha": 0}, "alpha: 0 mixes nothing"),
        ({"name": "mixup", "prob": 1.5}, "prob: 1.5 is out of range"),
        ({"name": "mixup", "switch_prob": -1}, "switch_prob: -1"),
        ({"name": "cutmix", "alpha": 0}, "alpha: 0"),
    ],
)
def test_errors(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build("regularizers", spec)


def test_inputs_that_cannot_be_mixed() -> None:
    with pytest.raises(ConfigError, match=r"inputs of torch\.int64 cannot be mixed"):
        Mixup().before_forward(module(), Batch(torch.zeros(2, 3, dtype=torch.long), torch.zeros(2)))
    with pytest.raises(ConfigError, match=r"cutmix_alpha: samples of shape \(3,\) are no images"):
        CutMix().before_forward(module(), Batch(torch.zeros(2, 3), torch.zeros(2)))


TASKS: dict[str, tuple[Any, Any]] = {
    "multiclass": (lambda x: (x[:, 0] > 0).long() + (x[:, 1] > 0).long(), F.cross_entropy),
    "binary": (lambda x: (x[:, 0] > 0).long(), lambda z, y: F.binary_cross_entropy_with_logits(z[:, 0], y.float())),
    "multilabel": (lambda x: (x[:, :3] > 0).long(), lambda z, y: F.binary_cross_entropy_with_logits(z, y.float())),
    "regression": (lambda x: x[:, 0] * 3, lambda z, y: F.mse_loss(z[:, 0], y)),
}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_training_equals_a_loop_by_hand(task: str, accumulate: int) -> None:
    make_targets, loss = TASKS[task]
    torch.manual_seed(0)
    inputs = torch.randn(20, 4)
    targets = make_targets(inputs)
    outputs = {"multiclass": 3, "multilabel": 3}.get(task, 1)
    options: dict[str, Any] = {"optimizer": {"name": "sgd", "lr": 0.1}, "hidden_features": []}
    names = [str(i) for i in range(max(outputs, 2))]
    model = MLPModule(
        input_shape=[4],
        num_outputs=2 if task == "binary" else outputs,
        class_names=None if task == "regression" else names,
        target_type=task,  # type: ignore[arg-type]
        regularizers=[{"name": "mixup", "alpha": 1.0}],
        **options,
    )
    network = copy.deepcopy(model.network)
    expected = torch.optim.SGD(network.parameters(), lr=0.1)
    drawing, step = Mixup(1.0), 0
    for first in range(0, 20, 5 * accumulate):
        expected.zero_grad()
        for start in range(first, first + 5 * accumulate, 5):
            x, y = inputs[start : start + 5], targets[start : start + 5]
            drawing.before_forward(module(step), Batch(x, y))  # one share for a whole step
            share = drawing.share
            assert share is not None
            z = network(share * x + (1 - share) * x.flip(0))
            (share * loss(z, y) + (1 - share) * loss(z, y.flip(0))).div(accumulate).backward()
        expected.step()
        step += 1
    quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=5)
    trainer = Trainer(
        accelerator="cpu", max_epochs=1, enable_checkpointing=False, accumulate_grad_batches=accumulate, **quiet
    )
    trainer.fit(model, loader, loader)
    assert trainer.global_step == step == 4 // accumulate
    for p, q in zip(model.network.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(p, q)


class SameShares(Callback):
    """Fails where two processes mix a step differently."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        (regularizer,) = pl_module.regularizers
        shares = [torch.zeros(1), torch.zeros(1)]
        torch.distributed.all_gather(shares, torch.tensor([regularizer.share]))
        assert shares[0] == shares[1]
        assert 0 < shares[0] < 1


@pytest.mark.slow
def test_processes_mix_alike() -> None:
    model = MLPModule(input_shape=[4], num_outputs=2, regularizers=[{"name": "mixup", "alpha": 1.0}])
    loader = DataLoader(TensorDataset(torch.randn(24, 4), torch.arange(24) % 2), batch_size=4)
    quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    options = {"accelerator": "cpu", "strategy": "ddp_fork", "devices": 2, "enable_checkpointing": False, **quiet}
    trainer = Trainer(max_epochs=1, callbacks=SameShares(), **options)
    before = [p.clone() for p in model.parameters()]
    trainer.fit(model, loader, loader)
    assert not any(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))  # steps were made
