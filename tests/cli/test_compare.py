"""`lightning compare`, as a user types it."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from sklearn.metrics import accuracy_score
from tests.conftest import Cli, config

from fulmen.cli.comparing.finding import find, names_of
from fulmen.cli.stored import predictions_of

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of two configs, and one of other samples; made once, by `fit` in this process."""
    from fulmen.cli.fitting import fit_run

    folder = tmp_path_factory.mktemp("trained")
    options = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
    for name, hidden, more in [
        ("large/version_0", [64], []),
        ("large/version_1", [64], ["--seed_everything", "1"]),
        ("small/version_0", [], []),
        ("other/version_0", [], ["--data.split_seed", "5"]),
    ]:
        model = {
            "class_path": "MLPModule",
            "init_args": {"hidden_features": hidden, "optimizer": {"name": "adam", "lr": 0.02}},
        }
        path = folder / "config.in"
        path.write_text(yaml.safe_dump(config(model=model, trainer={"max_epochs": 8, "enable_model_summary": False})))
        fit_run(["--config", str(path), *options, *more, "--keep_predictions", "[val]"], folder / "runs" / name)
    return folder / "runs"


@pytest.fixture
def runs(trained: Path, tmp_path: Path) -> Path:
    """A copy, below the folder that commands run in; what is kept with a checkpoint stays with it."""
    shutil.copytree(trained, tmp_path / "runs", copy_function=shutil.copy2)
    return tmp_path / "runs"


def read(file: Path) -> Any:
    return json.loads(file.read_text())


