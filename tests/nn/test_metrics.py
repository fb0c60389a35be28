"""Every built-in metric against scikit-learn or scipy, through the task that uses it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics as sk
from sklearn.preprocessing import label_binarize

from fulmen.core.errors import ConfigError, SpecError
from fulmen.core.registry import registry
from fulmen.tasks import make_task

# torchmetrics says at construction that it keeps all predictions; that is what a rank correlation needs
pytestmark = pytest.mark.filterwarnings("ignore:Metric `SpearmanCorrcoef` will save all targets:UserWarning")

N, C, L = 300, 4, 3
Array = np.ndarray[Any, Any]


def specificity(y: Array, p: Array) -> float:
    return float(sk.recall_score(1 - y, 1 - p))


def calibration(confidence: Array, correct: Array, bins: int = 15) -> float:
    """Guo et al. 2017, equation 3."""
    places = np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1], right=True)
    gaps = [
        abs(correct[places == b].mean() - confidence[places == b].mean()) * (places == b).mean()
        for b in range(bins)
        if (places == b).any()
    ]
    return float(sum(gaps))


# y: targets, p: decided, s: probabilities
MULTICLASS: dict[str, Callable[[Array, Array, Array], float]] = {
    "accuracy": lambda y, p, s: sk.accuracy_score(y, p),
    "balanced_accuracy": lambda y, p, s: sk.balanced_accuracy_score(y, p),
    "precision": lambda y, p, s: sk.precision_score(y, p, average="macro"),
    "recall": lambda y, p, s: sk.recall_score(y, p, average="macro"),
    "specificity": lambda y, p, s: np.mean([specificity(y == c, p == c) for c in range(C)]),
    "f1": lambda y, p, s: sk.f1_score(y, p, average="macro"),
    "auroc": lambda y, p, s: sk.roc_auc_score(y, s, multi_class="ovr", average="macro"),
    "average_precision": lambda y, p, s: sk.average_precision_score(
        label_binarize(y, classes=range(C)), s, average="macro"
    ),
    "cohen_kappa": lambda y, p, s: sk.cohen_kappa_score(y, p),
    "matthews": lambda y, p, s: sk.matthews_corrcoef(y, p),
    "calibration_error": lambda y, p, s: calibration(s.max(1), y == p),
    "exact_match": lambda y, p, s: sk.accuracy_score(y, p),
    "hamming_distance": lambda y, p, s: sk.hamming_loss(y, p),
    "jaccard": lambda y, p, s: sk.jaccard_score(y, p, average="macro"),
}
BINARY: dict[str, Callable[[Array, Array, Array], float]] = {
    "accuracy": lambda y, p, s: sk.accuracy_score(y, p),
    "balanced_accuracy": lambda y, p, s: sk.balanced_accuracy_score(y, p),
    "precision": lambda y, p, s: sk.precision_score(y, p),
    "recall": lambda y, p, s: sk.recall_score(y, p),
    "specificity": lambda y, p, s: specificity(y, p),
    "f1": lambda y, p, s: sk.f1_score(y, p),
    "auroc": lambda y, p, s: sk.roc_auc_score(y, s),
    "average_precision": lambda y, p, s: sk.average_precision_score(y, s),
    "cohen_kappa": lambda y, p, s: sk.cohen_kappa_score(y, p),
    "matthews": lambda y, p, s: sk.matthews_corrcoef(y, p),
    "calibration_error": lambda y, p, s: calibration(s, y == 1),
    "hamming_distance": lambda y, p, s: sk.hamming_loss(y, p),
    "jaccard": lambda y, p, s: sk.jaccard_score(y, p),
    "mae": lambda y, p, s: np.abs(y - s).mean(),
    "mse": lambda y, p, s: sk.brier_score_loss(y, s),
    "rmse": lambda y, p, s: sk.root_mean_squared_error(y, s),
    "r2": lambda y, p, s: sk.r2_score(y, s),
    "explained_variance": lambda y, p, s: sk.explained_variance_score(y, s),
}


def over_labels(metric: Callable[[Array, Array, Array], float]) -> Callable[[Array, Array, Array], float]:
    return lambda y, p, s: float(np.mean([metric(y[:, i], p[:, i], s[:, i]) for i in range(L)]))


MULTILABEL: dict[str, Callable[[Array, Array, Array], float]] = {
    **{
        name: over_labels(BINARY[name])
        for name in [
            "accuracy",
            "balanced_accuracy",
            "precision",
            "recall",
            "specificity",
            "f1",
            "auroc",
            "average_precision",
            "hamming_distance",
            "jaccard",
            "mae",
            "mse",
        ]
    },
    "exact_match": lambda y, p, s: sk.accuracy_score(y, p),
    "matthews": lambda y, p, s: sk.matthews_corrcoef(y.ravel(), p.ravel()),
}
REGRESSION: dict[str, Callable[[Array, Array], float]] = {
    "mae": sk.mean_absolute_error,
    "mse": sk.mean_squared_error,
    "rmse": sk.root_mean_squared_error,
    "mape": sk.mean_absolute_percentage_error,
    "r2": sk.r2_score,
    "explained_variance": sk.explained_variance_score,
    "pearson": lambda y, p: stats.pearsonr(y.ravel(), p.ravel()).statistic,
    "spearman": lambda y, p: stats.spearmanr(y.ravel(), p.ravel()).statistic,
}


def compute(task_name: Any, outputs: int, spec: Any, logits: torch.Tensor, targets: torch.Tensor) -> Any:
    task = make_task(task_name, outputs, metrics=[spec])
    metrics = task.metrics()
    for part in torch.arange(len(logits)).split(77):
        aligned, wanted = task.align(logits[part], targets[part])
        metrics.update(task.scores(aligned), wanted)
    (value,) = metrics.compute().values()
    return value.squeeze().tolist()


def data(task_name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Predictions that are right more often than not, with rare classes."""
    generator = torch.Generator().manual_seed(1)
    if task_name == "multiclass":
        targets = torch.multinomial(torch.tensor([0.6, 0.25, 0.1, 0.05]), N, True, generator=generator)
        logits = torch.eye(C)[targets] + torch.randn(N, C, generator=generator)
    elif task_name == "binary":
        targets = (torch.rand(N, generator=generator) < 0.2).long()
        logits = (2.0 * targets - 1.2 + torch.randn(N, generator=generator))[:, None]
    elif task_name == "multilabel":
        targets = (torch.rand(N, L, generator=generator) < torch.tensor([0.1, 0.4, 0.7])).long()
        logits = 2.0 * targets - 1 + torch.randn(N, L, generator=generator)
    else:
        targets = 3 + torch.randn(N, 1, generator=generator)
        logits = targets + 0.5 * torch.randn(N, 1, generator=generator)
    return logits, targets


