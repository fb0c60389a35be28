"""Class weights: the numbers, in training alone, and what refuses them."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn
from torch.nn import functional as F

from fulmen.core.errors import ConfigError, DataError
from fulmen.tasks import Task, make_task

COUNTS = torch.tensor([90, 25, 5])


def weighed(name: Any = "multiclass", counts: torch.Tensor = COUNTS, **options: Any) -> Task:
    task = make_task(name, 3 if name != "binary" else 1, **options)
    task.weigh(counts)
    return task.train()


def test_weights_are_those_of_scikit_learn() -> None:
    classes = np.repeat([0, 1, 2], COUNTS)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=classes)
    assert make_task("multiclass", 3).class_weights(COUNTS)["class_weights"] == pytest.approx(expected)
    no, yes = compute_class_weight("balanced", classes=np.arange(2), y=classes[classes < 2])
    assert make_task("binary", 1).class_weights(COUNTS[:2]) == pytest.approx({"positive_weight": yes / no})


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_of_training_is_weighted_and_no_other(smoothing: float) -> None:
    logits, targets = torch.randn(16, 3), torch.arange(16) % 3
    loss = {"name": "cross_entropy", "label_smoothing": smoothing}
    task, plain = weighed(loss=loss), make_task("multiclass", 3, loss=loss)
    weights = torch.tensor(compute_class_weight("balanced", classes=np.arange(3), y=np.repeat([0, 1, 2], COUNTS)))
    expected = F.cross_entropy(logits, targets, weight=weights.float(), label_smoothing=smoothing)
    torch.testing.assert_close(task.loss(logits, targets), expected)
    torch.testing.assert_close(task.eval().loss(logits, targets), plain.loss(logits, targets))
    assert not torch.isclose(expected, plain.loss(logits, targets))


def test_every_class_weighs_the_same_in_sum() -> None:
    targets = torch.repeat_interleave(torch.arange(3), COUNTS)
    logits = torch.randn(120, 3)
    each = F.cross_entropy(logits, targets, reduction="none")
    means = torch.stack([each[targets == c].mean() for c in range(3)])
    torch.testing.assert_close(weighed().loss(logits, targets), means.mean())


def test_yes_and_no_weigh_the_same_in_sum() -> None:
    targets = torch.repeat_interleave(torch.arange(2), torch.tensor([90, 10]))
    logits = torch.zeros(100, 1, requires_grad=True)
    weighed("binary", targets.bincount()).loss(logits, targets).backward()
    assert logits.grad is not None
    assert float(logits.grad[:90].sum()) == pytest.approx(-float(logits.grad[90:].sum()))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["multiclass", "binary"])
def test_weights_have_the_precision_of_the_logits(dtype: torch.dtype, name: str) -> None:
    task = weighed(name, COUNTS if name == "multiclass" else COUNTS[:2])
    logits, targets = task.example()
    expected = task.loss(logits.double(), targets)
    found = task.loss(logits.to(dtype), targets)
    assert expected.dtype == torch.float64
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(found.double(), expected, rtol=0.02, atol=0)


def test_weights_are_no_part_of_the_model() -> None:
    """A checkpoint holds none: they are the data's, and are made anew when a training resumes."""
    task, plain = weighed(), make_task("multiclass", 3)
    assert task.state_dict().keys() == plain.state_dict().keys()
    assert len(list(task.buffers())) == len(list(plain.buffers()))


@pytest.mark.parametrize(
    ("name", "counts", "options", "error", "message"),
    [
        ("regression", None, {}, ConfigError, "balance: class_weights needs targets that are classes"),
        ("multilabel", None, {}, ConfigError, "balance: class_weights needs targets that are classes"),
        ("regression", COUNTS, {}, ConfigError, "balance: targets of a regression task are no classes; leave it out"),
        ("multiclass", COUNTS * torch.tensor([1, 0, 1]), {}, DataError, "class '1' has no training sample to weigh"),
        ("multiclass", COUNTS, {"loss": "focal"}, ConfigError, "the option 'class_weights' .such as cross_entropy."),
        ("binary", COUNTS[:2], {"loss": "focal"}, ConfigError, "'focal' lacks; write `balance: sampler`"),
        (
            "multiclass",
            COUNTS,
            {"loss": {"name": "cross_entropy", "class_weights": [1.0, 1.0, 2.0]}},
            ConfigError,
            "the loss was given 'class_weights' too; leave one of them out",
        ),
        (
            "multiclass",
            COUNTS,
            {"loss": nn.CrossEntropyLoss()},
            ConfigError,
            "needs a loss by its name, such as cross_entropy, and got the object CrossEntropyLoss",
        ),
    ],
)
def test_what_takes_no_weights(
    name: Any, counts: torch.Tensor | None, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    task = make_task(name, 1 if name == "binary" else 3, **options)
    with pytest.raises(error, match=message):
        task.weigh(counts)
