"""Features on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fulmen.core.errors import DataError
from fulmen.data.feature_files import FeatureFile, check_memory


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FULMEN_CACHE", str(tmp_path))
    return tmp_path / "features"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_written_is_read(dtype: torch.dtype, folder: Path) -> None:
    values = torch.randn(7, 5, dtype=dtype)
    file = FeatureFile({"weights": "a"})
    assert file.read(7) is None
    room = file.room(7, 5, dtype)
    room[:] = values
    assert FeatureFile({"weights": "a"}).read(7) is None  # nobody sees it yet
    file.keep()
    file.discard()
    found = FeatureFile({"weights": "a"}).read(7)
    assert found is not None
    assert torch.equal(found, values)
    assert np.array_equal(np.load(file.path), values.numpy())
    assert list(folder.iterdir()) == [file.path]


def test_the_name_is_made_of_everything() -> None:
    paths = {FeatureFile(about).path for about in ({"a": 1}, {"a": 2}, {"b": 1}, {"a": {"b": 1}}, {"a": [1]})}
    assert len(paths) == 5
    assert FeatureFile({"a": 1, "b": 2}).path == FeatureFile({"b": 2, "a": 1}).path


def test_other_numbers_of_rows_do_not_count() -> None:
    file = FeatureFile({})
    file.room(3, 2, torch.float32)
    file.keep()
    assert file.read(3) is not None
    assert file.read(4) is None


def test_a_reader_changes_nothing_on_disk() -> None:
    file = FeatureFile({})
    file.room(3, 2, torch.float32)[:] = 1
    file.keep()
    found = file.read(3)
    assert found is not None
    found += 1
    assert torch.equal(file.read(3), torch.ones(3, 2))  # type: ignore[arg-type]


def test_what_is_discarded_is_gone(folder: Path) -> None:
    file = FeatureFile({})
    file.room(3, 2, torch.float32)
    assert len(list(folder.iterdir())) == 1
    file.discard()
    assert list(folder.iterdir()) == []


def test_a_full_disk_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full, raising=False)
    with pytest.raises(DataError, match="cannot be written to: No space left on device; make room"):
        FeatureFile({}).room(3, 2, torch.float32)
    assert list(folder.iterdir()) == []


def test_memory_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    check_memory(1)
    monkeypatch.setattr("fulmen.data.feature_files.free_memory", lambda: None)
    check_memory(10**18)
    monkeypatch.setattr("fulmen.data.feature_files.free_memory", lambda: 999)
    check_memory(999)
    with pytest.raises(DataError, match=r"ram needs 0\.001 MB of memory"):
        check_memory(1000)
