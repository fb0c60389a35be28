"""`lightning tune`, as a person uses it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conftest import ROOT, Cli

from fulmen.cli.fitting import Fitted, fit_run

DATA = ROOT.parent / "shared" / "data"
CONFIG = """# lightning fit --config small.yaml
model:
  class_path: MLPModule
  init_args:
    hidden_features: [8]      # small
    optimizer:
      name: sgd
      lr: 1.0e-2              # first guess
data: {class_path: IrisData, init_args: {batch_size: 32}}
trainer: {max_epochs: 2, accelerator: cpu, enable_model_summary: false}
"""
GRID = {"model.activation": ["relu", "tanh"], "model.optimizer.lr": [0.01, 0.1, 1.0]}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(CONFIG)
    write_space(tmp_path, GRID)
    return tmp_path


def write_space(folder: Path, space: dict[str, Any]) -> None:
    (folder / "space.yaml").write_text(yaml.safe_dump(space))


def rows(study: Path) -> list[dict[str, str]]:
    with (study / "trials.csv").open() as file:
        return list(csv.DictReader(file))


BASE = ("tune", "--config", "small.yaml", "--space", "space.yaml")


def test_a_grid_from_the_command_to_the_best_config(cli: Cli, files: Path) -> None:
    """The product once each; trials are runs; the best config gives the best trial's score again."""
    result = cli(*BASE, "--sampler", "grid", "--metric", "accuracy")
    assert result.code == 0, result.err
    study = files / "runs" / "small" / "study_0"
    found = rows(study)
    tried = Counter((row["model.activation"], float(row["model.optimizer.lr"])) for row in found)
    assert tried == Counter(product(*GRID.values()))
    best = max(found, key=lambda row: float(row["value"]))
    assert f"trial {best['trial']} " in (study / "best.yaml").read_text().splitlines()[1]
    assert f"(best {float(best['value']):.4f}, trial {best['trial']})" in result.out
    for row in found:
        run = Fitted.read(study / f"trial_{row['trial']}")
        assert run.best_epoch["val/accuracy"] == float(row["value"])
        assert run.scores == {}  # no trial is tested
        record = json.loads((run.folder / "run.json").read_text())
        assert record["trial"]["values"]["model.activation"] == row["model.activation"]
    for name in ("history.png", "parallel.png", "slices.png", "study.html"):
        assert (study / name).stat().st_size > 1000
    assert "# small" in (study / "best.yaml").read_text()
    again = fit_run(["--config", str(study / "best.yaml")], files / "again")
    assert again.best_epoch["val/accuracy"] == float(best["value"])
    assert "test/accuracy" in again.scores
    refitted = fit_run(["--config", str(study / "trial_3" / "config.yaml")], files / "refitted")
    assert refitted.best_epoch["val/accuracy"] == float(found[3]["value"])


def test_a_study_goes_on_and_repeats_nothing(cli: Cli, files: Path) -> None:
    assert cli(*BASE, "--sampler", "grid", "--trials", 2, "--study", "mine").code == 0
    study = files / "runs" / "small" / "mine"
    before = rows(study)
    result = cli("tune", "--study", study, "--trials", 6)
    assert result.code == 0, result.err
    assert "2 of them are finished, and are not repeated" in result.out
    assert rows(study)[:2] == before
    assert len(rows(study)) == 6
    assert len({(row["model.activation"], row["model.optimizer.lr"]) for row in rows(study)}) == 6
    refused = cli(*BASE, "--sampler", "grid", "--study", study, "--trainer.max_epochs", 3, "--metric", "f1")
    assert refused.code == 2
    assert "config.trainer.max_epochs: 2, now 3" in refused.error
    assert "metric: 'val/loss', now 'val/f1'" in refused.error


def test_specs_with_options_and_what_was_typed_stand_in_the_best_config(cli: Cli, files: Path) -> None:
    write_space(files, {
        "model.optimizer": [{"name": "adam", "lr": {"low": "1e-3", "high": 0.1, "log": True}}, {"name": "sgd"}],
        "model.regularizers": [[], [{"name": "l2", "weight": {"low": 1e-5, "high": 1e-3, "log": True}}]],
        "data.batch_size": {"low": 16, "high": 32, "step": 16},
    })  # fmt: skip
    result = cli(*BASE, "--trials", 3, "--trainer.max_epochs", 1, "--keep", "best", "--pruner", "none")
    assert result.code == 0, result.err
    study = files / "runs" / "small" / "study_0"
    best = yaml.safe_load((study / "best.yaml").read_text())
    trial = min(rows(study), key=lambda row: float(row["value"]))
    assert best["trainer"] == {"max_epochs": 1, "accelerator": "cpu", "enable_model_summary": False}
    assert best["model"]["init_args"]["optimizer"] == yaml.safe_load(trial["model.optimizer"])
    assert best["model"]["init_args"]["regularizers"] == yaml.safe_load(trial["model.regularizers"])
    assert best["data"]["init_args"]["batch_size"] == int(trial["data.batch_size"])
    assert "# small" in (study / "best.yaml").read_text()
    assert fit_run(["--config", str(study / "best.yaml")], files / "again").best_epoch["val/loss"] == float(
        trial["value"]
    )
    kept = [path.parent.parent.name for path in study.glob("trial_*/checkpoints/best.ckpt")]
    assert kept == [f"trial_{trial['trial']}"]


