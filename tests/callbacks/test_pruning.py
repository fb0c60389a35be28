"""Pruning: asked by the first process, obeyed by all; and no trace of it in a config."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from lightning.pytorch import LightningModule, Trainer
from tests.conftest import Cli
from torch import nn, tensor
from torch.optim import SGD

from fulmen.callbacks.pruning import DIVERGED, STOPPED, Pruning, from_environment, make_pruner, open_storage, pruned_by
from fulmen.cli import runs


class Scripted(LightningModule):
    """Logs a score that is given, an epoch each."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__()
        self.scores, self.layer = scores, nn.Linear(1, 1)

    def training_step(self, batch: Any, _: int) -> Any:
        return self.layer(tensor([[1.0]])).sum()

    def validation_step(self, batch: Any, _: int) -> None:
        self.log("val/score", self.scores[self.current_epoch], batch_size=1)

    def train_dataloader(self) -> list[int]:
        return [0]

    def val_dataloader(self) -> list[int]:
        return [0]

    def configure_optimizers(self) -> SGD:
        return SGD(self.parameters(), 0.0)


def make_study(url: str, done: int = 5) -> optuna.Study:
    """A study in which trials scored 1 in every epoch, and one more runs."""
    study = optuna.create_study(storage=open_storage(url), study_name="s", direction="maximize")
    for _ in range(done):
        trial = study.ask()
        for epoch in range(10):
            trial.report(1.0, epoch)
        study.tell(trial, 1.0)
    return study


def train(study: optuna.Study, url: str, scores: list[float], **options: Any) -> tuple[int, dict[str, Any]]:
    """Epochs that were trained, and what the trial noted."""
    trial = study.ask()
    callback = Pruning(url, "s", trial._trial_id, "val/score", "median", **options)
    trainer = Trainer(
        max_epochs=len(scores), accelerator="cpu", logger=False, enable_checkpointing=False, callbacks=[callback],
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Scripted(scores))
    return trainer.current_epoch, study.trials[-1].user_attrs


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/s.db"


def test_a_trial_that_is_worse_than_half_ends(url: str) -> None:
    study = make_study(url)
    assert train(study, url, [0.5] * 8, after=3) == (4, {STOPPED: 3})
    assert study.trials[-1].intermediate_values == dict.fromkeys(range(4), 0.5)
    assert train(study, url, [2.0] * 8, after=3) == (8, {})
    assert train(study, url, [0.5] * 4, after=3) == (4, {})  # it was done


def test_a_score_that_is_no_number_ends_a_trial(url: str) -> None:
    assert train(make_study(url), url, [2.0, float("nan"), 2.0], after=3) == (2, {DIVERGED: 1})


def test_a_metric_that_nothing_logs_ends_a_trial_at_once(url: str) -> None:
    study = make_study(url)
    trial = study.ask()
    trainer = Trainer(
        max_epochs=5, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[Pruning(url, "s", trial._trial_id, "val/scroe", "median")],
    )  # fmt: skip
    trainer.fit(Scripted([1.0] * 5))
    assert trainer.current_epoch == 1


@pytest.mark.parametrize("name", ["median", "halving", "hyperband", "none"])
def test_pruners_leave_the_first_epochs_alone(name: str, url: str) -> None:
    make_study(url, done=0)
    study = optuna.load_study(study_name="s", storage=open_storage(url), pruner=make_pruner(name, 3, 27))
    pruned = 0
    for i in range(20):
        trial, asked = study.ask(), []
        for epoch in range(27):
            trial.report(-float(i), epoch)  # each is worse than those before
            asked.append(trial.should_prune())
        assert not any(asked[:3])
        pruned += any(asked)
        study.tell(trial, -float(i))
    assert (pruned > 0) == (name != "none")


def test_the_environment_says_it_only_inside() -> None:
    options = {"storage": "journal:x", "study": "s", "trial": 1, "monitor": "val/loss", "pruner": "none"}
    with pruned_by(options):
        (found,) = from_environment()
        assert (found.storage, found.study, found.trial, found.metric) == ("journal:x", "s", 1, "val/loss")
    assert from_environment() == []


CONFIG = {
    "model": {
        "class_path": "MLPModule",
        "init_args": {"hidden_features": [4], "optimizer": {"name": "sgd", "lr": 1e-9}},
    },
    "data": {"class_path": "IrisData"},
    "trainer": {"max_epochs": 8, "accelerator": "cpu", "enable_model_summary": False, "enable_progress_bar": False},
}


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
def test_all_processes_end_together(devices: int, tmp_path: Path, url: str) -> None:
    """With DDP (gloo), the run ends in the epoch in which the first process is told to, without waiting for anyone."""
    study = make_study(url)
    trial = study.ask()
    config = tmp_path / "small.yaml"
    config.write_text(yaml.safe_dump(CONFIG))
    options = {"storage": url, "study": "s", "trial": trial._trial_id, "monitor": "val/accuracy", "pruner": "median"}
    options["after"] = 2
    arguments = ["--config", str(config), f"--trainer.devices={devices}", "--test_after_fit=false"]
    arguments += ["--trainer.strategy=ddp"] if devices > 1 else []
    code = f"""
from pathlib import Path
from fulmen.callbacks.pruning import pruned_by
from fulmen.cli.fitting import fit_run
with pruned_by({options!r}):
    fit_run({arguments!r}, Path({str(tmp_path / "run")!r}), isolated=True)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=240, cwd=tmp_path)
    assert study.trials[-1].user_attrs == {STOPPED: 2}
    assert json.loads((tmp_path / "run" / runs.RECORD).read_text())["epochs"] == 3
    saved = (tmp_path / "run" / "config.yaml").read_text()
    assert "prun" not in saved.lower()
    assert url not in saved


def test_a_run_of_a_trials_config_talks_to_no_study(cli: Cli, tmp_path: Path, url: str) -> None:
    study = make_study(url)
    trial = study.ask()
    config = tmp_path / "small.yaml"
    config.write_text(yaml.safe_dump({**CONFIG, "test_after_fit": False}))
    options = {"storage": url, "study": "s", "trial": trial._trial_id, "monitor": "val/accuracy", "pruner": "median"}
    with pruned_by({**options, "after": 2}):
        assert cli("fit", "--config", config).code == 0
    before, (run,) = study.trials, (tmp_path / "runs" / "small").iterdir()
    assert runs.read_record(run)["epochs"] == 3
    assert cli("fit", "--config", run / "config.yaml").code == 0
    assert runs.read_record(run.with_name("version_1"))["epochs"] == 8
    assert study.trials == before
