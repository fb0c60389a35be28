"""The callback in an ordinary Trainer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from tests.evaluation.made import sklearn_scores

from fulmen.callbacks import Report
from fulmen.core.errors import ConfigError
from fulmen.data import ArrayData, BreastCancerData
from fulmen.evaluation import Predictions
from fulmen.modules import MLPModule

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:The number of training batches")


def trainer(folder: Path, *callbacks: Any, **options: Any) -> Trainer:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "accelerator": "cpu"}
    return Trainer(default_root_dir=folder, callbacks=list(callbacks), **{"max_epochs": 3, **quiet, **options})


def module(data: Any) -> MLPModule:
    torch.manual_seed(0)
    return MLPModule(
        hidden_features=[8],
        input_shape=data.input_shape,
        num_outputs=data.num_outputs,
        class_names=data.class_names,
        target_type=data.target_type,
        optimizer={"name": "adam", "lr": 0.03},
    )


def read(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return found


def test_fit_ends_with_a_report_of_the_best_epoch(tmp_path: Path) -> None:
    data = BreastCancerData()
    checkpoint = ModelCheckpoint(tmp_path, monitor="val/accuracy", mode="max")
    best: list[float] = []

    class Watch(Report):
        def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
            super().on_validation_end(trainer, pl_module)
            if not trainer.sanity_checking:
                best.append(float(trainer.callback_metrics["val/accuracy"]))

    fitter = trainer(tmp_path, checkpoint, Watch(resamples=20), max_epochs=5)
    fitter.fit(module(data), datamodule=data)
    found = read(tmp_path / "report_val")
    assert found["metrics"]["accuracy"]["value"] == pytest.approx(max(best))
    assert found["samples"] == len(data.datasets["val"])
    assert found["learning"]["verdict"] in ("neither", "underfitting", "overfitting")
    page = (tmp_path / "report_val" / "report.html").read_text()
    assert "These are validation samples" in page
    assert "Learning" in page
    read_back = Predictions.read(tmp_path / "report_val" / "predictions.csv")
    values = {name: m["value"] for name, m in found["metrics"].items()}
    assert values == pytest.approx(sklearn_scores(read_back), rel=1e-6)


def test_curves_hold_the_values_of_their_own_epoch(tmp_path: Path) -> None:
    data, report = BreastCancerData(), Report(resamples=5)
    fitter = trainer(tmp_path, report, max_epochs=3)
    fitter.fit(module(data), datamodule=data)
    assert sorted(report._logged) == [0, 1, 2]
    assert report._logged[2]["train/loss"] == float(fitter.callback_metrics["train/loss"])
    assert len({row["train/loss"] for row in report._logged.values()}) == 3


def test_test_and_validate_write_theirs(tmp_path: Path) -> None:
    data = ArrayData(
        torch.randn(120, 4), torch.arange(120) % 3, columns={"site": np.array(["a", "b"])[np.arange(120) % 2]}
    )
    made, report = module(data), Report(slices=["site"], resamples=10, samples=2)
    runner = trainer(tmp_path, report)
    runner.test(made, datamodule=data, verbose=False)
    assert {s["value"] for s in read(tmp_path / "report_test")["slices"]} == {"a", "b"}
    assert not (tmp_path / "report_val").exists()
    runner.validate(made, datamodule=data, verbose=False)
    assert read(tmp_path / "report_val")["split"] == "val"


def test_only_one_split_where_that_is_asked(tmp_path: Path) -> None:
    data, made = BreastCancerData(), None
    made = module(data)
    runner = trainer(tmp_path, Report(split="test", resamples=5, folder=str(tmp_path / "mine")), max_epochs=1)
    runner.fit(made, datamodule=data)
    assert not (tmp_path / "mine").exists()
    runner.test(made, datamodule=data, verbose=False)
    assert (tmp_path / "mine" / "report_test" / "report.html").is_file()


def test_mistakes_are_found_before_training(tmp_path: Path) -> None:
    data = BreastCancerData()
    with pytest.raises(ConfigError, match="slices: unknown column 'age' of BreastCancerData"):
        trainer(tmp_path, Report(slices=["age"])).fit(module(data), datamodule=data)
    with pytest.raises(ConfigError, match="resamples: 0 is out of range"):
        Report(resamples=0)
    with pytest.raises(ConfigError, match="samples: -1 is out of range"):
        Report(samples=-1)


def test_two_processes_write_one_report_with_each_sample_once(tmp_path: Path) -> None:
    data = BreastCancerData(batch_size=8)
    trainer(tmp_path, Report(resamples=5), max_epochs=1, devices=2, strategy="ddp_fork").fit(
        module(data), datamodule=data
    )
    found = read(tmp_path / "report_val")
    assert found["samples"] == len(data.datasets["val"]) if data.datasets else found["samples"] > 0
    samples = Predictions.read(tmp_path / "report_val" / "predictions.csv").samples
    assert len(samples) == len(set(samples))