def test_configs_that_cannot_be_edited_are_written_whole(cli: Cli, files: Path) -> None:
    (files / "more.yaml").write_text("model: {init_args: {hidden_features: [4]}}")
    result = cli(*BASE, "--config", "more.yaml", "--trials", 1, "--trainer.max_epochs=1")
    assert result.code == 0, result.err
    study = files / "runs" / "small" / "study_0"
    best = yaml.safe_load((study / "best.yaml").read_text())
    assert best["model"]["init_args"]["hidden_features"] == [4]
    (row,) = rows(study)
    again = fit_run(["--config", str(study / "best.yaml")], files / "again")
    assert again.best_epoch["val/loss"] == float(row["value"])


def test_the_score_of_a_cross_validation(cli: Cli, files: Path) -> None:
    """The mean of the folds, each of which is a run that is scored on what it did not see."""
    write_space(files, {"model.activation": ["relu", "tanh"]})
    result = cli(*BASE, "--sampler", "grid", "--folds", 3, "--metric", "accuracy", "--trainer.max_epochs", 1)
    assert result.code == 0, result.err
    study = files / "runs" / "small" / "study_0"
    for row in rows(study):
        folds = [Fitted.read(study / f"trial_{row['trial']}" / f"fold_{k}") for k in range(3)]
        scores = [fold.scores["test/accuracy"] for fold in folds]
        assert float(row["value"]) == pytest.approx(sum(scores) / 3, abs=1e-12)
        assert json.loads(row["folds"]) == scores
        parts: list[set[str]] = []
        for fold in folds:
            with (fold.folder / "split.csv").open() as file:
                parts.append({r["sample"] for r in csv.DictReader(file) if r["split"] == "test"})
        assert not parts[0] & parts[1]
        assert not parts[1] & parts[2]


def test_failed_trials_are_recorded(cli: Cli, files: Path) -> None:
    write_space(files, {"model.dropout": [0.1, 1.5], "model.optimizer.lr": [0.1, 1e30]})
    result = cli(*BASE, "--sampler", "grid", "--trainer.max_epochs", 1)
    assert result.code == 0, result.err
    found = {
        (row["model.dropout"], row["model.optimizer.lr"]): row for row in rows(files / "runs" / "small" / "study_0")
    }
    assert found["0.1", "0.1"]["state"] == "complete"
    assert found["1.5", "0.1"]["state"] == "failed"
    assert "dropout: 1.5 is out of range" in found["1.5", "0.1"]["reason"]
    assert found["0.1", "1.0e+30"]["state"] == "failed"
    assert "no number" in found["0.1", "1.0e+30"]["reason"]
    assert "failed: dropout: 1.5 is out of range" in result.out


