"""Decoded images that are kept: the same as without, shared, never stale, and safe."""

from __future__ import annotations

import errno
import logging
import multiprocessing
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from fulmen.core.errors import ConfigError, DataError
from fulmen.data import ImageFolderData, image_cache, pixels
from fulmen.data.cache import folder as cache_folder

KINDS = ["ram", "disk"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FULMEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """24 noisy images of different sizes and formats."""
    rng = np.random.default_rng(0)
    for i in range(24):
        path = tmp_path / "images" / "ab"[i % 2] / f"{i}{('.jpg', '.png')[i % 3 == 0]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20 + i, 50 - i, 3), np.uint8)).save(path)
    return tmp_path / "images"


def ready(root: Path, **options: Any) -> ImageFolderData:
    data = ImageFolderData(str(root), **{"image_size": 16, "num_workers": 0, "batch_size": 4, **options})
    data.setup("fit")
    return data


def epochs(data: ImageFolderData, count: int = 2, **options: Any) -> list[Any]:
    """All training and validation batches of some epochs, from loaders that stay."""
    loaders: list[Any] = [data.train_dataloader(), data.val_dataloader()]
    found = []
    for epoch in range(count):
        loaders[0].sampler.set_epoch(epoch)
        found += [batch for loader in loaders for batch in loader]
    return found


def same(one: list[Any], other: list[Any]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(x, y) for a, b in zip(one, other, strict=True) for x, y in zip(a, b, strict=True)
    )


def count_decoding(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    decoded: list[Path] = []

    read = pixels.Sight.read

    def counted(sight: pixels.Sight, path: Path, *arguments: Any) -> Any:
        decoded.append(path)
        return read(sight, path, *arguments)

    monkeypatch.setattr(pixels.Sight, "read", counted)
    return decoded


@pytest.mark.parametrize("augment", [None, ["resized_crop", "flip"]])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_every_batch_is_that_without_cache(root: Path, kind: str, channels: int, augment: Any) -> None:
    plain, cached = (epochs(ready(root, cache=c, channels=channels, augment=augment)) for c in (None, kind))
    assert same(cached, plain)


@pytest.mark.parametrize("kind", KINDS)
def test_each_image_is_decoded_once(root: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = count_decoding(monkeypatch)
    data = ready(root, cache=kind)
    epochs(data, 3)
    kept = [*data.datasets["train"].paths, *data.datasets["val"].paths]  # type: ignore[attr-defined]
    assert sorted(decoded) == sorted(kept)
    decoded.clear()
    epochs(ready(root, cache=kind))
    assert len(decoded) == (len(kept) if kind == "ram" else 0)  # the disk serves the next run too


def test_test_images_are_not_kept(root: Path, own_cache: Path) -> None:
    data = ready(root, cache="disk", val_fraction=0.2, test_fraction=0.2)
    assert len(list(data.test_dataloader())) > 0
    assert list(own_cache.rglob("*.npy")) == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_caller_does_with_an_image_changes_no_other(root: Path, kind: str) -> None:
    data = ready(root, cache=kind)
    dataset: Any = data.datasets["train"]
    for _ in range(2):
        before = dataset.image(0).copy()
        dataset.image(0)[:] = 0
        assert np.array_equal(dataset.image(0), before)
        assert before.any()


@pytest.mark.parametrize("kind", KINDS)
def test_new_content_is_seen_by_the_next_run(root: Path, kind: str) -> None:
    """Though time and size of the file are the old ones."""
    path = root / "a" / "new.bmp"
    Image.new("RGB", (16, 16), (250, 0, 0)).save(path)
    times, length = path.stat(), path.stat().st_size

    def seen() -> Any:
        data: Any = ready(root, cache=kind, val_fraction=0.0, test_fraction=0.0)
        row = list(data.datasets["train"].paths).index(path)
        for _ in range(2):
            image = data.datasets["train"].image(row)
        return image[0, 0].tolist()

    assert seen() == [250, 0, 0]
    Image.new("RGB", (16, 16), (0, 0, 250)).save(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (length, times.st_mtime_ns)
    assert seen() == [0, 0, 250]


def test_change_while_the_cache_is_emptied(root: Path, own_cache: Path) -> None:
    """What is decoded later is never kept under the hash of what was there before."""
    data = ready(root, cache="disk", val_fraction=0.0, test_fraction=0.0)
    dataset: Any = data.datasets["train"]
    path = dataset.paths[0]
    old, content = dataset.image(0).copy(), path.read_bytes()
    for file in own_cache.rglob("*.npy"):
        file.unlink()
    path.write_bytes(dataset.paths[1].read_bytes())
    assert np.array_equal(dataset.image(0), dataset.image(1))
    path.write_bytes(content)
    again: Any = ready(root, cache="disk", val_fraction=0.0, test_fraction=0.0).datasets["train"]
    assert np.array_equal(again.image(0), old)


def test_change_of_size_during_a_run(root: Path) -> None:
    data: Any = ready(root, cache="ram", val_fraction=0.0, test_fraction=0.0)
    path = data.datasets["train"].paths[0]
    Image.new("RGB", (300, 20)).save(path)
    with pytest.raises(DataError, match="has changed since the run began; start again"):
        data.datasets["train"].image(0)


def test_size_and_channels_have_their_own(root: Path, own_cache: Path) -> None:
    options: dict[str, Any]
    for options in ({"image_size": 16}, {"image_size": 14}, {"channels": 1}, {"interpolation": "bicubic"}):
        plain, cached = (epochs(ready(root, cache=c, **options), 1) for c in (None, "disk"))
        assert same(cached, plain)
    assert len(list((own_cache / "images").iterdir())) == 4


def test_versions_have_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    before = image_cache._version(pixels.Sight(16, 3))
    monkeypatch.setattr("PIL.__version__", "99")
    assert image_cache._version(pixels.Sight(16, 3)) != before


def test_a_file_that_was_cut_off_is_made_anew(root: Path, own_cache: Path) -> None:
    expected = epochs(ready(root, cache="disk"), 1)
    files = list(own_cache.rglob("*.npy"))
    for i, file in enumerate(files):
        file.write_bytes(file.read_bytes()[: (0, 5, 200)[i % 3]])
    assert same(epochs(ready(root, cache="disk"), 1), expected)
    assert all(np.load(file).shape[2] == 3 for file in files)


def test_nothing_half_written_is_left(root: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk: said, and the part that was written goes."""
    data = ready(root, cache="disk")

    def full(file: Any, image: Any) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(DataError, match=r"cannot be written to: No space left on device; make room, .*FULMEN_CACHE"):
        epochs(data)
    assert [p for p in own_cache.rglob("*") if p.is_file()] == []


def test_folder_that_cannot_be_written_to(root: Path, own_cache: Path) -> None:
    own_cache.write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"cache: .*cache/images/.* cannot be written to: .*write cache: null"):
        ready(root, cache="disk")


def test_too_little_memory(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_cache, "free_memory", lambda: 1000)
    with pytest.raises(DataError, match=r"cache: ram needs 0\.\d+ MB of memory, 0\.001 MB are free; write cache: disk"):
        ready(root, cache="ram")


def test_too_little_shared_memory(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(count: int) -> None:
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)")

    monkeypatch.setattr(torch.UntypedStorage, "_new_shared", fail)
    with pytest.raises(DataError, match=r"of shared memory cannot be had \(unable .*\); enlarge it \(docker run --shm"):
        ready(root, cache="ram")


def test_need_is_said_before(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="lightning.pytorch.utilities.rank_zero"):
        data: Any = ready(root, cache="ram", test_fraction=0.0)
        ready(root, cache="disk", test_fraction=0.0)
        ready(root)
    ram, disk = caplog.messages
    need = sum(d.image(i).size for d in data.datasets.values() for i in range(len(d)))
    assert need == data.datasets["train"].cache.pixels.numel()
    assert ram == f"cache: 24 images, {need / 1e6:.3g} MB in memory"
    assert disk.startswith(f"cache: 24 images, {need / 1e6:.3g} MB in {cache_folder()}")


def test_need_is_estimated_for_many(
    root: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_cache, "_LOOKED_AT", 5)
    with caplog.at_level(logging.INFO, logger="lightning.pytorch.utilities.rank_zero"):
        ready(root, cache="disk")
    assert ", about 0.0" in caplog.text


def test_unknown_kind(root: Path) -> None:
    with pytest.raises(ConfigError, match="cache: 'disc' is not allowed; write ram, disk or null"):
        ready(root, cache="disc")


def test_folds_share_memory(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = ImageFolderData(str(root), image_size=16, num_workers=0, cache="ram", test_fraction=0.2)
    decoded = count_decoding(monkeypatch)
    for fold in range(3):
        view = data.view(fold, 3)
        view.setup("fit")
        epochs(view, 1)
    assert len(decoded) == len(set(decoded)) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_pickled(root: Path, kind: str) -> None:
    data = ready(root, cache=kind)
    expected = epochs(data, 1)
    assert same(epochs(pickle.loads(pickle.dumps(data)), 1), expected)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_workers_share_it(root: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers that stay fill it in the first epoch: in the second, nothing is decoded, and batches are the same."""
    expected = epochs(ready(root, augment=["resized_crop", "flip"]), 3)
    data = ready(root, cache=kind, num_workers=2, augment=["resized_crop", "flip"])
    assert same(epochs(data, 3), expected)
    monkeypatch.setattr(pixels.Sight, "read", None)  # what the workers filled serves this process
    data.num_workers = 0
    assert same(epochs(data, 3), expected)


@pytest.mark.slow
def test_spawned_workers_share_memory(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data: Any = ready(root, cache="ram")
    dataset = data.datasets["train"]
    loader: DataLoader[Any] = DataLoader(
        dataset, batch_size=8, num_workers=1, multiprocessing_context="spawn", collate_fn=list
    )
    assert sum(len(batch[0]) for batch in loader) == len(dataset)
    monkeypatch.setattr(pixels.Sight, "read", None)
    for row, path in enumerate(dataset.paths):
        assert np.array_equal(dataset.image(row), pixels.read_image(path, 18, 3))


def _fill(root: Path, said: Any) -> None:
    said.put(int(sum(batch.inputs.sum() for batch in epochs(ready(root, cache="disk"), 2))))


def test_several_processes_fill_the_disk(root: Path, own_cache: Path) -> None:
    """As the processes of a distributed training do, at the same time."""
    context = multiprocessing.get_context("fork")
    said = context.Queue()
    running = [context.Process(target=_fill, args=(root, said)) for _ in range(4)]
    for process in running:
        process.start()
    found = {said.get(timeout=60) for _ in running}
    for process in running:
        process.join()
    assert [process.exitcode for process in running] == [0] * 4
    assert len(found) == 1
    assert list(own_cache.rglob("*.part")) == []
    assert same(epochs(ready(root, cache="disk"), 1), epochs(ready(root), 1))
