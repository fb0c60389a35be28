"""Evaluation from Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from tests.evaluation.made import sklearn_scores

from fulmen.core.errors import ConfigError
from fulmen.data import ArrayData
from fulmen.evaluation import Curves, verdict
from fulmen.evaluation.describing import chance_loss
from fulmen.modules import MLPModule
from fulmen.workflows import collect_predictions, evaluate, report


def made(kind: str = "multiclass", n: int = 240, **options: Any) -> tuple[MLPModule, ArrayData]:
    random = np.random.default_rng(0)
    inputs = random.normal(size=(n, 5)).astype(np.float32)
    raw = inputs @ random.normal(size=(5, 3)) + 0.3 * random.normal(size=(n, 3))
    targets: Any = {
        "multiclass": raw.argmax(1),
        "binary": (raw[:, 0] > 0).astype(np.int64),
        "multilabel": (raw > 0).astype(np.int64),
        "regression": raw[:, 0].astype(np.float32),
    }[kind]
    columns = {"age": random.normal(40, 9, n), "site": random.choice(["a", "b"], n)}
    data = ArrayData(inputs, targets, columns=columns, split_by="random", **options)
    torch.manual_seed(0)
    facts = {name: getattr(data, name) for name in ("input_shape", "num_outputs", "class_names", "target_type")}
    return MLPModule(hidden_features=[8], **facts), data


@pytest.mark.parametrize("kind", ["multiclass", "binary", "multilabel", "regression"])
def test_every_number_is_scikit_learn_s_on_the_same_predictions(kind: str) -> None:
    module, data = made(kind)
    found = evaluate(module, data, resamples=20, options={"accelerator": "cpu"})
    assert found.predictions.split == "test"
    assert found.scores == pytest.approx(sklearn_scores(found.predictions), rel=1e-6, abs=1e-9)


def test_slices_are_those_of_the_samples() -> None:
    module, data = made()
    found = evaluate(module, data, "val", ["age", "site"], resamples=20, options={"accelerator": "cpu"})
    site = data.columns["site"][np.array([int(name) for name in found.predictions.samples])]
    for part in found.slices:
        if part.column == "site":
            rows = site == part.value
            expected = sk.accuracy_score(found.predictions.targets[rows], found.predictions.predicted[rows])
            assert part.scores["accuracy"] == pytest.approx(expected)
    assert sum(part.samples for part in found.slices if part.column == "age") == len(found.predictions)


def test_the_test_samples_are_taken_where_there_are_any() -> None:
    module, data = made(test_fraction=0)
    assert evaluate(module, data, resamples=5, options={"accelerator": "cpu"}).predictions.split == "val"
    assert evaluate(module, data, "train", resamples=5, options={"accelerator": "cpu"}).predictions.split == "train"
    with pytest.raises(ConfigError, match="split: unknown split 'test'"):
        evaluate(module, data, "test")
    with pytest.raises(ConfigError, match="split: unknown split 'vall'; did you mean 'val'"):
        evaluate(module, data, "vall")
    with pytest.raises(ConfigError, match="slices: unknown column 'sit'"):
        evaluate(module, data, slices=["sit"])
    with pytest.raises(ConfigError, match="resamples: 0"):
        evaluate(module, data, resamples=0)
    with pytest.raises(ConfigError, match="samples: -1"):
        evaluate(module, data, samples=-1)


def test_a_report_from_python(tmp_path: Path) -> None:
    module, data = made("regression")
    (tmp_path / "metrics.csv").write_text("epoch,step,train/loss,val/loss\n0,1,1.0,1.0\n1,2,0.5,0.5\n2,3,0.45,0.5\n")
    found = report(module, data, tmp_path / "out", curves=tmp_path / "metrics.csv", resamples=9,
                   options={"accelerator": "cpu"})  # fmt: skip
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert written["metrics"]["mae"]["value"] == found.scores["mae"]
    assert written["learning"]["verdict"] == "neither"
    page = (tmp_path / "out" / "report.html").read_text()
    assert "MLPModule on ArrayData: test samples" in page
    assert "took no part in the training" in page


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "regression"])
def test_the_loss_of_chance_is_that_of_the_best_constant(kind: str) -> None:
    module, data = made(kind)
    found = collect_predictions(module, data, "train", {"accelerator": "cpu"})
    data.setup("fit")
    targets = data.training_targets()
    assert targets is not None
    module.task.learn(targets)
    if kind == "regression":
        logits = torch.full((len(targets), 1), float(targets.mean()))
    else:
        shares = torch.bincount(targets) / len(targets) if kind == "multiclass" else targets.float().mean(0)
        row = shares.log() if kind == "multiclass" else shares.logit()
        logits = row.expand(len(targets), -1)
    assert chance_loss(module, found) == pytest.approx(float(module.task.loss(logits, targets)), rel=1e-4)


def fitted(hidden: list[int], samples: int, epochs: int, lr: float) -> Curves:
    """Curves of a real training on noisy targets."""
    from lightning.pytorch import Trainer

    from fulmen.callbacks import Report

    random = np.random.default_rng(1)
    inputs = random.normal(size=(samples, 20)).astype(np.float32)
    targets = (inputs[:, 0] + inputs[:, 1] + random.normal(size=samples) > 0).astype(np.int64)
    data = ArrayData(inputs, targets, val_fraction=0.4, test_fraction=0)
    facts = {name: getattr(data, name) for name in ("input_shape", "num_outputs", "class_names", "target_type")}
    torch.manual_seed(0)
    module = MLPModule(hidden_features=hidden, optimizer={"name": "adam", "lr": lr}, **facts)
    watch = Report(resamples=1, samples=0, split="test")
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    Trainer(max_epochs=epochs, accelerator="cpu", callbacks=[watch], enable_checkpointing=False, **quiet).fit(
        module, datamodule=data
    )
    return Curves.of(watch._logged)


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:The number of training batches")
@pytest.mark.parametrize(
    ("hidden", "samples", "epochs", "lr", "kind"),
    [
        ([256, 256], 100, 25, 3e-3, "overfitting"),  # far more weights than samples
        ([], 400, 2, 1e-5, "underfitting"),  # hardly trained
        ([], 1500, 12, 1e-2, "neither"),
    ],
)
def test_verdicts_on_real_trainings(hidden: list[int], samples: int, epochs: int, lr: float, kind: str) -> None:
    found = verdict(fitted(hidden, samples, epochs, lr), np.log(2))
    assert found.kind == kind, found.sentence