def test_leaderboard_choice_and_files(cli: Cli, runs: Path, tmp_path: Path) -> None:
    result = cli("compare", runs / "large", runs / "small", "--out", "out")
    assert result.code == 0
    expected = {}
    for name in ("large/version_0", "large/version_1", "small/version_0"):
        made = predictions_of(runs / name)
        expected[name] = accuracy_score(made.targets, made.predicted)
    with (tmp_path / "out" / "leaderboard.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["run"]: float(row["accuracy"]) for row in rows} == pytest.approx(expected)
    assert [float(row["accuracy"]) for row in rows] == sorted(expected.values(), reverse=True)
    assert {row["run"]: int(row["parameters"]) for row in rows} == {
        "large/version_0": 4 * 64 + 64 + 64 * 3 + 3,
        "large/version_1": 4 * 64 + 64 + 64 * 3 + 3,
        "small/version_0": 4 * 3 + 3,
    }
    record = read(tmp_path / "out" / "comparison.json")
    assert record["test_set"] is False
    assert record["choices"]["A"]["reason"] in result.out
    assert set(record["differences"]) == {"model.hidden_features", "seed_everything"}
    assert sorted(record["replicates"][0]["runs"]) == ["large/version_0", "large/version_1"]
    page = (tmp_path / "out" / "comparison.html").read_text()
    for text in (*expected, "McNemar", "model.hidden_features", "data:image/png;base64,"):
        assert text in page, text
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "test_set_used" not in str(result.out)


def test_runs_of_other_samples_are_not_tested_against_each_other(cli: Cli, runs: Path, tmp_path: Path) -> None:
    result = cli("compare", runs, "--out", "out")
    assert result.code == 0
    assert "2 different sets of samples" in result.out
    assert "split_by" in result.out
    record = read(tmp_path / "out" / "comparison.json")
    assert all("other" not in pair["best"] + pair["other"] for pair in record["pairs"])
    groups = {row["name"]: row["group"] for row in record["rows"]}
    assert groups["small/version_0"] == groups["large/version_0"] != groups["other/version_0"]


def test_the_test_set_is_used_only_on_demand_and_that_is_kept(cli: Cli, runs: Path, tmp_path: Path) -> None:
    refused = cli("compare", runs / "large", "--split", "test")
    assert refused.code == 2
    assert "--use_test_set" in refused.error
    uses = [use["by"] for use in read(runs / "large" / "version_0" / "run.json")["test_set_used"]]
    assert uses == ["fit"]
    assert not (runs / "large" / "version_0" / "test_predictions.csv").exists()
    result = cli("compare", runs / "large", "--split", "test", "--use_test_set", "--out", "out")
    assert result.code == 0
    assert "no longer an honest estimate" in result.out
    assert "no longer an honest estimate" in (tmp_path / "out" / "comparison.html").read_text()
    assert read(tmp_path / "out" / "comparison.json")["test_set"] is True
    for version in ("version_0", "version_1"):
        record = read(runs / "large" / version / "run.json")
        assert [use["by"] for use in record["test_set_used"]] == ["fit", "compare"]
        made = predictions_of(runs / "large" / version, "test")
        assert accuracy_score(made.targets, made.predicted) == pytest.approx(record["scores"]["test/accuracy"])


def test_unfinished_runs_are_left_out_and_named(cli: Cli, runs: Path) -> None:
    (runs / "large" / "version_1" / "run.json").unlink()
    about = read(runs / "large" / "version_1" / "environment.json")
    broken = {**about, "status": "failed", "error": "RuntimeError: no memory"}
    (runs / "large" / "version_1" / "environment.json").write_text(json.dumps(broken))
    result = cli("compare", runs / "large", runs / "small")
    assert result.code == 0
    assert "version_1: it failed: RuntimeError: no memory" in result.out
    alone = cli("compare", runs / "large")
    assert alone.code == 2
    assert "at least two runs" in alone.error
    assert "no memory" in alone.error
    assert "lightning report --ckpt_path" in alone.error


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], ["there is no folder 'nowhere'", "runs"]),
        (["empty"], ["holds no run", "lightning fit"]),
        (["runs/small"], ["at least two runs"]),
        (["runs/small", "runs/small/version_0"], ["at least two runs"]),
        (["runs/large/version_0/checkpoints/best.ckpt", "runs/small"], ["is a file", "runs/large/version_0"]),
        (["runs", "--metric", "acuracy"], ["did you mean 'accuracy'"]),
        (["runs", "--metric", "rmse"], ["unknown metric 'rmse'", "accuracy"]),
        (["runs", "--resamples", "0"], ["at least 1"]),
        (["runs", "--level", "95"], ["0.95"]),
        (["runs", "--use_test_set"], ["--split test"]),
        (["runs", "--out", "file.txt"], ["file.txt", "folder"]),
    ],
)
def test_mistakes_end_with_a_message(
    arguments: list[str], said: list[str], cli: Cli, runs: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("")
    result = cli("compare", *arguments)
    assert result.code == 2
    for text in said:
        assert text in result.error, result.error


def test_other_tasks_are_refused(cli: Cli, runs: Path, write_config: Write) -> None:
    path = write_config(data={"class_path": "DiabetesData"})
    assert cli("fit", "--config", path).code == 0
    result = cli("compare", runs)
    assert result.code == 2
    assert "regression task" in result.error
    alone = cli("fit", "--config", path, "--model.hidden_features", "[2]")
    assert alone.code == 0
    compared = cli("compare", runs / "small" / "version_1", runs / "small" / "version_2")
    assert compared.code == 0
    assert "2 runs by mae, less is better" in compared.out
    assert "McNemar" not in compared.out


def test_which_folders_are_runs(tmp_path: Path) -> None:
    def make(place: str, *names: str) -> Path:
        for name in names:
            file = tmp_path / place / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("{}")
        return tmp_path / place

    finished = ("config.yaml", "run.json", "checkpoints/best.ckpt")
    first, tenth, second = (make(f"runs/x/version_{i}", *finished) for i in (0, 10, 2))
    trials = [make(f"runs/x/study_0/trial_{i}", *finished) for i in (0, 1)]
    cross = make("runs/x/cv_0", "oof_predictions.csv", "fold_0/config.yaml", "fold_0/run.json")
    half = make("runs/y/version_0", "config.yaml")
    bare = make("runs/y/version_1", "config.yaml", "run.json")
    found = find([tmp_path / "runs"])
    assert found.runs == [cross, first, second, tenth]
    assert found.left_out == {half: "it did not come to its end", bare: "it has no checkpoint"}
    assert find([tmp_path / "runs/x/study_0", trials[0]]).runs == trials
    assert find([cross, first]).runs == [cross, first]


def test_names_are_as_long_as_they_must_be() -> None:
    folders = [Path(p) for p in ("/r/x/version_0", "/r/x/version_1")]
    assert names_of(folders) == ["x/version_0", "x/version_1"]
    deep = [Path(p) for p in ("/r/x/study_0/trial_0", "/r/y/study_0/trial_0")]
    assert names_of(deep) == ["x/study_0/trial_0", "y/study_0/trial_0"]
