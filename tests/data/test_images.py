"""Image folders, on files that each test writes."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from PIL import Image

from fulmen.core.batch import PADDING
from fulmen.core.errors import ConfigError, DataError
from fulmen.data import ImageFolderData
from fulmen.data.pixels import Sight, centre
from fulmen.modules import CNNModule

# torchvision 0.29 will drop its decoders for TorchCodec:
# https://meta-pytorch.org/torchcodec/0.16/generated_examples/migration/torchvision_migration.html


def decode(path: Path, size: int, channels: int) -> torch.Tensor:
    """What a network sees of an image, ``(C, size, size)``."""
    return torch.from_numpy(centre(Sight(size, channels).read(path), size)).permute(2, 0, 1)


def write(path: Path, color: Any = (255, 0, 0), size: tuple[int, int] = (20, 16), **options: Any) -> Path:
    """An image of one colour; the ending decides the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L" if isinstance(color, int) else "RGB", size, color).save(path, **options)
    return path


def folder(root: Path, classes: dict[str, int], suffix: str = ".png") -> Path:
    for name, number in classes.items():
        for i in range(number):
            write(root / name / f"{i}{suffix}", color=(10 * i, 100, 200))
    return root


def make(root: Path, **options: Any) -> ImageFolderData:
    return ImageFolderData(str(root), **{"image_size": 8, "num_workers": 0, "batch_size": 4, **options})


def ready(root: Path, **options: Any) -> ImageFolderData:
    data = make(root, **options)
    data.setup("fit")
    return data


def names(data: ImageFolderData, split: str) -> list[str]:
    return [str(n) for n in data.identity(split, torch.arange(len(data.datasets[split])))]


def test_split_folders(tmp_path: Path) -> None:
    for split, number in (("train", 5), ("valid", 2), ("test", 3)):
        folder(tmp_path / split, {"cat": number, "ant": number})
    data = make(tmp_path)
    facts = (data.class_names, data.num_outputs, data.target_type, data.input_shape)
    assert facts == (["ant", "cat"], 1, "binary", [3, 8, 8])
    data.setup("fit")
    assert (data.class_names, data.num_outputs, data.target_type, data.input_shape) == facts
    assert {name: len(d) for name, d in data.datasets.items()} == {"train": 10, "val": 4, "test": 6}
    assert names(data, "val") == ["valid/ant/0.png", "valid/ant/1.png", "valid/cat/0.png", "valid/cat/1.png"]
    batch = next(iter(data.val_dataloader()))
    assert batch.inputs.shape == (4, 3, 8, 8)
    assert batch.inputs.dtype == torch.uint8
    assert batch.targets.tolist() == [0, 0, 1, 1]
    assert batch.index.tolist() == [0, 1, 2, 3]


def test_validation_is_taken_from_train_where_there_is_none(tmp_path: Path) -> None:
    folder(tmp_path / "train", {"a": 40, "b": 40})
    folder(tmp_path / "test", {"a": 2, "b": 2})
    data = ready(tmp_path, val_fraction=0.3)
    assert len(data.datasets["test"]) == 4
    assert len(data.datasets["train"]) + len(data.datasets["val"]) == 80
    assert 10 < len(data.datasets["val"]) < 40
    assert not set(names(data, "train")) & set(names(data, "val"))
    assert all(n.startswith("train/") for n in names(data, "val"))


def test_one_folder_is_split_by_name(tmp_path: Path) -> None:
    folder(tmp_path, {"a": 30, "b": 30, "c": 30})
    data = ready(tmp_path, val_fraction=0.2, test_fraction=0.2)
    assert (data.target_type, data.num_outputs) == ("multiclass", 3)
    before = {name: split for split in data.datasets for name in names(data, split)}
    assert len(before) == 90
    assert set(before.values()) == {"train", "val", "test"}
    write(tmp_path / "a" / "00000.png")
    write(tmp_path / "b" / "deeper" / "new.png")
    after = ready(tmp_path, val_fraction=0.2, test_fraction=0.2)
    moved = {name: split for split in after.datasets for name in names(after, split)}
    assert len(moved) == 92
    assert {name: moved[name] for name in before} == before
    assert names(ready(tmp_path, split_seed=1), "val") != names(after, "val")


def test_targets_follow_the_folders(tmp_path: Path) -> None:
    folder(tmp_path, {"a": 10, "b": 10, "c": 10})
    data = ready(tmp_path)
    for split, dataset in data.datasets.items():
        targets = dataset.targets.tolist()  # type: ignore[attr-defined]
        assert [name.split("/")[0] for name in names(data, split)] == ["abc"[t] for t in targets]


def test_class_that_training_lacks(tmp_path: Path) -> None:
    folder(tmp_path / "train", {"ant": 3, "bee": 3})
    folder(tmp_path / "val", {"ant": 1, "beee": 1})
    with pytest.raises(DataError, match=r"unknown class 'beee'; did you mean 'bee'.*training split"):
        make(tmp_path).setup("fit")


