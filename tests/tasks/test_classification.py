"""Classes, yes/no, labels."""

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from fulmen.core.errors import ConfigError, DataError
from fulmen.tasks import Binary, Multiclass, Multilabel, make_task


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("form", ["flat", "column", "float", "uint8"])
def test_multiclass_loss_takes_targets_of_any_form(form: str) -> None:
    logits, targets = noise(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    given = {"flat": targets, "column": targets[:, None], "float": targets.float(), "uint8": targets.byte()}[form]
    torch.testing.assert_close(Multiclass(4).loss(logits, given), F.cross_entropy(logits, targets))
    assert Multiclass(4).align(logits, given)[1].dtype == torch.int64


@pytest.mark.parametrize("form", ["flat", "column", "bool", "float"])
def test_binary_loss_takes_targets_of_any_form(form: str) -> None:
    logits, targets = noise(6, 1), torch.tensor([0, 1, 1, 0, 0, 1])
    given = {"flat": targets, "column": targets[:, None], "bool": targets.bool(), "float": targets.float()}[form]
    expected = F.binary_cross_entropy_with_logits(logits.flatten(), targets.float())
    torch.testing.assert_close(Binary(1).loss(logits, given), expected)


def test_multilabel_loss() -> None:
    logits, targets = noise(6, 3), (noise(6, 3) > 0.3).long()
    expected = F.binary_cross_entropy_with_logits(logits, targets.float())
    torch.testing.assert_close(Multilabel(3).loss(logits, targets), expected)


def test_decode_multiclass() -> None:
    decoded = Multiclass(3).decode(torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]]))
    assert decoded["prediction"].tolist() == [1, 0]
    torch.testing.assert_close(decoded["probabilities"].sum(1), torch.ones(2))
    torch.testing.assert_close(decoded["probabilities"][0], torch.tensor([0.0, 2.0, 1.0]).softmax(0))


def test_decode_binary() -> None:
    decoded = Binary(1).decode(torch.tensor([[2.0], [-2.0], [0.0]]))
    assert decoded["prediction"].tolist() == [1, 0, 0]
    p = torch.tensor([2.0, -2.0, 0.0]).sigmoid()
    torch.testing.assert_close(decoded["probabilities"], torch.stack([1 - p, p], 1))


def test_decode_multilabel() -> None:
    decoded = Multilabel(2).decode(torch.tensor([[2.0, -2.0], [0.5, 3.0]]))
    assert decoded["prediction"].tolist() == [[1, 0], [1, 1]]
    torch.testing.assert_close(decoded["probabilities"], torch.tensor([[2.0, -2.0], [0.5, 3.0]]).sigmoid())


@pytest.mark.parametrize("task", [Multiclass(3), Binary(1), Multilabel(3)])
def test_scores_of_half_precision_are_float32(task: Any) -> None:
    scores = task.scores(noise(4, task.num_outputs).bfloat16())
    assert scores.dtype == torch.float32
    assert ((scores >= 0) & (scores <= 1)).all()


def test_widths() -> None:
    assert Multiclass(5).num_outputs == 5
    assert Multiclass(1, ["no", "yes"]).num_outputs == 2  # yes/no data, trained with a softmax
    assert Binary(1).num_outputs == Binary(2).num_outputs == Binary(1, ["no", "yes"]).num_outputs == 1
    assert Multilabel(4).num_outputs == 4


def test_names() -> None:
    assert Multiclass(3).class_names == ["0", "1", "2"]
    assert Binary(1).class_names == ["0", "1"]
    assert Binary(1, ["no", "yes"]).class_names == ["no", "yes"]
    assert Multilabel(2).class_names == ["0", "1"]


@pytest.mark.parametrize(
    ("name", "outputs", "class_names", "message"),
    [
        ("multiclass", 1, None, "at least 2 classes, the data have 1"),
        ("multiclass", 1, ["only"], "at least 2 classes"),
        ("multiclass", 5, ["a", "b", "c"], "3 names for 5 outputs"),
        ("binary", 3, ["a", "b", "c"], "binary needs 2 classes, the data have 3"),
        ("binary", 1, ["a"], "binary needs 2 classes"),
        ("multilabel", 3, ["a", "b"], "2 names for 3 labels"),
    ],
)
def test_width_errors(name: Any, outputs: int, class_names: list[str] | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_task(name, outputs, class_names)


@pytest.mark.parametrize(
    ("task", "targets"),
    [
        (Multiclass(3), torch.tensor([0, 1, 2])),
        (Multiclass(3), torch.tensor([[0.0], [2.0]])),
        (Binary(1), torch.tensor([True, False])),
        (Binary(1), torch.tensor([[1.0], [0.0]])),
        (Multilabel(2), torch.tensor([[0, 1], [1, 1]])),
    ],
)
def test_good_targets(task: Any, targets: torch.Tensor) -> None:
    task.check_targets(targets)


@pytest.mark.parametrize(
    ("task", "targets", "message"),
    [
        (Multiclass(3), torch.tensor([0, 1, 3, 5]), "2 targets are out of range: 3 in row 2; allowed: 0 to 2"),
        (Multiclass(3), torch.tensor([0, -1]), "-1 in row 1"),
        (Multiclass(3), torch.tensor([0.0, 0.5]), "whole numbers 0 to 2"),
        (Multiclass(3), torch.tensor([0.0, float("nan")]), "whole numbers"),
        (Multiclass(3), torch.eye(3), r"one class a sample; got \(3, 3\)"),
        (Binary(1), torch.tensor([0, 2]), "2 in row 1; allowed: 0 to 1"),
        (Binary(1), torch.zeros(3, 2), r"got \(3, 2\)"),
        (Multilabel(2), torch.tensor([0, 1]), r"\(N, 2\), one column a label; got \(2,\)"),
        (Multilabel(2), torch.zeros(4, 3), r"got \(4, 3\)"),
        (Multilabel(2), torch.tensor([[0, 1], [1, 2]]), "2 in row 1"),
    ],
)
def test_bad_targets(task: Any, targets: torch.Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message):
        task.check_targets(targets)
