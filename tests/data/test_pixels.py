"""Image files of every kind to pixels, against what was written or what Pillow gives."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from fulmen.core.errors import DataError
from fulmen.data.pixels import Interpolation, Pixels, centre, read_image, resize, scaled, size

RNG = np.random.default_rng(0)


def noise(height: int, width: int, channels: int = 3) -> Pixels:
    """Smooth enough that JPEG keeps it."""
    small = RNG.integers(0, 256, (height // 8 + 1, width // 8 + 1, channels), dtype=np.uint8)
    return resize(small, height, width)


def png16(path: Path, pixels: np.ndarray[Any, np.dtype[np.uint16]]) -> Path:
    """Writes a 16-bit PNG, ``(h, w)`` grey or ``(h, w, 3)`` colour; Pillow writes no colour ones."""
    height, width = pixels.shape[:2]
    kind = 2 if pixels.ndim == 3 else 0
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


@pytest.mark.parametrize("ending", [".png", ".bmp", ".tiff", ".TIF", ".PNG", ".BMP", ".webp", ".WEBP"])
@pytest.mark.parametrize("channels", [1, 3])
def test_lossless_formats_come_back_exactly(tmp_path: Path, ending: str, channels: int) -> None:
    pixels = noise(24, 32, channels)
    Image.fromarray(pixels.squeeze()).save(tmp_path / f"x{ending}", lossless=True)
    assert np.array_equal(read_image(tmp_path / f"x{ending}", 24, channels), pixels)
    if channels == 1:  # grey files have three equal colours
        assert np.array_equal(read_image(tmp_path / f"x{ending}", 24, 3), pixels.repeat(3, axis=2))


@pytest.mark.parametrize("ending", [".jpg", ".JPEG"])
def test_jpeg(tmp_path: Path, ending: str) -> None:
    pixels = noise(48, 64)
    Image.fromarray(pixels).save(tmp_path / f"x{ending}", quality=95)
    found = read_image(tmp_path / f"x{ending}", 48, 3)
    assert np.array_equal(found, np.asarray(Image.open(tmp_path / f"x{ending}")))
    assert np.abs(found.astype(int) - pixels).mean() < 6


@pytest.mark.parametrize("quality", [75, 95])
def test_cmyk_jpeg(tmp_path: Path, quality: int) -> None:
    Image.new("RGB", (32, 32), (200, 40, 90)).convert("CMYK").save(tmp_path / "x.jpg", quality=quality)
    assert read_image(tmp_path / "x.jpg", 32, 3).mean((0, 1)) == pytest.approx([200, 40, 90], abs=4)


@pytest.mark.parametrize("ending", [".png", ".tiff"])
@pytest.mark.parametrize("mode", ["I;16", "I;16B"])
def test_16_bit_grey_is_scaled(tmp_path: Path, ending: str, mode: str) -> None:
    values = np.array([[0, 128, 257, 30_000], [65_535, 65_278, 1000, 20_000]], np.uint16)
    image = Image.fromarray(values)
    if mode == "I;16B":
        image = Image.frombytes("I;16B", image.size, values.astype(">u2").tobytes())
    image.save(tmp_path / f"x{ending}")
    found = read_image(tmp_path / f"x{ending}", 2, 1)[..., 0]
    assert np.array_equal(found, np.rint(values / 65_535 * 255).astype(np.uint8))


def test_16_bit_colour_is_scaled(tmp_path: Path) -> None:
    values = RNG.integers(0, 65_536, (4, 6, 3)).astype(np.uint16)
    found = read_image(png16(tmp_path / "x.png", values), 4, 3)
    assert np.abs(found - values / 257).max() <= 1
    grey = png16(tmp_path / "grey.png", values[..., 0])
    assert np.abs(read_image(grey, 4, 1)[..., 0] - values[..., 0] / 257).max() <= 0.5


def test_float_tiff_is_in_0_to_1(tmp_path: Path) -> None:
    values = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    Image.fromarray(values).save(tmp_path / "x.tiff")
    assert np.array_equal(read_image(tmp_path / "x.tiff", 3, 1)[..., 0], np.rint(values * 255))
    Image.fromarray(values * 300).save(tmp_path / "y.tiff")
    with pytest.raises(DataError, match=r"y\.tiff cannot be decoded: its values go from 0 to 300, and 0 to 1 is"):
        read_image(tmp_path / "y.tiff", 3, 1)


def test_32_bit_values_that_16_cannot_hold(tmp_path: Path) -> None:
    Image.fromarray(np.array([[1, 70_000]], np.int32)).save(tmp_path / "x.tiff")
    with pytest.raises(DataError, match="its values go from 1 to 70000, and 0 to 65535 is what its I pixels may hold"):
        read_image(tmp_path / "x.tiff", 1, 1)


@pytest.mark.parametrize("ending", [".png", ".webp", ".tiff"])
def test_transparent_pixels_lie_on_white(tmp_path: Path, ending: str) -> None:
    pixels = np.zeros((2, 4, 4), np.uint8)
    pixels[:, 0], pixels[:, 1], pixels[:, 2], pixels[:, 3] = (
        (9, 9, 9, 0),
        (80, 0, 0, 255),
        (0, 0, 0, 51),
        (0, 0, 0, 255),
    )
    Image.fromarray(pixels).save(tmp_path / f"x{ending}", lossless=True, exact=True)
    found = read_image(tmp_path / f"x{ending}", 2, 3)
    assert found[0].tolist() == [[255, 255, 255], [80, 0, 0], [204, 204, 204], [0, 0, 0]]
    assert read_image(tmp_path / f"x{ending}", 2, 1)[0, :, 0].tolist() == [255, 24, 204, 0]


def test_grey_with_alpha(tmp_path: Path) -> None:
    Image.fromarray(np.array([[[7, 0], [7, 255]]], np.uint8), mode=None).save(tmp_path / "x.png")
    assert read_image(tmp_path / "x.png", 1, 1)[0, :, 0].tolist() == [255, 7]


def test_palettes(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([0, 1])
    image.save(tmp_path / "opaque.png")
    assert read_image(tmp_path / "opaque.png", 1, 3)[0].tolist() == [[10, 20, 30], [200, 100, 50]]
    image.save(tmp_path / "clear.png", transparency=0)
    assert read_image(tmp_path / "clear.png", 1, 3)[0].tolist() == [[255, 255, 255], [200, 100, 50]]
    image.save(tmp_path / "half.png", transparency=b"\x00\x80")
    assert read_image(tmp_path / "half.png", 1, 3)[0].tolist() == [[255, 255, 255], [227, 177, 152]]


def test_one_bit(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "x.png")
    assert read_image(tmp_path / "x.png", 1, 3)[0].tolist() == [[255] * 3, [0] * 3]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp", ".tiff"])
def test_exif_orientation(tmp_path: Path, ending: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(noise(40, 64))
    path = tmp_path / f"x{ending}"
    image.save(path, exif=exif, lossless=True)
    with Image.open(path) as file:
        expected = np.asarray(ImageOps.exif_transpose(file).convert("RGB"))
    assert expected.shape[:2] == ((40, 64) if orientation < 5 else (64, 40))
    assert np.array_equal(read_image(path, 40, 3), expected)
    for shorter in (7, 10, 97):  # large JPEGs are decoded at a fraction
        assert read_image(path, shorter, 3).shape[:2] == size(path, shorter) == scaled(*expected.shape[:2], shorter)


@pytest.mark.parametrize(("shape", "shorter"), [((501, 333), 41), ((333, 501), 80), ((50, 60), 90), ((64, 64), 64)])
@pytest.mark.parametrize("ending", [".png", ".jpg"])
@pytest.mark.parametrize("how", ["bilinear", "bicubic"])
def test_resized_as_pillow_does(
    tmp_path: Path, shape: tuple[int, int], shorter: int, ending: str, how: Interpolation
) -> None:
    pixels = noise(*shape)
    path = tmp_path / f"x{ending}"
    Image.fromarray(pixels).save(path, quality=95)
    found = read_image(path, shorter, 3, interpolation=how)
    height, width = scaled(*shape, shorter)
    assert min(height, width) == shorter
    assert height / width == pytest.approx(shape[0] / shape[1], rel=0.02)
    with Image.open(path) as file:
        file.draft("RGB", (shorter, shorter))
        expected = np.asarray(file.resize((width, height), Image.Resampling[how.upper()]))
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_content_that_was_read_already(tmp_path: Path) -> None:
    Image.fromarray(noise(16, 16)).save(tmp_path / "x.png")
    content = (tmp_path / "x.png").read_bytes()
    assert np.array_equal(read_image(tmp_path / "x.png", 9, 3), read_image(tmp_path / "gone.png", 9, 3, content))


@pytest.mark.parametrize("shape", [(8, 8, 3), (30, 9, 1), (3, 40, 3)])
def test_centre(shape: tuple[int, int, int]) -> None:
    image = noise(*shape)
    found = centre(image, 8)
    assert found.shape == (8, 8, shape[2])
    if min(shape[:2]) >= 8:
        top, left = (shape[0] - 8) // 2, (shape[1] - 8) // 2
        assert np.array_equal(found, image[top : top + 8, left : left + 8])


@pytest.mark.parametrize("ending", [".jpg", ".png", ".bmp", ".webp", ".tiff"])
@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 0.9])
def test_truncated_files_are_named(tmp_path: Path, ending: str, share: float) -> None:
    path = tmp_path / f"x{ending}"
    Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(DataError, match=rf"x{ending} cannot be decoded: .+; repair or remove it"):
        read_image(path, 32, 3)


@pytest.mark.parametrize("ending", [".png", ".tiff", ".webp"])
def test_corrupt_files_are_named(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"x{ending}"
    Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path, compression="tiff_lzw")
    content = bytearray(path.read_bytes())
    content[len(content) // 3 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 3)
    path.write_bytes(content)
    if ending == ".webp":  # its codec does not notice that there are zeros
        content[:20] = bytes(20)
        path.write_bytes(content)
    with pytest.raises(DataError, match=rf"x{ending} cannot be decoded"):
        read_image(path, 32, 3)


def test_too_many_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (64, 64)).save(tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DataError, match=r"x\.png is too large: .*4096 pixels.*; make it smaller, or remove it"):
        read_image(tmp_path / "x.png", 32, 3)
