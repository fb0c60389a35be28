"""Where caches go."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

from fulmen.data import cache


def test_environment_variable_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FULMEN_CACHE", str(tmp_path))
    assert cache.folder() == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FULMEN_CACHE", "~/caches")
    assert cache.folder() == tmp_path / "caches"


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/xdg"}, "/xdg/fulmen"),
        ("linux", {}, "/home/me/.cache/fulmen"),
        ("linux", {"FULMEN_CACHE": "", "XDG_CACHE_HOME": ""}, "/home/me/.cache/fulmen"),
        ("darwin", {}, "/home/me/Library/Caches/fulmen"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/fulmen"),
        ("win32", {}, "/home/me/AppData/Local/fulmen"),
    ],
)
def test_platforms(monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], expected: str) -> None:
    for name in ("FULMEN_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/me", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert cache.folder() == Path(expected)


def test_tests_have_their_own() -> None:
    assert cache.folder().is_relative_to(tempfile.gettempdir())
    assert os.environ["FULMEN_CACHE"] in str(cache.folder())
