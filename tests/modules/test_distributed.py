"""Several processes do what one would."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from pyarrow import csv
from sklearn.metrics import accuracy_score, f1_score, log_loss, mean_absolute_error, r2_score, roc_auc_score
from torch import Tensor
from torch.nn.functional import cross_entropy

from fulmen.callbacks import PredictionWriter
from fulmen.core.errors import DataError
from fulmen.core.registry import registry
from fulmen.data import ArrayData
from fulmen.data.base import BatchedDataset, TensorRows
from fulmen.data.sampler import ShardedSampler
from fulmen.modules import MLPModule

pytestmark = pytest.mark.slow

EVALUATED = 103
TASKS = ["multiclass", "binary", "multilabel", "regression"]


class Split(ArrayData):
    """The first rows train, the last `evaluated` rows validate, test and are predicted."""

    def __init__(self, inputs: Tensor, targets: Tensor, evaluated: int, **kwargs: Any) -> None:
        super().__init__(inputs, targets, standardize=False, **kwargs)
        self.evaluated = evaluated

    def build_datasets(self) -> dict[str, BatchedDataset]:
        rows = torch.arange(len(self.inputs))
        train, rest = rows[: -self.evaluated], rows[-self.evaluated :]
        parts = {"train": train, "val": rest, "test": rest}
        return {name: TensorRows(self.inputs, self.targets, r) for name, r in parts.items()}


def make_data(task: str = "multiclass", evaluated: int = EVALUATED, train: int = 48, **options: Any) -> Split:
    torch.manual_seed(0)
    inputs = torch.randn(train + evaluated, 4)
    targets = {
        "multiclass": (inputs[:, 0] > 0).long() + (inputs[:, 1] > 0).long(),
        "binary": (inputs[:, 0] + inputs[:, 1] > 0).long(),
        "multilabel": (inputs[:, :3] > 0).long(),
        "regression": inputs[:, 0] * 3 + inputs[:, 1],
    }[task]
    return Split(inputs, targets, evaluated, **{"batch_size": 6, **options})


def make_module(data: ArrayData, **options: Any) -> MLPModule:
    torch.manual_seed(1)
    known = {name: getattr(data, name) for name in ("input_shape", "num_outputs", "class_names", "target_type")}
    options = {"hidden_features": [6], "optimizer": {"name": "sgd", "lr": 0.05}, **options}
    return MLPModule(**known, **options)


def make_trainer(processes: int, **options: Any) -> Trainer:
    quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    strategy = {"strategy": "ddp_fork", "devices": processes} if processes > 1 else {"devices": 1}
    options = {"max_epochs": 2, "enable_checkpointing": False, **options}
    return Trainer(accelerator="cpu", **quiet, **strategy, **options)


def trained(processes: int, task: str = "multiclass", **options: Any) -> tuple[MLPModule, dict[str, float]]:
    """A global batch of 12, whatever the number of processes, and what training and validation logged."""
    data = make_data(task, batch_size=12 // processes, eval_batch_size=5)
    module, trainer = make_module(data, **options), make_trainer(processes)
    trainer.fit(module, data)
    return module, {name: float(value) for name, value in trainer.callback_metrics.items()}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("processes", [2, 3])
def test_training_equals_one_process_with_the_whole_batch(processes: int, task: str) -> None:
    one, expected = trained(1, task)
    several, found = trained(processes, task)
    for (name, p), q in zip(several.named_parameters(), one.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}")
    del found["train/loss_step"], expected["train/loss_step"]  # of the first process's share of the batch
    assert found == pytest.approx(expected, abs=1e-5)


def test_training_with_adam_and_a_schedule_equals_one_process() -> None:
    options: dict[str, Any] = {"optimizer": {"name": "adam", "lr": 0.01}, "schedule": "cosine"}
    one, _ = trained(1, **options)
    several, _ = trained(2, **options)
    for p, q in zip(several.parameters(), one.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-5)


def balanced(processes: int, task: str, balance: str) -> tuple[MLPModule, Split]:
    data = make_data(task, batch_size=12 // processes, balance=balance)
    module = make_module(data, hidden_features=[])
    make_trainer(processes).fit(module, data)
    return module, data


@pytest.mark.parametrize(
    ("task", "balance"), [("binary", "class_weights"), ("binary", "sampler"), ("multiclass", "sampler")]
)
def test_rare_classes_weigh_as_in_one_process(task: str, balance: str) -> None:
    (one, _), (several, _) = (balanced(processes, task, balance) for processes in (1, 2))
    for p, q in zip(several.parameters(), one.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-6)


def test_every_process_has_the_class_weights_of_all_samples() -> None:
    """Torch's weighted mean is that of each process's samples; their gradients are averaged."""
    module, data = balanced(2, "multiclass", "class_weights")
    data.setup("fit")  # the processes had copies of their own
    linear = make_module(data, hidden_features=[]).network
    counts = data.class_counts()
    assert counts is not None
    weights = counts.sum() / (3 * counts)
    assert weights.max() > 1.5 * weights.min()
    optimizer = torch.optim.SGD(linear.parameters(), lr=0.05)
    for epoch in range(2):
        shares = []
        for rank in range(2):
            sampler = ShardedSampler(data.datasets["train"], True, 0, 2, rank)  # type: ignore[arg-type]
            sampler.set_epoch(epoch)
            shares.append(list(sampler))
        for step in range(4):
            optimizer.zero_grad()
            for rows in shares:
                batch = data.datasets["train"].__getitems__(rows[step * 6 : step * 6 + 6])
                (cross_entropy(linear(batch.inputs), batch.targets, weights) / 2).backward()  # type: ignore[arg-type]
            optimizer.step()
    for p, q in zip(module.network.parameters(), linear.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-6)


def expected_metrics(task: str, module: MLPModule, data: ArrayData) -> dict[str, float]:
    """By scikit-learn, of all 103 samples at once."""
    rows = torch.arange(len(data.inputs))[-EVALUATED:]
    targets = data.targets[rows].numpy()
    with torch.no_grad():
        out = module.eval()(data.inputs[rows]).double()
    if task == "multiclass":
        p, y = out.softmax(1).numpy(), out.argmax(1).numpy()
        return {
            "loss": log_loss(targets, p),
            "accuracy": accuracy_score(targets, y),
            "f1": f1_score(targets, y, average="macro"),
            "auroc": roc_auc_score(targets, p, multi_class="ovr"),
        }
    if task == "binary":
        p, y = out.flatten().sigmoid().numpy(), (out.flatten() > 0).numpy()
        return {
            "loss": log_loss(targets, p),
            "accuracy": accuracy_score(targets, y),
            "f1": f1_score(targets, y),
            "auroc": roc_auc_score(targets, p),
        }
    if task == "multilabel":
        y = (out > 0).numpy()
        return {
            "accuracy": float((y == targets).mean()),
            "f1": f1_score(targets, y, average="macro"),
            "auroc": roc_auc_score(targets, out.sigmoid().numpy(), average="macro"),
        }
    y = out.flatten().numpy()
    return {
        "loss": float(((y - targets) ** 2).mean()),
        "mae": mean_absolute_error(targets, y),
        "r2": r2_score(targets, y),
    }


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("processes", [2, 3])
def test_every_sample_counts_once(processes: int, task: str) -> None:
    data = make_data(task, eval_batch_size=4)
    module = make_module(data, metrics=["mae", "r2"] if task == "regression" else ["accuracy", "f1", "auroc"])
    trainer = make_trainer(processes)
    (validated,) = trainer.validate(module, data, verbose=False)
    (tested,) = trainer.test(module, data, verbose=False)
    for name, value in expected_metrics(task, module, data).items():
        assert validated[f"val/{name}"] == pytest.approx(value, abs=1e-5), name
        assert tested[f"test/{name}"] == pytest.approx(value, abs=1e-5), name


# Which metrics have a value for so few samples; the others need more, in one process too.
FEW = {
    "multiclass": ["accuracy", "balanced_accuracy", "precision", "recall", "specificity", "f1", "auroc"],
    "binary": ["accuracy", "balanced_accuracy", "precision", "recall", "specificity", "f1", "auroc"],
    "multilabel": ["accuracy", "balanced_accuracy", "precision", "recall", "specificity", "f1", "auroc"],
    "regression": ["mae", "mse", "rmse", "mape"],
}
MORE = {
    "multiclass": ["average_precision", "cohen_kappa", "matthews", "calibration_error", "jaccard"],
    "binary": ["average_precision", "cohen_kappa", "matthews", "calibration_error", "jaccard"],
    "multilabel": ["average_precision", "matthews", "exact_match", "hamming_distance", "jaccard"],
    "regression": ["r2", "explained_variance", "pearson", "spearman"],
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # one sample has one class only: torchmetrics says so
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(("processes", "samples"), [(2, 1), (3, 1), (3, 2), (3, 4)])
def test_hardly_any_samples(processes: int, samples: int, task: str) -> None:
    metrics = [*FEW[task], *(MORE[task] if samples > 1 or task != "regression" else [])]
    if samples < 4 and "pearson" in metrics:
        metrics.remove("pearson")  # torchmetrics' own gives NaN where no process has two samples
    data = make_data(task, evaluated=samples)
    module = make_module(data, metrics=metrics)
    (expected,) = make_trainer(1).validate(module, data, verbose=False)
    (found,) = make_trainer(processes).validate(module, data, verbose=False)
    assert set(expected) == {"val/loss", *(f"val/{name}" for name in metrics)}
    assert found == pytest.approx(expected, abs=1e-6, nan_ok=True)


def test_every_built_in_metric_is_tried_here() -> None:
    tried = {name for names in (*FEW.values(), *MORE.values()) for name in names}
    assert tried == set(registry().names("metrics"))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("task", TASKS)
def test_training_with_one_validation_sample(task: str) -> None:
    data = make_data(task, evaluated=1)
    metrics = ["mae"] if task == "regression" else ["accuracy", "auroc"]
    module, trainer = make_module(data, metrics=metrics), make_trainer(3, max_epochs=2)
    trainer.fit(module, data)
    with torch.no_grad():
        expected = module.compute_loss(module.eval()(data.inputs[-1:]), data.targets[-1:])
    assert trainer.callback_metrics["val/loss"].item() == pytest.approx(expected.item(), abs=1e-5)


def test_fewer_training_samples_than_processes() -> None:
    data = make_data("regression", train=2, evaluated=3)
    with pytest.raises(Exception, match="2 training samples cannot be shared by 3 processes") as raised:
        make_trainer(3).fit(make_module(data), data)
    assert DataError.__name__ in str(raised.value) or isinstance(raised.value, DataError)


@pytest.mark.parametrize(("processes", "samples"), [(2, 103), (3, 103), (3, 2)])
def test_predictions_have_every_sample_once_in_order(processes: int, samples: int, tmp_path: Path) -> None:
    data = make_data(evaluated=samples, eval_batch_size=4)
    module = make_module(data)
    tables = []
    for count in (1, processes):
        path = tmp_path / f"{count}.csv"
        trainer = make_trainer(count, callbacks=[PredictionWriter(path)])
        trainer.predict(module, data, return_predictions=False)
        tables.append(csv.read_csv(path).to_pydict())
    one, several = tables
    assert several["sample"] == list(range(48, 48 + samples))
    assert several["prediction"] == one["prediction"]
    for name in data.class_names or []:
        assert several[f"probability_{name}"] == pytest.approx(one[f"probability_{name}"], abs=1e-6)
