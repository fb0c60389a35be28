"""What each epoch scored, against what was logged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.csv
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger

from fulmen.callbacks import History
from fulmen.data import ArrayData
from fulmen.modules import MLPModule


def fit(folder: Path, **options: Any) -> tuple[History, list[dict[str, Any]]]:
    torch.manual_seed(0)
    data = ArrayData(torch.randn(120, 4), torch.arange(120) % 3, batch_size=7)
    history, logger = History(), CSVLogger(str(folder))
    quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False}
    module = MLPModule(hidden_features=[4], input_shape=[4], num_outputs=3)
    options = {"max_epochs": 3, "log_every_n_steps": 1, **options}
    Trainer(accelerator="cpu", enable_checkpointing=False, callbacks=[history], logger=logger, **quiet, **options).fit(
        module, data
    )
    return history, pyarrow.csv.read_csv(Path(logger.log_dir) / "metrics.csv").to_pylist()


def logged(rows: list[dict[str, Any]], name: str) -> list[float]:
    return [row[name] for row in rows if row.get(name) is not None]


def test_each_epoch_has_its_own_values(tmp_path: Path) -> None:
    history, rows = fit(tmp_path)
    assert [values["epoch"] for values in history.scored] == [0, 1, 2]
    assert history.epochs == 3
    assert history.seconds > 0
    for name in ("train/loss", "val/loss", "train/accuracy", "val/accuracy"):
        assert [values[name] for values in history.scored] == pytest.approx(logged(rows, name)), name


def test_the_best_is_the_first_of_the_best(tmp_path: Path) -> None:
    history, rows = fit(tmp_path)
    assert history.best("val/loss", "min")["val/loss"] == pytest.approx(min(logged(rows, "val/loss")))
    assert history.best("val/accuracy", "max")["val/accuracy"] == pytest.approx(max(logged(rows, "val/accuracy")))
    assert history.best("val/nothing", "min") == {}
    history.scored = [{"epoch": 0.0, "a": 1.0}, {"epoch": 1.0, "a": float("nan")}, {"epoch": 2.0, "a": 1.0}]
    assert history.best("a", "min")["epoch"] == 0


def test_several_validations_an_epoch(tmp_path: Path) -> None:
    history, rows = fit(tmp_path, val_check_interval=0.5, max_epochs=2)
    assert [values["epoch"] for values in history.scored] == [0, 0, 1, 1]
    assert history.epochs == 2
    assert [values["val/loss"] for values in history.scored] == pytest.approx(logged(rows, "val/loss"))


def test_training_without_validation(tmp_path: Path) -> None:
    history, rows = fit(tmp_path, limit_val_batches=0)
    assert [values["train/loss"] for values in history.scored] == pytest.approx(logged(rows, "train/loss"))
    assert "val/loss" not in history.scored[0]
