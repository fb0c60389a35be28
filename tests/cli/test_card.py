"""`lightning card`: the hub reads it, and its numbers are those of the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from sklearn.metrics import f1_score
from tests.conftest import Cli

from fulmen.cli.stored import predictions_of
from fulmen.evaluation import intervals
from fulmen.modules import MLPModule

Write = Callable[..., Path]


@pytest.fixture
def run(cli: Cli, write_config: Write, tmp_path: Path) -> Path:
    path = write_config(trainer={"max_epochs": 4, "enable_model_summary": False})
    assert cli("fit", "--config", path).code == 0
    return tmp_path / "runs" / "small" / "version_0"


def test_the_hub_reads_it_and_its_numbers_are_those_of_the_run(cli: Cli, run: Path) -> None:
    given = ("--license", "apache-2.0", "--dataset", "scikit-learn/iris", "--intended_use", "Telling irises apart.")
    result = cli("card", run, *given)
    assert result.code == 0
    card = ModelCard.load(run / "README.md")
    data: Any = card.data
    assert (data.library_name, data.license, data.datasets) == ("fulmen", "apache-2.0", ["scikit-learn/iris"])
    assert data.pipeline_tag == "tabular-classification"
    assert {"fulmen", "multiclass"} <= set(data.tags)
    assert data.model_name == "small"
    record = json.loads((run / "run.json").read_text())
    index = {result.metric_type: result for result in data.eval_results}
    assert index["accuracy"].metric_value == pytest.approx(record["scores"]["test/accuracy"], abs=1e-6)
    made = predictions_of(run, "test")
    assert index["f1"].metric_value == pytest.approx(f1_score(made.targets, made.predicted, average="macro"))
    assert {(r.dataset_type, r.dataset_split) for r in index.values()} == {("scikit-learn/iris", "test")}
    for split in ("val", "test"):
        for name, found in intervals(predictions_of(run, split)).items():
            line = next(line for line in card.text.splitlines() if line.startswith(f"| {name} |"))
            assert f"{found.value:.4f} ({found.low:.4f} .. {found.high:.4f})" in line
    assert "Telling irises apart." in card.text
    for split, name in (("train", "training"), ("val", "validation"), ("test", "test")):
        assert f"| {name} | {record['samples'][split]:,} |" in card.text
    for name, count in record["class_counts"].items():
        assert f"| {name} | {count} |" in card.text


def test_its_commands_and_lines_work(cli: Cli, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("card", run).code == 0
    text = (run / "README.md").read_text()
    assert 'MLPModule.load_from_checkpoint("checkpoints/best.ckpt")' in text
    monkeypatch.chdir(run)
    MLPModule.load_from_checkpoint("checkpoints/best.ckpt")
    for command in ("test", "predict"):
        line = next(line for line in text.splitlines() if line.startswith(f"lightning {command} "))
        assert cli(*line.split()[1:]).code == 0
    assert cli("fit", "--config", "config.yaml").code == 0


def test_what_nobody_said_is_not_invented(cli: Cli, run: Path) -> None:
    result = cli("card", run)
    assert "--license" in result.out
    card = ModelCard.load(run / "README.md", ignore_metadata_errors=True)
    data: Any = card.data
    assert data.license is None
    assert data.datasets is None
    assert card.text.count("Not given by the author of this card.") == 4


def test_a_run_that_did_not_test_has_no_test_numbers(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    assert cli("fit", "--config", write_config(), "--test_after_fit", "false").code == 0
    run = tmp_path / "runs" / "small" / "version_0"
    assert cli("card", run).code == 0
    card = ModelCard.load(run / "README.md")
    assert "| metric | validation (" in card.text
    assert "test (" not in card.text
    assert not (run / "test_predictions.csv").exists()
    data: Any = card.data
    assert {result.dataset_split for result in data.eval_results} == {"validation"}


def test_regression(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    assert cli("fit", "--config", write_config(data={"class_path": "DiabetesData"})).code == 0
    run = tmp_path / "runs" / "small" / "version_0"
    assert cli("card", run, "--name", "Sugar | level").code == 0
    data: Any = ModelCard.load(run / "README.md").data
    assert data.pipeline_tag == "tabular-regression"
    assert {"mae", "rmse"} <= {result.metric_type for result in data.eval_results}
    assert "Largest error:" in (run / "README.md").read_text()


def test_a_file_that_a_person_may_have_written_stays(cli: Cli, run: Path, tmp_path: Path) -> None:
    (run / "README.md").write_text("mine")
    refused = cli("card", run)
    assert refused.code == 2
    assert "--overwrite" in refused.error
    assert (run / "README.md").read_text() == "mine"
    assert cli("card", run, "--overwrite").code == 0
    assert cli("card", run, "--out", tmp_path / "docs" / "card.md").code == 0
    assert "runs/small/version_0/checkpoints/best.ckpt" in (tmp_path / "docs" / "card.md").read_text()


@pytest.mark.parametrize(("given", "said"), [("nowhere", "there is no folder 'nowhere'"), (".", "came to its end")])
def test_mistakes(given: str, said: str, cli: Cli) -> None:
    result = cli("card", given)
    assert result.code == 2
    assert said in result.error


def test_a_run_without_samples_to_tell_of(cli: Cli, write_config: Write, tmp_path: Path) -> None:
    options = ("--data.val_fraction", "0", "--data.test_fraction", "0", "--early_stopping", "null")
    path = write_config(checkpoint={"monitor": None}, trainer={"max_epochs": 1, "enable_model_summary": False})
    assert cli("fit", "--config", path, *options).code == 0
    found = cli("card", tmp_path / "runs" / "small" / "version_0")
    assert found.code == 2
    assert "no samples that a card could tell of" in found.error
    assert "a validation or a test split" in found.error