@pytest.mark.parametrize(
    ("space", "options", "said"),
    [
        ({"model.activaton": ["relu"]}, [], "argument 'activaton' of fulmen.MLPModule; did you mean 'activation'"),
        ({"model.activation": ["relu", "glu2"]}, [], "model.activation: glu2: model.init_args.activation: unknown"),
        ({"model.optimizer.lrr": [1]}, [], "unknown option 'lrr' of optimizer 'sgd'; did you mean 'lr'?"),
        ({"data.batch_size": ["many", 3]}, [], "'many' is not allowed. Allowed: a whole number"),
        ({"data.batch_size": {"low": 1.5, "high": 8}}, [], "data.batch_size: 1.5"),
        ({"trainer.max_epoch": [1, 2]}, [], "trainer.max_epoch: there is no such key; did you mean"),
        (
            {"model.optimizer": ["sgd", "adam"], "model.optimizer.momentum": [0.5]}, [],
            "Options that only some choices have belong to the choice: model.optimizer: [{name: ..., option: ...}",
        ),
        ({"checkpoint.monitor": ["val/loss"]}, [], "cannot be varied: it says which epoch of a trial is scored"),
        ({"data.split_seed": [0, 1]}, [], "trials would be scored on different samples"),
        (GRID, ["--model.activation", "relu"], "is in the space and on the command line"),
        ({"model.dropout": {"low": 0.0, "high": 0.5}}, ["--sampler", "grid"], "a grid needs an end of values"),
        (GRID, ["--storage", "sqlite:////nowhere/x.db"], "cannot be opened"),
        (GRID, ["--checkpoint", "null"], "checkpoint.monitor: nothing says which epoch of a trial is its best"),
        (GRID, ["--trials", "0"], "trials: 0 is out of range"),
        (GRID, ["--jobs", "0"], "jobs: 0 is out of range"),
        (GRID, ["--folds", "1"], "folds: 1 is out of range"),
        (GRID, ["--metric", "test/accuracy"], "metric: 'test/accuracy' is not allowed"),
        (GRID, ["--space", "nowhere.yaml"], "space: there is no file 'nowhere.yaml'"),
        (GRID, ["--trainer.fast_dev_run", "true"], "trainer.fast_dev_run"),
    ],
)  # fmt: skip
def test_mistakes_end_before_anything_is_trained(
    cli: Cli, files: Path, space: dict[str, Any], options: list[str], said: str
) -> None:
    write_space(files, space)
    result = cli(*BASE, *options)
    assert result.code == 2
    assert said in result.error
    assert not list(files.glob("runs/*/*/*"))


def test_a_metric_that_nothing_logs(cli: Cli, files: Path) -> None:
    result = cli(*BASE, "--metric", "acuracy", "--mode", "max")
    assert result.code == 2
    assert "metric: unknown metric 'val/acuracy' of these runs; did you mean 'val/accuracy'?" in result.error


def test_without_a_space(cli: Cli, files: Path) -> None:
    assert "write --space FILE" in cli("tune", "--config", "small.yaml").error


def test_the_shipped_space(cli: Cli, tmp_path: Path) -> None:
    path = ROOT / "configs" / "spaces" / "digits_mlp.yaml"
    config = ROOT / "configs" / "digits_mlp.yaml"
    first = path.read_text().splitlines()[0]
    assert first == "# lightning tune --config configs/digits_mlp.yaml --space configs/spaces/digits_mlp.yaml"
    options = ["--trials", 2, "--trainer.max_epochs", 2, "--trainer.accelerator", "cpu"]
    result = cli("tune", "--config", config, "--space", path, *options)
    assert result.code == 0, result.err
    assert len(rows(tmp_path / "runs" / "digits_mlp" / "study_0")) == 2


@pytest.mark.slow
def test_several_processes_and_one_that_is_killed(files: Path) -> None:
    """Two workers; the whole group is killed in mid-trial; what is left is done by the next command."""
    import os
    import signal
    import time

    command = [sys.executable, "-m", "fulmen.cli"]
    options = ["--sampler", "grid", "--study", "mine", "--jobs", "2"]
    begun = subprocess.Popen(
        [*command, *BASE, *options], cwd=files, start_new_session=True, stdout=subprocess.PIPE, text=True
    )
    assert begun.stdout is not None
    deadline = time.monotonic() + 200
    for line in begun.stdout:
        if line.startswith("trial ") or time.monotonic() > deadline:
            break
    os.killpg(begun.pid, signal.SIGKILL)
    begun.wait(30)
    begun.stdout.close()
    study = files / "runs" / "small" / "mine"
    subprocess.run([*command, "tune", "--study", str(study)], cwd=files, check=True, timeout=200, capture_output=True)
    complete = [row for row in rows(study) if row["state"] == "complete"]
    tried = Counter((row["model.activation"], float(row["model.optimizer.lr"])) for row in complete)
    assert tried == Counter(product(*GRID.values()))
    assert {row["state"] for row in rows(study)} <= {"complete", "restarted"}


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="the real data are not here")
def test_real_tables(cli: Cli, tmp_path: Path) -> None:
    config, train = ROOT / "configs" / "titanic_mlp.yaml", DATA / "titanic_kaggle" / "titanic" / "train.csv"
    write_space(tmp_path, {"model.dropout": [0.0, 0.3], "model.optimizer.lr": [0.002, 0.02]})
    options = ["--data.train", train, "--trainer.max_epochs", 8, "--trainer.accelerator", "cpu", "--metric", "accuracy"]
    result = cli("tune", "--config", config, "--space", "space.yaml", "--sampler", "grid", *options)
    assert result.code == 0, result.err
    found = rows(tmp_path / "runs" / "titanic_mlp" / "study_0")
    assert len(found) == 4
    assert max(float(row["value"]) for row in found) > 0.74