def test_empty_class_folder(tmp_path: Path) -> None:
    folder(tmp_path, {"a": 3, "b": 3})
    (tmp_path / "c").mkdir()
    with pytest.raises(DataError, match=r"class folder '.*c' holds no image \(\.bmp, \.jpeg, \.jpg"):
        make(tmp_path).setup("fit")


@pytest.mark.parametrize("classes", [{}, {"only": 2}])
def test_too_few_classes(tmp_path: Path, classes: dict[str, int]) -> None:
    folder(tmp_path, classes)
    with pytest.raises(DataError, match="at least 2 classes; found"):
        make(tmp_path)


def test_split_folders_without_train(tmp_path: Path) -> None:
    folder(tmp_path / "val", {"a": 1, "b": 1})
    with pytest.raises(DataError, match="has val but no folder 'train'"):
        make(tmp_path)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"root: there is no folder '.*gone'"):
        make(tmp_path / "gone")
    folder(tmp_path, {"a": 1, "b": 1})
    with pytest.raises(DataError, match="predict_root: there is no folder"):
        make(tmp_path, predict_root=str(tmp_path / "gone"))


def test_files_that_are_no_images(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder(tmp_path, {"a": 3, "b": 3})
    (tmp_path / "a" / "notes.txt").write_text("text")
    (tmp_path / "a" / "page.jpg").write_text("<html>not found</html>")
    write(tmp_path / "b" / "moving.gif")
    with caplog.at_level(logging.INFO, logger="lightning.pytorch.utilities.rank_zero"):
        data = ready(tmp_path, val_fraction=0.0, test_fraction=0.0)
    assert len(data.datasets["train"]) == 6
    assert "Skipped 3 file(s)" in caplog.text
    for name in ("a/notes.txt", "a/page.jpg", "b/moving.gif"):
        assert name in caplog.text
    with pytest.raises(DataError, match=r"3 files are no images that can be read: a/notes\.txt.*on_bad_file: skip"):
        ready(tmp_path, on_bad_file="error")


def test_nothing_is_said_where_nothing_is_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        ready(folder(tmp_path, {"a": 3, "b": 3}), val_fraction=0.0, test_fraction=0.0, on_bad_file="error")
    assert "Skipped" not in caplog.text


def test_endings(tmp_path: Path) -> None:
    for i, ending in enumerate((".jpg", ".JPG", ".jpeg", ".JPEG", ".png", ".PNG", ".webp", ".WebP")):
        for name in ("a", "b"):
            write(tmp_path / name / f"{i}{ending}", color=(200, 100, 50))
    data = ready(tmp_path, val_fraction=0.0, test_fraction=0.0, batch_size=16)
    (batch,) = data.train_dataloader()
    assert batch.inputs.shape == (16, 3, 8, 8)
    expected = torch.tensor([200.0, 100.0, 50.0]).expand(16, 3)
    torch.testing.assert_close(batch.inputs.float().mean((2, 3)), expected, atol=5, rtol=0)


def test_shorter_side_is_resized_and_the_centre_cut_out(tmp_path: Path) -> None:
    pixels = np.zeros((64, 128, 3), dtype=np.uint8)
    pixels[:, 32:96, 1] = 255  # the middle square is green
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    image = decode(tmp_path / "wide.png", 56, 3)
    assert image.shape == (3, 56, 56)
    assert image[1].float().mean() > 250
    assert image[0].max() == 0


@pytest.mark.parametrize("size", [(5, 5), (3, 40), (200, 7)])
def test_images_of_any_size(tmp_path: Path, size: tuple[int, int]) -> None:
    image = decode(write(tmp_path / "x.png", (9, 8, 7), size), 33, 3)
    assert image.shape == (3, 33, 33)
    assert image.float().mean((1, 2)).tolist() == [9, 8, 7]


@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp"])
def test_grey(tmp_path: Path, ending: str) -> None:
    for name in ("a", "b"):
        write(tmp_path / name / f"colour{ending}", (100, 150, 200))
        write(tmp_path / name / f"grey{ending}", 77)
    data = ready(tmp_path, channels=1, val_fraction=0.0, test_fraction=0.0)
    assert data.input_shape == [1, 8, 8]
    (batch,) = data.train_dataloader()
    assert batch.inputs.shape == (4, 1, 8, 8)
    luma = 0.299 * 100 + 0.587 * 150 + 0.114 * 200
    assert sorted(batch.inputs.float().mean((1, 2, 3)).tolist()) == pytest.approx([77, 77, luma, luma], abs=3)
    # one number a channel: the mean of ImageNet's three
    expected = (batch.inputs.float() / 255 - (0.485 + 0.456 + 0.406) / 3) / ((0.229 + 0.224 + 0.225) / 3)
    torch.testing.assert_close(data.on_after_batch_transfer(batch, 0).inputs, expected)


def test_normalization(tmp_path: Path) -> None:
    data = ready(folder(tmp_path, {"a": 3, "b": 3}), mean=[0.5, 0.4, 0.3], std=[0.1, 0.2, 0.3])
    pixels = torch.full((2, 3, 8, 8), 51, dtype=torch.uint8)
    x = data.normalize(pixels)
    torch.testing.assert_close(x[0, :, 0, 0], torch.tensor([(0.2 - 0.5) / 0.1, (0.2 - 0.4) / 0.2, (0.2 - 0.3) / 0.3]))
    assert pixels.eq(51).all()


@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_corrupt_file_is_named(tmp_path: Path, ending: str) -> None:
    folder(tmp_path, {"a": 1, "b": 1}, ending)
    path = tmp_path / "b" / f"0{ending}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    data = ready(tmp_path, val_fraction=0.0, test_fraction=0.0)
    with pytest.raises(DataError, match=rf"b/0{ending} cannot be decoded: .*; repair or remove it"):
        list(data.train_dataloader())


@pytest.mark.parametrize("channels", [1, 3])
def test_file_that_vanished_is_named(tmp_path: Path, channels: int) -> None:
    with pytest.raises(DataError, match=r"gone\.png cannot be decoded"):
        decode(tmp_path / "gone.png", 8, channels)


def test_predict_root(tmp_path: Path) -> None:
    folder(tmp_path / "data", {"a": 10, "b": 10})
    new = tmp_path / "new"
    write(new / "x.png", color=(1, 2, 3))
    write(new / "deep" / "er" / "y.JPG")
    (new / "readme.txt").write_text("no image")
    data = ready(tmp_path / "data", predict_root=str(new))
    assert data.predicted_split == "predict"
    (batch,) = data.predict_dataloader()
    assert data.identity("predict", batch.index) == ["x.png", "deep/er/y.JPG"]
    assert batch.targets is None
    assert batch.inputs[0].float().mean((1, 2)).tolist() == [1, 2, 3]


def test_predict_root_without_images(tmp_path: Path) -> None:
    """Not silently the test split."""
    folder(tmp_path / "data", {"a": 10, "b": 10})
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "readme.txt").write_text("no image")
    with pytest.raises(DataError, match=r"predict_root: '.*new' holds no image"):
        ready(tmp_path / "data", predict_root=str(tmp_path / "new"))


