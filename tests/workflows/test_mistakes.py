"""The samples of highest loss, against losses computed by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from fulmen.core.errors import ConfigError
from fulmen.data import ArrayData, DigitsData
from fulmen.modules import CNNModule, MLPModule, NetworkModule
from fulmen.workflows import worst_mistakes
from fulmen.workflows.mistakes import sample_losses


def make(target_type: str, outputs: int, targets: Tensor, **options: Any) -> tuple[MLPModule, ArrayData]:
    torch.manual_seed(0)
    inputs = torch.randn(len(targets), 4)
    data = ArrayData(inputs, targets, target_type=target_type, batch_size=7, **options)
    module = MLPModule(
        hidden_features=[5],
        input_shape=[4],
        num_outputs=outputs,
        target_type=data.target_type,
        class_names=data.class_names,
    )
    data.setup("fit")
    return module, data


def of_split(module: Any, data: Any, split: str) -> tuple[Tensor, Tensor, Tensor]:
    batch = data.datasets[split].__getitems__(list(range(len(data.datasets[split]))))
    batch = data.on_after_batch_transfer(batch, 0)
    with torch.no_grad():
        return module.eval()(batch.inputs), batch.targets, batch.index


CLASSES = torch.arange(60) % 3


def test_the_highest_losses_come_first() -> None:
    module, data = make("multiclass", 3, CLASSES)
    logits, targets, index = of_split(module, data, "val")
    losses = functional.cross_entropy(logits, targets, reduction="none")
    order = losses.argsort(descending=True)
    module.train()
    found = worst_mistakes(module, data, samples=4)
    assert module.training
    assert (found.split, found.samples) == ("val", len(targets))
    assert [m.row for m in found.worst] == order[:4].tolist()
    assert [m.loss for m in found.worst] == pytest.approx(losses[order[:4]].tolist(), rel=1e-5)
    assert [m.sample for m in found.worst] == index[order[:4]].tolist()
    assert found.mean_loss == pytest.approx(losses.mean().item())
    assert found.wrong == int((logits.argmax(1) != targets).sum())
    for mistake in found.worst:
        row = logits[mistake.row]
        assert mistake.prediction == str(int(row.argmax()))
        assert mistake.target == str(int(targets[mistake.row]))
        assert mistake.wrong == (mistake.prediction != mistake.target)
        assert mistake.probability == pytest.approx(row.softmax(0).max().item())


def test_a_split_that_is_asked_for_and_more_samples_than_there_are() -> None:
    module, data = make("multiclass", 3, CLASSES)
    found = worst_mistakes(module, data, "train", samples=1000)
    assert len(found.worst) == found.samples == len(data.datasets["train"])
    assert sorted((m.loss for m in found.worst), reverse=True) == [m.loss for m in found.worst]


def test_yes_and_no() -> None:
    module, data = make("binary", 1, torch.arange(60) % 2, class_names=["no", "yes"])
    logits, targets, _ = of_split(module, data, "val")
    losses = functional.binary_cross_entropy_with_logits(logits[:, 0], targets.float(), reduction="none")
    (worst,) = worst_mistakes(module, data, samples=1).worst
    row = int(losses.argmax())
    probability = logits[row, 0].sigmoid().item()
    assert (worst.row, worst.wrong) == (row, True)
    assert worst.loss == pytest.approx(losses.max().item(), rel=1e-5)
    assert worst.target == ["no", "yes"][int(targets[row])]
    assert worst.prediction == ("yes" if probability > 0.5 else "no")
    assert worst.probability == pytest.approx(max(probability, 1 - probability))


def test_labels() -> None:
    targets = torch.stack([torch.arange(60) % 2, torch.arange(60) // 30], 1)
    module, data = make("multilabel", 2, targets, class_names=["cat", "dog"])
    logits, targets, _ = of_split(module, data, "val")
    losses = functional.binary_cross_entropy_with_logits(logits, targets.float(), reduction="none").mean(1)
    found = worst_mistakes(module, data, samples=len(targets))
    assert [m.row for m in found.worst] == losses.argsort(descending=True).tolist()
    assert found.wrong == int(((logits > 0) != targets).any(1).sum())
    assert {m.target for m in found.worst} <= {"cat", "dog", "cat;dog", "none"}
    assert all(m.probability is None for m in found.worst)


def test_numbers() -> None:
    module, data = make("regression", 1, torch.arange(60.0))
    module.task.learn(torch.arange(60.0))
    logits, targets, _ = of_split(module, data, "val")
    worst = worst_mistakes(module, data, samples=1)
    row = int((logits[:, 0] - targets).abs().argmax())
    scale = torch.arange(60.0).std(correction=0)
    assert worst.wrong is None
    assert (worst.worst[0].row, worst.worst[0].wrong) == (row, None)
    assert worst.worst[0].loss == pytest.approx(((logits[row, 0] - targets[row]) / scale).square().item(), rel=1e-4)
    assert worst.worst[0].target == f"{targets[row]:.4g}"
    assert float(worst.worst[0].prediction) == pytest.approx(logits[row, 0].item(), rel=1e-3)


class Fails(nn.Module):
    """Not a number for the third sample."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x[:, :1] == 2, torch.nan, x[:, :1]).expand(-1, 3)


def test_what_is_not_a_number_is_worst() -> None:
    inputs = torch.arange(10.0)[:, None].expand(-1, 2)
    data = ArrayData(inputs, torch.arange(10) % 3, standardize=False, val_fraction=0.0, test_fraction=0.0)
    data.setup("fit")
    module = NetworkModule(Fails(), input_shape=[2], num_outputs=3)
    worst = worst_mistakes(module, data, samples=1).worst[0]
    assert worst.sample == 2
    assert worst.loss != worst.loss


def test_losses_of_samples_are_those_of_batches_of_one() -> None:
    module = MLPModule(
        hidden_features=[], input_shape=[4], num_outputs=3, loss={"name": "cross_entropy", "label_smoothing": 0.1}
    )
    logits, targets = torch.randn(5, 3), torch.tensor([0, 1, 2, 2, 1])
    expected = functional.cross_entropy(logits, targets, reduction="none", label_smoothing=0.1)
    torch.testing.assert_close(sample_losses(module.task, logits, targets), expected)


def test_training_samples_are_looked_at_without_augmentation() -> None:
    data = DigitsData(augment=[{"name": "albumentations.InvertImg", "p": 1.0}])
    data.setup("fit")
    module = CNNModule(channels=[4], input_shape=data.input_shape, num_outputs=10)
    logits, targets, _ = of_split(module, data, "train")
    losses = functional.cross_entropy(logits, targets, reduction="none")
    assert worst_mistakes(module, data, "train", 1).worst[0].row == int(losses.argmax())


def test_mistakes() -> None:
    module, data = make("multiclass", 3, CLASSES)
    with pytest.raises(ConfigError, match=r"split: unknown split 'valid'; did you mean 'val'\?"):
        worst_mistakes(module, data, "valid")
    with pytest.raises(ConfigError, match="samples: 0 is out of range; allowed: at least 1"):
        worst_mistakes(module, data, samples=0)
