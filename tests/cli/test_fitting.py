"""Whole runs of `fit` that other commands start."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from fulmen.cli.fitting import OUTPUT, fit_run
from fulmen.core.errors import CheckpointError, ConfigError, FulmenError
from fulmen.evaluation import Predictions

KEEP = ["--keep_predictions", "[val,test]"]


@pytest.fixture
def arguments(write_config: Callable[..., Path]) -> list[str]:
    data = {"class_path": "BlobsData", "init_args": {"samples": 170, "batch_size": 16}}
    path = write_config(data=data, trainer={"max_epochs": 3, "enable_model_summary": False, "accelerator": "cpu"})
    return ["--config", str(path)]


def test_a_run_into_a_folder_of_its_own(
    arguments: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    argv, environment = list(sys.argv), dict(os.environ)
    found = fit_run([*arguments, *KEEP], tmp_path / "deep" / "fold_0")
    assert (sys.argv, dict(os.environ)) == (argv, environment)
    assert capfd.readouterr().out == ""
    assert found.folder == tmp_path / "deep" / "fold_0"
    assert found.epochs == 3
    assert found.best == found.folder / "checkpoints" / "best.ckpt"
    assert found.last == found.folder / "checkpoints" / "last.ckpt"
    assert found.best.is_file()
    assert "test metric" in (found.folder / OUTPUT).read_text()
    assert {"config.yaml", "split.csv", "run.json", "metrics.csv"} <= {file.name for file in found.folder.iterdir()}
    assert not (tmp_path / "runs").exists()
    test, val = (Predictions.read(found.folder / f"{split}_predictions.csv") for split in ("test", "val"))
    assert (test.targets == test.predicted).mean() == pytest.approx(found.scores["test/accuracy"])
    assert (val.targets == val.predicted).mean() == pytest.approx(found.best_epoch["val/accuracy"])
    assert (test.split, val.split) == ("test", "val")


def test_the_same_run_again_is_the_same(arguments: list[str], tmp_path: Path) -> None:
    one, two = (fit_run([*arguments, *KEEP], tmp_path / name) for name in ("a", "b"))
    assert one.best_epoch == two.best_epoch
    assert (one.folder / "test_predictions.csv").read_text() == (two.folder / "test_predictions.csv").read_text()


def test_its_own_config_repeats_it(arguments: list[str], tmp_path: Path) -> None:
    one = fit_run([*arguments, *KEEP, "--model.dropout", "0.3"], tmp_path / "a")
    config = yaml.safe_load((one.folder / "config.yaml").read_text())
    assert config["model"]["init_args"]["dropout"] == 0.3
    two = fit_run(["--config", str(one.folder / "config.yaml")], tmp_path / "b")
    assert one.best_epoch == two.best_epoch
    assert one.scores == two.scores


def test_a_mistake_is_the_error_of_fit(arguments: list[str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="dropout"):
        fit_run([*arguments, "--model.dropout", "7"], tmp_path / "a")


def test_predictions_that_there_will_not_be_are_refused_before_training(arguments: list[str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"keep_predictions: .*'test'"):
        fit_run([*arguments, *KEEP, "--data.test_fraction", "0"], tmp_path / "a")
    with pytest.raises(ConfigError, match="fast_dev_run"):
        fit_run([*arguments, *KEEP, "--trainer.fast_dev_run", "true"], tmp_path / "b")
    with pytest.raises(ConfigError, match=r"trainer\.limit_test_batches is 0"):
        fit_run([*arguments, *KEEP, "--trainer.limit_test_batches", "0"], tmp_path / "c")
    with pytest.raises(ConfigError, match=r"report: .*trainer\.limit_test_batches is 0"):
        fit_run([*arguments, "--report", "{}", "--trainer.limit_test_batches", "0"], tmp_path / "d")
    assert not any((tmp_path / name / "checkpoints").exists() for name in "abcd")


def test_a_run_that_stops_early_is_no_run(arguments: list[str], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="came to its end"):
        fit_run([*arguments, "--trainer.fast_dev_run", "true"], tmp_path / "a")


@pytest.mark.slow
def test_a_process_of_its_own_gives_the_same(arguments: list[str], tmp_path: Path) -> None:
    one = fit_run([*arguments, *KEEP], tmp_path / "a")
    two = fit_run([*arguments, *KEEP], tmp_path / "b", isolated=True)
    assert one.best_epoch == pytest.approx(two.best_epoch, rel=1e-5)
    assert one.scores == pytest.approx(two.scores, rel=1e-5)
    with pytest.raises(FulmenError, match="dropout"):
        fit_run([*arguments, "--model.dropout", "7"], tmp_path / "c", isolated=True)


@pytest.mark.slow
def test_several_devices(arguments: list[str], tmp_path: Path) -> None:
    one = fit_run([*arguments, *KEEP], tmp_path / "a")
    two_processes = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--data.batch_size", "8"]
    two = fit_run([*arguments, *KEEP, *two_processes], tmp_path / "b", isolated=True)
    assert two.best_epoch["val/loss"] == pytest.approx(one.best_epoch["val/loss"], rel=1e-3)
    for split in ("val", "test"):
        first, second = (Predictions.read(run.folder / f"{split}_predictions.csv") for run in (one, two))
        assert first.samples == second.samples
        assert (first.targets == second.targets).all()
        assert abs(first.scores - second.scores).max() < 1e-3
