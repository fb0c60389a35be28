"""Two real processes over gloo, started as a user starts them."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(sys.executable).with_name("lightning")
TWO = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]


def lightning(folder: Path, *arguments: str) -> str:
    quiet = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
    environ = {k: v for k, v in os.environ.items() if k not in ("FULMEN_RUN_FOLDER", "PL_GLOBAL_SEED")}
    ended = subprocess.run(
        [SCRIPT, *arguments, *quiet], cwd=folder, capture_output=True, text=True, env=environ, timeout=300
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.slow
def test_two_processes_give_the_numbers_of_one(write_config: Callable[..., Path], tmp_path: Path) -> None:
    # 128 samples to train on, in steps of 16, or of 8 in each of two processes; 25 and 17, which are odd, to score
    data = {
        "class_path": "BlobsData",
        "init_args": {"samples": 170, "classes": 2, "batch_size": 16, "val_fraction": 0.15, "test_fraction": 0.1},
    }
    path = write_config(data=data, trainer={"max_epochs": 3, "enable_model_summary": False})
    lightning(tmp_path, "fit", "--config", str(path))
    lightning(tmp_path, "fit", "--config", str(path), "--data.batch_size", "8", *TWO)
    runs = [tmp_path / "runs" / "small" / f"version_{v}" for v in (0, 1)]
    assert not (tmp_path / "runs" / "small" / "version_2").exists()
    one, two = (json.loads((run / "test_metrics.json").read_text()) for run in runs)
    assert two == pytest.approx(one, rel=1e-4)
    logs = []
    for run in runs:
        with (run / "metrics.csv").open() as file:
            logs.append([float(row["val/loss"]) for row in csv.DictReader(file) if row["val/loss"]])
    assert logs[1] == pytest.approx(logs[0], rel=1e-4)

    lightning(tmp_path, "predict", "--config", str(path), *TWO)
    together = (runs[1] / "predictions.csv").read_text()
    lightning(tmp_path, "predict", "--config", str(path))
    assert (runs[1] / "predictions.csv").read_text() == together
