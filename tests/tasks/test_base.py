"""What all tasks share: metrics from specs, names, groups."""

from typing import Any

import pytest
import torch
from torch import nn
from torchmetrics.classification import BinaryAccuracy, MulticlassAccuracy

from fulmen.core.errors import ConfigError
from fulmen.tasks import Binary, Multiclass, Multilabel, Regression, Task, make_task
from fulmen.tasks.base import check_finite, compute_groups

KINDS = {"multiclass": Multiclass, "binary": Binary, "multilabel": Multilabel, "regression": Regression}
OUTPUTS = {"multiclass": 3, "binary": 1, "multilabel": 3, "regression": 2}


@pytest.mark.parametrize("name", sorted(KINDS))
def test_make_task(name: Any) -> None:
    task = make_task(name, OUTPUTS[name])
    assert type(task) is KINDS[name]
    assert task.name == name
    assert sorted(task.metrics().keys()) == sorted(task.metric_names) == sorted(task.default_metrics)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_example_is_a_batch_of_the_task(name: Any) -> None:
    task = make_task(name, OUTPUTS[name])
    logits, targets = task.example()
    task.check_logits(logits, "network")
    task.check_targets(targets)
    assert torch.isfinite(task.loss(logits, targets))


def test_metrics_are_new_each_time() -> None:
    task = make_task("multiclass", 3)
    first, second = task.metrics(), task.metrics()
    first.update(torch.eye(3), torch.tensor([0, 1, 2]))
    assert first["accuracy"].update_called
    assert not second["accuracy"].update_called


def test_an_object_counts_for_each_stage_apart() -> None:
    metric = MulticlassAccuracy(3)
    task = make_task("multiclass", 3, metrics=[metric])
    first, second = task.metrics(), task.metrics()
    assert list(first.keys()) == ["MulticlassAccuracy"]
    first.update(torch.eye(3), torch.tensor([0, 1, 2]))
    assert not second["MulticlassAccuracy"].update_called
    assert not metric.update_called


def test_a_class_and_a_dotted_name() -> None:
    task = make_task("binary", 1, metrics=[BinaryAccuracy, "torchmetrics.classification.BinaryF1Score"])
    assert list(task.metrics().keys()) == ["BinaryAccuracy", "BinaryF1Score"]


def test_no_metrics() -> None:
    task = make_task("binary", 1, metrics=[])
    assert task.metric_names == []


@pytest.mark.parametrize("second", ["f1", {"name": "accuracy", "log_as": "f1"}, {"name": "f1", "log_as": "loss"}])
def test_names_are_taken_once(second: Any) -> None:
    with pytest.raises(ConfigError, match=r"metrics\[1\].*is taken; add `log_as"):
        make_task("binary", 1, metrics=["f1", second])


@pytest.mark.parametrize("name", ["top.5", "items"])
def test_names_that_torch_cannot_hold(name: str) -> None:
    with pytest.raises(ConfigError, match=f"log_as.*{name}"):
        make_task("binary", 1, metrics=[{"name": "f1", "log_as": name}])


def test_metric_whose_result_is_no_number() -> None:
    with pytest.raises(ConfigError, match=r"gives a result of shape \(3, 3\)"):
        make_task("multiclass", 3, metrics=["torchmetrics.classification.MulticlassConfusionMatrix"])
    with pytest.raises(ConfigError, match="gives a result of shape tuple"):
        make_task("binary", 1, metrics=["torchmetrics.classification.BinaryROC"])


def test_loss_spec_errors_have_their_place() -> None:
    with pytest.raises(ConfigError, match=r"^loss.*cross_entrop"):
        make_task("multiclass", 3, loss="cross_entropi")
    with pytest.raises(ConfigError, match=r"^metrics\[0\]"):
        make_task("multiclass", 3, metrics=["acuracy"])


def test_loss_by_spec_and_by_object() -> None:
    logits, targets = torch.randn(6, 3), torch.arange(6) % 3
    expected = nn.functional.cross_entropy(logits, targets, label_smoothing=0.1)
    for loss in ({"name": "cross_entropy", "label_smoothing": 0.1}, nn.CrossEntropyLoss(label_smoothing=0.1)):
        torch.testing.assert_close(make_task("multiclass", 3, loss=loss).loss(logits, targets), expected)


@pytest.mark.parametrize("shape", [(5,), (5, 2), (5, 3, 1)])
def test_check_logits(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"MyNet gives an output of shape .*needs \(5, 3\)"):
        make_task("multiclass", 3).check_logits(torch.zeros(shape), "MyNet")


def test_check_finite_names_the_row() -> None:
    check_finite(torch.zeros(3, 2))
    targets = torch.zeros(4, 2)
    targets[2, 1] = float("nan")
    targets[3, 0] = float("inf")
    with pytest.raises(ValueError, match="2 targets are NaN or infinite, the first in row 2"):
        check_finite(targets)


def groups(task: Task) -> list[set[str]]:
    return [set(group) for group in compute_groups(dict(task.metrics().items()))]  # type: ignore[arg-type]


def test_metrics_of_the_same_counts_share_them() -> None:
    found = groups(
        make_task("multiclass", 3, metrics=["precision", "recall", "f1", "accuracy", "cohen_kappa", "matthews"])
    )
    assert {"precision", "recall", "f1"} in found
    assert {"cohen_kappa", "matthews"} in found
    assert {"accuracy"} in found
    assert {"auroc", "average_precision"} in groups(make_task("binary", 1, metrics=["auroc", "average_precision"]))


@pytest.mark.parametrize(
    ("task", "outputs", "option", "values"),
    [
        ("multiclass", 4, "top_k", (1, 2)),
        ("binary", 1, "threshold", (0.3, 0.7)),
        ("binary", 1, "ignore_index", (None, 0)),
    ],
)
def test_metrics_that_differ_by_an_option_share_nothing(task: Any, outputs: int, option: str, values: Any) -> None:
    specs: list[object] = [{"name": "accuracy", option: v, "log_as": f"a{i}"} for i, v in enumerate(values)]
    assert len(groups(make_task(task, outputs, metrics=specs))) == 2


def test_constructed_on_the_meta_device() -> None:
    with torch.device("meta"):
        assert make_task("multiclass", 3).metric_names == ["accuracy", "f1"]