def test_padding(tmp_path: Path) -> None:
    data = ready(folder(tmp_path, {"a": 3, "b": 3}), val_fraction=0.0, test_fraction=0.0)
    batch = data.datasets["train"].__getitems__([2, PADDING])
    assert batch.inputs.shape == (2, 3, 8, 8)
    assert batch.index is not None
    assert batch.index.tolist() == [2, PADDING]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 0}, "image_size: 0"),
        ({"mean": [0.5, 0.5]}, r"mean: needs one number a channel \(3\)"),
        ({"std": [0.5]}, "std: needs one number a channel"),
        ({"channels": 1, "mean": [0.1, 0.2]}, "mean"),
    ],
)
def test_options_out_of_range(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    folder(tmp_path, {"a": 1, "b": 1})
    with pytest.raises(ConfigError, match=message):
        make(tmp_path, **options)


@pytest.mark.slow
def test_number_of_workers_changes_no_batch(tmp_path: Path) -> None:
    folder(tmp_path, {"a": 12, "b": 12})

    def batches(workers: int) -> list[tuple[torch.Tensor, ...]]:
        data = ready(tmp_path, num_workers=workers)
        return [tuple(b) for loader in (data.train_dataloader(), data.val_dataloader()) for b in loader]

    expected = batches(0)
    for workers in (1, 2):
        found = batches(workers)
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.slow
def test_corrupt_file_is_named_by_a_worker(tmp_path: Path) -> None:
    folder(tmp_path, {"a": 2, "b": 2})
    path = tmp_path / "b" / "0.png"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"b/0\.png cannot be decoded"):
        list(ready(tmp_path, num_workers=1, val_fraction=0.0, test_fraction=0.0).train_dataloader())


@pytest.mark.parametrize("precision", ["64-true", "bf16-true", "bf16-mixed"])
def test_images_train_in_every_precision(tmp_path: Path, precision: Any) -> None:
    """What is loaded are bytes, which Lightning does not convert: they get their precision when they are normalized."""
    data = make(folder(tmp_path, {"a": 20, "b": 20}), image_size=16, batch_size=8, num_workers=0)
    facts = {name: getattr(data, name) for name in ("input_shape", "num_outputs", "class_names", "target_type")}
    module = CNNModule([4], **facts)
    trainer = Trainer(
        max_epochs=1,
        precision=precision,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    trainer.fit(module, datamodule=data)
    trained = torch.float32 if "mixed" in precision else module.dtype
    assert trained == {"64-true": torch.float64, "bf16-true": torch.bfloat16}.get(precision, torch.float32)
    assert torch.isfinite(trainer.callback_metrics["val/loss"])