@pytest.mark.parametrize("name", sorted(MULTICLASS))
def test_multiclass(name: str) -> None:
    logits, targets = data("multiclass")
    scores = logits.softmax(1)
    expected = MULTICLASS[name](targets.numpy(), logits.argmax(1).numpy(), (scores / scores.sum(1, True)).numpy())
    assert compute("multiclass", C, name, logits, targets) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", sorted(BINARY))
def test_binary(name: str) -> None:
    logits, targets = data("binary")
    expected = BINARY[name](targets.numpy(), (logits > 0).flatten().long().numpy(), logits.sigmoid().flatten().numpy())
    assert compute("binary", 1, name, logits, targets) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", sorted(MULTILABEL))
def test_multilabel(name: str) -> None:
    logits, targets = data("multilabel")
    expected = MULTILABEL[name](targets.numpy(), (logits > 0).long().numpy(), logits.sigmoid().numpy())
    assert compute("multilabel", L, name, logits, targets) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", sorted(REGRESSION))
def test_regression(name: str) -> None:
    logits, targets = data("regression")
    expected = REGRESSION[name](targets.numpy(), logits.numpy())
    assert compute("regression", 1, name, logits, targets) == pytest.approx(expected, rel=1e-4)
    assert compute("regression", 1, name, logits, targets[:, 0]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", sorted(REGRESSION))
def test_regression_of_two_values(name: str) -> None:
    generator = torch.Generator().manual_seed(2)
    targets = torch.tensor([3.0, 20.0]) + torch.randn(N, 2, generator=generator)
    logits = targets + torch.tensor([0.2, 0.9]) * torch.randn(N, 2, generator=generator)
    y, p = targets.numpy(), logits.numpy()
    expected: Any = REGRESSION[name](y, p)
    if name in ("pearson", "spearman"):
        expected = [REGRESSION[name](y[:, i], p[:, i]) for i in range(2)]
    assert compute("regression", 2, name, logits, targets) == pytest.approx(expected, rel=1e-3)


def test_every_metric_of_the_registry_is_tested_here() -> None:
    tested = {*MULTICLASS, *BINARY, *MULTILABEL, *REGRESSION}
    assert {c.name for c in registry().components("metrics") if c.distribution == "fulmen"} == tested


@pytest.mark.parametrize("name", ["precision", "recall", "f1", "specificity"])
def test_average_can_be_chosen(name: str) -> None:
    logits, targets = data("multiclass")
    micro = compute("multiclass", C, {"name": name, "average": "micro"}, logits, targets)
    assert micro != pytest.approx(compute("multiclass", C, name, logits, targets))
    if name != "specificity":
        assert micro == pytest.approx(compute("multiclass", C, "accuracy", logits, targets))


def test_balanced_accuracy_of_guessing_the_frequent_answer() -> None:
    targets = torch.tensor([0] * 9 + [1])
    assert compute("binary", 1, "balanced_accuracy", torch.full((10, 1), -5.0), targets) == 0.5
    assert compute("multiclass", 2, "balanced_accuracy", torch.tensor([[1.0, 0.0]] * 10), targets) == 0.5
    both = torch.stack([targets, targets], 1)
    assert compute("multilabel", 2, "balanced_accuracy", torch.full((10, 2), -5.0), both) == 0.5


def test_balanced_accuracy_where_one_answer_does_not_occur() -> None:
    logits = torch.tensor([[1.0], [1.0], [-1.0], [1.0]])
    assert compute("binary", 1, "balanced_accuracy", logits, torch.ones(4)) == 0.75


def test_balanced_accuracy_threshold() -> None:
    logits, targets = data("binary")
    expected = sk.balanced_accuracy_score(targets, logits.sigmoid().flatten() > 0.3)
    found = compute("binary", 1, {"name": "balanced_accuracy", "threshold": 0.3}, logits, targets)
    assert found == pytest.approx(expected, rel=1e-5)


def test_log_as_names_the_result() -> None:
    specs = ["f1", {"name": "f1", "average": "weighted", "log_as": "weighted_f1"}]
    assert list(make_task("multiclass", 3, metrics=specs).metrics().keys()) == ["f1", "weighted_f1"]


def test_results_by_class_are_named_by_class() -> None:
    task = make_task("multiclass", C, ["a", "b", "c", "d"], metrics=[{"name": "recall", "average": "none"}])
    assert task.metric_names == ["recall/a", "recall/b", "recall/c", "recall/d"]
    logits, targets = data("multiclass")
    found = compute("multiclass", C, {"name": "recall", "average": "none"}, logits, targets)
    assert found == pytest.approx(sk.recall_score(targets, logits.argmax(1), average=None), rel=1e-5)


@pytest.mark.parametrize(
    ("task", "outputs", "name"),
    [
        ("regression", 1, "accuracy"),
        ("binary", 1, "exact_match"),
        ("binary", 1, "pearson"),
        ("multiclass", 4, "mae"),
        ("multiclass", 4, "r2"),
        ("multilabel", 3, "cohen_kappa"),
        ("multilabel", 3, "spearman"),
    ],
)
def test_metric_of_another_task_is_refused_at_once(task: Any, outputs: int, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"metrics.*{name}.*{task}"):
        make_task(task, outputs, metrics=[name])


def test_wrong_option_is_refused() -> None:
    with pytest.raises(SpecError, match="averag"):
        make_task("multiclass", 3, metrics=[{"name": "f1", "averag": "micro"}])
    with pytest.raises(SpecError, match="median"):
        make_task("multiclass", 3, metrics=[{"name": "f1", "average": "median"}])
    with pytest.raises(SpecError, match="num_classes"):
        make_task("multiclass", 3, metrics=[{"name": "balanced_accuracy", "num_classes": 5}])
