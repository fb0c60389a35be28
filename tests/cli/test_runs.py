"""Run folders."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fulmen.cli.runs import config_name, find_checkpoint, new_run, versions
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
        (None, "no_config"),
    ],
)
def test_config_name(path: str | None, name: str) -> None:
    assert config_name(path) == name


def test_no_checkpoint_says_what_to_do(tmp_path: Path) -> None:
    new_run(tmp_path, "a")
    with pytest.raises(CheckpointError, match="train first"):
        find_checkpoint("best", tmp_path, "a")
