"""Run folders."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fulmen.cli.runs import (
    config_name,
    find_checkpoint,
    new_run,
    note_test_use,
    read_record,
    versions,
    write_record,
)
from fulmen.core.errors import CheckpointError


@pytest.fixture(autouse=True)
def own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULMEN_RUN_FOLDER", "")
    monkeypatch.delenv("LOCAL_RANK", raising=False)


def test_numbers_count_up_and_gaps_stay(tmp_path: Path) -> None:
    assert [new_run(tmp_path, "a").name for _ in range(3)] == ["version_0", "version_1", "version_2"]
    (tmp_path / "a" / "version_1").rmdir()
    (tmp_path / "a" / "version_9").mkdir()
    (tmp_path / "a" / "version_x").mkdir()
    assert new_run(tmp_path, "a").name == "version_10"
    assert new_run(tmp_path, "b").name == "version_0"
    assert [p.name for p in versions(tmp_path / "a")] == ["version_0", "version_2", "version_9", "version_10"]


def test_runs_started_at_once_get_folders_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: new_run(tmp_path, "a"), range(24)))
    assert len(set(made)) == 24


def test_processes_of_one_run_share_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = new_run(tmp_path, "a")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert new_run(tmp_path, "a") == folder
    assert len(versions(tmp_path / "a")) == 1


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("configs/x.yaml", "x"),
        ("/elsewhere/my.config.yml", "my.config"),
        ("runs/x/version_12/config.yaml", "x"),
        ("runs/x/cv_0/fold_3/config.yaml", "x"),
        ("runs/x/cv_0/repeat_1_fold_0/config.yaml", "x"),
        ("runs/x/cv_0/final/config.yaml", "x"),
        ("runs/x/cv_0/config.yaml", "x"),
        ("runs/x/study_2/trial_17/config.yaml", "x"),
        ("mine/final/plan.yaml", "plan"),
        (None, "no_config"),
    ],
)
def test_config_name(path: str | None, name: str) -> None:
    assert config_name(path) == name


def test_a_saved_config_knows_its_name_wherever_it_lies(tmp_path: Path) -> None:
    trial = tmp_path / "any" / "trial_0"
    trial.mkdir(parents=True)
    (trial.parent / "best.yaml").touch()
    assert config_name(str(trial / "config.yaml")) == tmp_path.name
    (trial / "environment.json").write_text(json.dumps({"name": "x"}))
    assert config_name(str(trial / "config.yaml")) == "x"
    assert config_name(str(trial.parent / "best.yaml")) == "x"


def test_uses_of_the_test_set_are_counted_in_runs_alone(tmp_path: Path) -> None:
    note_test_use(tmp_path, "compare")
    assert not any(tmp_path.iterdir())
    write_record(tmp_path, best=None, value=float("nan"))
    note_test_use(tmp_path, "fit")
    note_test_use(tmp_path, "compare")
    record = read_record(tmp_path)
    assert [use["by"] for use in record["test_set_used"]] == ["fit", "compare"]
    assert record["value"] is None


def test_no_checkpoint_says_what_to_do(tmp_path: Path) -> None:
    new_run(tmp_path, "a")
    with pytest.raises(CheckpointError, match="train first"):
        find_checkpoint("best", tmp_path, "a")
