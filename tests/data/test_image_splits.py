"""Image folders: who trains, validates and tests, and what a trained model's data know."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.test_images import folder, make, names, ready, write

from fulmen.core.errors import ConfigError, DataError
from fulmen.core.restoring import restoring

# Splits: one list of samples


def test_a_validation_folder_that_lacks_a_class_shifts_no_label(tmp_path: Path) -> None:
    folder(tmp_path / "train", {"ant": 2, "bee": 2, "cat": 2})
    folder(tmp_path / "val", {"cat": 2})
    folder(tmp_path / "test", {"bee": 1, "cat": 1})
    data = ready(tmp_path)
    assert data.datasets["val"].targets.tolist() == [2, 2]  # type: ignore[attr-defined]
    assert data.datasets["test"].targets.tolist() == [1, 2]  # type: ignore[attr-defined]


def test_folders_of_splits_in_other_words(tmp_path: Path) -> None:
    for split, number in (("Training", 3), ("DEV", 1), ("Testing", 2)):
        folder(tmp_path / split, {"cat": number, "ant": number})
    data = ready(tmp_path)
    assert {name: len(d) for name, d in data.datasets.items()} == {"train": 6, "val": 2, "test": 4}
    folder(tmp_path / "validation", {"cat": 1, "ant": 1})
    with pytest.raises(DataError, match="has DEV and validation; keep one folder for val"):
        make(tmp_path)


def test_empty_folder_of_a_split(tmp_path: Path) -> None:
    folder(tmp_path / "train", {"cat": 2, "ant": 2})
    (tmp_path / "val").mkdir()
    with pytest.raises(DataError, match=r"val' holds no class folder; fill it, or remove it"):
        ready(tmp_path)


def test_one_folder_too_high(tmp_path: Path) -> None:
    folder(tmp_path / "inner" / "train", {"cat": 2, "ant": 2})
    (tmp_path / "inner" / "val").mkdir()
    with pytest.raises(DataError, match=r"found 'inner'; did you mean '.*inner'\?"):
        make(tmp_path)


def test_images_without_folders(tmp_path: Path) -> None:
    write(tmp_path / "1.JPG")
    with pytest.raises(DataError, match="found none; for images beside a table that names their labels, use ImageTab"):
        make(tmp_path)


def test_grouped_by_folder(tmp_path: Path) -> None:
    """All pictures of a person stay on one side, also those of another class."""
    for i in range(120):
        write(tmp_path / "ab"[i % 2] / f"person{i % 30}" / "deep" / f"{i}.png")
    data = ready(tmp_path, split_by={"group": "folder"}, val_fraction=0.3, test_fraction=0.2)
    people = {split: {name.split("/")[1] for name in names(data, split)} for split in data.datasets}
    assert sum(map(len, people.values())) == len(set.union(*people.values())) == 30
    assert all(people.values())
    write(tmp_path / "a" / "alone.png")
    with pytest.raises(DataError, match=r"split_by: 'a/alone\.png' lies directly in its class folder"):
        ready(tmp_path, split_by={"group": "folder"})


@pytest.mark.parametrize("pattern", [r"re:patient_(\d+)", r"re:patient_\d+"])
def test_grouped_by_a_pattern(tmp_path: Path, pattern: str) -> None:
    for i in range(80):
        write(tmp_path / "ab"[i % 2] / f"patient_{i // 4}_{i}.png")
    data = ready(tmp_path, split_by={"group": pattern}, val_fraction=0.3, test_fraction=0.2)
    patients = {split: {name.split("_")[1] for name in names(data, split)} for split in data.datasets}
    assert sum(map(len, patients.values())) == len(set.union(*patients.values())) == 20
    write(tmp_path / "a" / "other.png")
    with pytest.raises(DataError, match=r"split_by: 'a/other\.png' does not match 'patient_"):
        ready(tmp_path, split_by={"group": pattern})


def test_split_that_paths_say(tmp_path: Path) -> None:
    for i, split in enumerate(("train", "train", "valid", "test") * 3):
        write(tmp_path / "ab"[i % 2] / f"{split}_{i}.png")
        write(tmp_path / "ab"[(i + 1) % 2] / f"{split}_{i}.png")
    data = ready(tmp_path, split_by={"column": "re:/([a-z]+)_"})
    for split, words in (("train", {"train"}), ("val", {"valid"}), ("test", {"test"})):
        assert {name.split("/")[1].split("_")[0] for name in names(data, split)} == words


def test_newest_by_a_pattern(tmp_path: Path) -> None:
    for i in range(20):
        write(tmp_path / "ab"[i % 2] / f"{i}.png")
    data = ready(tmp_path, split_by={"time": r"re:(\d+)\.png"}, val_fraction=0.2, test_fraction=0.2)
    numbers = {s: sorted(int(Path(name).stem) for name in names(data, s)) for s in data.datasets}
    assert numbers == {"train": list(range(12)), "val": [12, 13, 14, 15], "test": [16, 17, 18, 19]}


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ({"group": "patient"}, r"unknown column 'patient'.*Allowed: folder, or 're:' and a regular expression"),
        ({"group": "re:("}, r"split_by: '\(' is no regular expression: missing \)"),
    ],
)
def test_column_that_paths_do_not_have(tmp_path: Path, by: dict[str, str], message: str) -> None:
    folder(tmp_path, {"a": 3, "b": 3})
    with pytest.raises((DataError, ConfigError), match=message):
        ready(tmp_path, split_by=by)


def test_folds_pool_training_and_validation_folders(tmp_path: Path) -> None:
    for split, number in (("train", 10), ("val", 5), ("test", 3)):
        folder(tmp_path / split, {"a": number, "b": number})
    data = make(tmp_path)
    seen: list[str] = []
    for fold in range(3):
        view = data.view(fold, 3)
        view.setup("fit")
        seen += names(view, "val")
        assert len(names(view, "test")) == 6
        assert not set(names(view, "val")) & set(names(view, "train"))
    assert sorted(seen) == sorted(names(ready(tmp_path), "train") + names(ready(tmp_path), "val"))


def test_written_split_is_read(tmp_path: Path) -> None:
    folder(tmp_path / "images", {"a": 20, "b": 20})
    data = ready(tmp_path / "images")
    data.write_split(tmp_path / "split.csv")
    again = ready(tmp_path / "images", split_by={"file": str(tmp_path / "split.csv")}, split_seed=7)
    assert {s: names(again, s) for s in again.datasets} == {s: names(data, s) for s in data.datasets}


# A trained model's data


def test_classes_come_from_the_checkpoint(tmp_path: Path) -> None:
    folder(tmp_path, {"ant": 5, "bee": 5, "cat": 5})
    data = ready(tmp_path)
    saved = {"ImageFolderData": data.state_dict()}
    shutil.rmtree(tmp_path / "ant")
    with restoring(saved):
        again = ready(tmp_path)
    assert again.class_names == ["ant", "bee", "cat"]
    assert {t for d in again.datasets.values() for t in d.targets.tolist()} == {1, 2}  # type: ignore[attr-defined]
    assert again.state_dict() == data.state_dict()


def test_predict_without_the_training_images(tmp_path: Path) -> None:
    folder(tmp_path / "data", {"ant": 5, "bee": 5, "cat": 5})
    saved = {"ImageFolderData": ready(tmp_path / "data").state_dict()}
    shutil.rmtree(tmp_path / "data")
    write(tmp_path / "new" / "x.png")
    with restoring(saved):
        data = ready(tmp_path / "data", predict_root=str(tmp_path / "new"))
        assert (data.class_names, data.num_outputs, data.target_type) == (["ant", "bee", "cat"], 3, "multiclass")
        (batch,) = data.predict_dataloader()
        assert data.identity("predict", batch.index) == ["x.png"]
        with pytest.raises(DataError, match="there is no folder"):
            make(tmp_path / "data")
    with pytest.raises(DataError, match="there is no folder"):
        make(tmp_path / "data", predict_root=str(tmp_path / "new"))


def test_state_of_another_run_is_taken_over(tmp_path: Path) -> None:
    folder(tmp_path / "three", {"a": 5, "b": 5, "c": 5})
    folder(tmp_path / "two", {"b": 5, "c": 5})
    data = ready(tmp_path / "two")
    data.load_state_dict(ready(tmp_path / "three").state_dict())
    assert (data.num_outputs, data.class_names) == (3, ["a", "b", "c"])
    assert {t for d in data.datasets.values() for t in d.targets.tolist()} == {1, 2}  # type: ignore[attr-defined]


# Many files


def test_empty_files_are_reported_once_in_short(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder(tmp_path, {"a": 3, "b": 3})
    for i in range(1000):
        (tmp_path / "a" / f"empty{i:04}.jpg").touch()
    with caplog.at_level(logging.INFO, logger="lightning.pytorch.utilities.rank_zero"):
        data = ready(tmp_path, val_fraction=0.0, test_fraction=0.0)
    (message,) = caplog.messages
    assert message.startswith("Skipped 1000 file(s)")
    assert message.endswith("a/empty0004.jpg and 995 more")
    assert len(data.skipped) == 1000
    assert data.skipped[999] == tmp_path / "a" / "empty0999.jpg"


@pytest.mark.slow
def test_same_batches_for_any_number_of_workers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(24):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20 + i, 30, 3), np.uint8)).save(tmp_path / "ab"[i % 2] / f"{i}.jpg")

    def batches(workers: int, cache: str | None) -> list[torch.Tensor]:
        data = ready(tmp_path, num_workers=workers, cache=cache, augment=["resized_crop", "flip"], balance="sampler")
        loader: Any = data.train_dataloader()
        found = []
        for epoch in range(2):
            loader.sampler.set_epoch(epoch)
            found += [torch.cat([b.inputs.flatten(), b.targets, b.index]) for b in loader]
        return found

    expected = batches(0, None)
    for workers in (0, 1, 2):
        for cache in ("ram", "disk"):
            found = batches(workers, cache)
            assert len(found) == len(expected)
            assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
