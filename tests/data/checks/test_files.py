"""Image files with defects: each is found, where it is, and nothing else."""

from __future__ import annotations

import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data.checks.conftest import by_check, photo, save

from fulmen.data import ImageFolderData, ImageTableData
from fulmen.data.checks import files
from fulmen.data.findings import Finding

REAL = Path(__file__).parents[4] / "shared" / "data"


def check(root: Path, image_size: int = 64) -> dict[str, Finding]:
    return by_check(ImageFolderData(str(root), image_size=image_size, num_workers=0).check())


def test_clean_images_give_nothing(pets: Path) -> None:
    assert check(pets) == {}


def truncated(root: Path) -> None:
    path = root / "train/cat/3.jpg"
    path.write_bytes(path.read_bytes()[:-600])


def broken_png(root: Path) -> None:
    path = save(photo(900), root / "train/cat/3.png")
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 0xFF  # its checksum no longer holds
    path.write_bytes(bytes(contents))


def bomb(root: Path) -> None:
    path = save(photo(900), root / "train/cat/3.png")
    contents = bytearray(path.read_bytes())
    contents[16:24] = struct.pack(">II", 20_000, 20_000)  # width and height in the header, and its checksum
    contents[29:33] = struct.pack(">I", zlib.crc32(contents[12:29]))
    path.write_bytes(bytes(contents))


@pytest.mark.parametrize(
    ("spoil", "name", "reason"),
    [
        (truncated, "train/cat/3.jpg", "truncated"),
        (broken_png, "train/cat/3.png", "broken"),
        (bomb, "train/cat/3.png", "decompression bomb"),
    ],
)
def test_what_cannot_be_decoded_is_an_error(pets: Path, spoil: Callable[[Path], None], name: str, reason: str) -> None:
    spoil(pets)
    found = check(pets)
    assert found.keys() == {"corrupt_files"}
    broken = found["corrupt_files"]
    assert (broken.severity, broken.count) == ("error", 1)
    assert broken.where[0].startswith(f"{name}: ")
    assert reason in broken.where[0]


def test_files_that_are_passed_over_are_named(pets: Path) -> None:
    (pets / "train/cat/notes.txt").write_text("no image")
    (pets / "val/dog/empty.jpg").write_bytes(b"")
    skipped = check(pets)["skipped_files"]
    assert (skipped.severity, skipped.count) == ("note", 2)
    assert set(skipped.where) == {"train/cat/notes.txt", "val/dog/empty.jpg"}


def test_exact_copies(pets: Path) -> None:
    shutil.copy(pets / "train/cat/0.jpg", pets / "train/cat/copy.jpg")
    shutil.copy(pets / "train/cat/1.jpg", pets / "val/cat/leaked.jpg")
    shutil.copy(pets / "train/cat/2.jpg", pets / "train/dog/disputed.jpg")
    found = check(pets)
    assert found.keys() == {"duplicates", "leak", "two_labels"}
    assert found["leak"].where == ("val/cat/leaked.jpg = train/cat/1.jpg",)
    assert found["leak"].severity == "warning"
    assert "1 of 13 validation images (7.7%) repeats training images" in found["leak"].what
    assert found["two_labels"].where == ("train/dog/disputed.jpg (dog) = train/cat/2.jpg (cat)",)
    assert found["duplicates"].where == (
        "train/cat/copy.jpg = train/cat/0.jpg",
        "train/dog/disputed.jpg = train/cat/2.jpg",
    )


def test_a_split_that_is_mostly_a_copy_of_training_is_an_error(pets: Path) -> None:
    for name in ("cat", "dog"):
        shutil.rmtree(pets / "val" / name)
        shutil.copytree(pets / "train" / name, pets / "val" / name)
    leak = check(pets)["leak"]
    assert (leak.severity, leak.count) == ("error", 24)


def smaller(image: Image.Image) -> Image.Image:
    return image.resize((image.width * 3 // 4, image.height * 3 // 4))


def brighter(image: Image.Image) -> Image.Image:
    return image.point(lambda value: value * 0.9 + 20)


@pytest.mark.parametrize(
    "change", [smaller, brighter, lambda image: image], ids=["smaller", "brighter", "recompressed"]
)
def test_near_copies(pets: Path, change: Callable[[Image.Image], Image.Image]) -> None:
    with Image.open(pets / "train/dog/5.jpg") as image:
        save(change(image.resize((192, 160))), pets / "test/dog/again.jpg", quality=60)
    found = check(pets)
    assert found.keys() == {"near_leak"}
    assert found["near_leak"].where == ("test/dog/again.jpg = train/dog/5.jpg",)


def test_sizes(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(photo(901, 30, 40), pets / "train/cat/tiny.jpg")
    monkeypatch.setattr(files, "HUGE", 250 * 250)
    save(photo(902, 400, 300), pets / "train/cat/huge.jpg")
    found = check(pets)
    assert found.keys() == {"small_images", "huge_images"}
    assert found["small_images"].where == ("train/cat/tiny.jpg (30 x 40)",)
    assert found["huge_images"].where == ("train/cat/huge.jpg (400 x 300)",)


def test_images_of_one_colour(pets: Path) -> None:
    save(Image.new("RGB", (80, 80), "black"), pets / "train/cat/black.png")
    save(Image.new("RGB", (80, 90), "white"), pets / "val/cat/white.png")
    found = check(pets)
    assert found.keys() == {"blank_images"}  # and no near duplicates of each other
    assert found["blank_images"].where == ("train/cat/black.png", "val/cat/white.png")


def test_digits_as_small_images_are_no_near_copies(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    for i, (image, target) in enumerate(zip(digits.images[:300], digits.target[:300], strict=True)):
        small = Image.fromarray((image * 15).astype(np.uint8))
        save(small.resize((28, 28), Image.Resampling.BICUBIC), tmp_path / "digits" / str(target) / f"{i}.png")
    assert check(tmp_path / "digits", image_size=28) == {}


def test_bmp_and_16_bits_and_palettes_decode(pets: Path) -> None:
    save(photo(903), pets / "train/cat/a.bmp")
    deep = np.asarray(photo(904).convert("L"), dtype=np.uint16) * 257
    save(Image.fromarray(deep), pets / "train/cat/b.png")
    save(photo(905).quantize(), pets / "train/cat/c.png")
    assert check(pets) == {}


@pytest.mark.skipif(not (REAL / "hymenoptera").is_dir(), reason="the real images are not there")
def test_ants_and_bees() -> None:
    found = check(REAL / "hymenoptera" / "hymenoptera_data", image_size=224)
    assert found.keys() == {"skipped_files"}
    assert found["skipped_files"].where == ("train/ants/imageNotFound.gif",)


@pytest.mark.skipif(not (REAL / "bccd").is_dir(), reason="the real images are not there")
def test_two_real_pictures_of_one_smear(tmp_path: Path) -> None:
    images = sorted((REAL / "bccd").rglob("*.jpg"))[:60]
    for i, path in enumerate(images):
        (tmp_path / "cells" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        (tmp_path / "cells" / "ab"[i % 2] / path.name).symlink_to(path)
    found = check(tmp_path / "cells")
    near = [place for name in found.keys() & {"near_leak", "near_duplicates"} for place in found[name].where]
    assert len(near) == 1
    assert "BloodImage_00037" in near[0]
    assert "BloodImage_00038" in near[0]


def test_images_of_a_table(pets: Path) -> None:
    rows = [f"train/{name}/{i}.jpg,{name}" for name in ("cat", "dog") for i in range(12)]
    (pets / "pets.csv").write_text("\n".join(["path,label", *rows, "train/cat/3.jpg,dog"]))
    table = pets / "pets.csv"
    data = ImageTableData(str(table), image_size=64, val_fraction=0, test_fraction=0, num_workers=0)
    found = by_check(data.check())
    assert found.keys() == {"duplicates", "two_labels"}
    assert found["duplicates"].where == ("train/cat/3.jpg, listed twice",)
    assert found["two_labels"].where == ("train/cat/3.jpg (dog) = train/cat/3.jpg (cat)",)
