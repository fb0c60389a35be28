"""Image files to pixels: upright, 8 bits a channel, the shorter side resized."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from fulmen.core.errors import DataError

Pixels = NDArray[np.uint8]
Interpolation = Literal["bilinear", "bicubic"]
CENTRE = 0.875
"""Share of the shorter side that the network sees, as in ImageNet's usual evaluation (224 of 256 pixels)."""
_ORIENTATION, _BITS = 0x0112, 258  # tags of EXIF and of TIFF


class Sight(NamedTuple):
    """How images are made ready for a network.

    Attributes:
        size: Side of the square that is cut out, in pixels.
        channels: 3 for colour, 1 for grey.
        crop: Share of the shorter side that the square has.
        interpolation: ``bilinear`` or ``bicubic``.
    """

    size: int
    channels: int
    crop: float = CENTRE
    interpolation: Interpolation = "bilinear"

    @property
    def shorter(self) -> int:
        """Length of a whole image's shorter side, of which the network sees ``size`` pixels.

        >>> Sight(224, 3).shorter
        256
        """
        return round(self.size / self.crop)

    def read(self, path: Path, content: bytes | None = None) -> Pixels:
        """A whole image ``(h, w, channels)``, resized to this shorter side; see :func:`read_image`."""
        return read_image(path, self.shorter, self.channels, content, self.interpolation)


def read_image(
    path: Path, shorter: int, channels: int, content: bytes | None = None, interpolation: Interpolation = "bilinear"
) -> Pixels:
    """Reads a whole image and resizes its shorter side.

    A rotation noted in EXIF is applied. Transparent pixels lie on white, as in a viewer: what a file keeps beneath
    them is arbitrary, and often black. Grey values of 16 bits are divided by 257, so that 65535 becomes 255; of 16
    bits a colour, Pillow keeps the upper 8. Floats must be in [0, 1]. Of several pictures in a file, the first is read.

    Large JPEGs are decoded at 1/2, 1/4 or 1/8, as long as that is not smaller than the result; the rest is torch's
    antialiased interpolation, which gives what Pillow's gives (to 1 of 255) in a third of the time.

    Args:
        path: JPEG, PNG, WebP, BMP or TIFF.
        shorter: Length of the shorter side that comes out, in pixels; the aspect ratio stays.
        channels: 3 for colour, 1 for grey.
        content: The file's bytes, where they have been read already.
        interpolation: ``bilinear`` or ``bicubic``.

    Returns:
        ``(h, w, channels)``.

    Raises:
        DataError: If the file cannot be decoded.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path if content is None else io.BytesIO(content)) as file:
            height, width = scaled(*_upright(file), shorter)
            file.draft("RGB" if channels == 3 else "L", (shorter, shorter))
            ImageOps.exif_transpose(file, in_place=True)
            array = np.array(_eight_bits(file, channels))  # a copy that may be written to
    except Image.DecompressionBombError as error:
        raise DataError(f"{path} is too large: {error}; make it smaller, or remove it") from error
    except Exception as error:  # whatever Pillow raises on a broken file: named, never hidden
        raise DataError(f"{path} cannot be decoded: {_reason(error)}; repair or remove it") from error
    return resize(array.reshape(*array.shape[:2], channels), height, width, interpolation)


def scaled(height: int, width: int, shorter: int) -> tuple[int, int]:
    """Height and width with this shorter side, and the same aspect ratio.

    >>> scaled(375, 500, 256)
    (256, 341)
    """
    factor = shorter / min(height, width)
    return max(round(height * factor), shorter), max(round(width * factor), shorter)


def size(path: Path, shorter: int) -> tuple[int, int]:
    """Height and width that :func:`read_image` will give, from the file's head alone.

    Raises:
        DataError: If the file has no readable head.
    """
    from PIL import Image

    try:
        with Image.open(path) as file:
            return scaled(*_upright(file), shorter)
    except Exception as error:  # whatever Pillow raises on a broken file: named, never hidden
        raise DataError(f"{path} cannot be decoded: {_reason(error)}; repair or remove it") from error


def resize(image: Pixels, height: int, width: int, interpolation: Interpolation = "bilinear") -> Pixels:
    """An image ``(h, w, C)`` in another size, antialiased."""
    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    writable = image if image.flags.writeable else image.copy()  # torch warns of others
    planes = torch.from_numpy(writable)[None].permute(0, 3, 1, 2)  # channels last, as torch takes it fastest
    resized = functional.interpolate(planes, (height, width), mode=interpolation, antialias=True)
    result: Pixels = resized.permute(0, 2, 3, 1).contiguous()[0].numpy()
    return result


def centre(image: Pixels, side: int) -> Pixels:
    """The centre ``(side, side, C)`` of an image ``(h, w, C)``, which is enlarged first if it is smaller."""
    height, width = image.shape[:2]
    if min(height, width) < side:
        height, width = scaled(height, width, side)
        image = resize(image, height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _upright(file: Any) -> tuple[int, int]:
    """Height and width of an opened image, turned as its EXIF data say."""
    lies = file.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    if lies and file.format == "TIFF":  # Pillow turns these itself, some versions of it only when it loads them
        file.load()
        lies = False
    width, height = file.size
    return (width, height) if lies else (height, width)


def _eight_bits(image: Any, channels: int) -> Any:
    """An image of Pillow in mode ``RGB`` or ``L``; Pillow alone cuts values above 255 off, and drops transparency."""
    from PIL import Image

    mode = "RGB" if channels == 3 else "L"
    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(_from_deep(image))
    elif image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image if image.mode == mode else image.convert(mode)


def _from_deep(image: Any) -> Pixels:
    """Grey values of more than 8 bits on the scale of 8."""
    values = np.asarray(image)
    if image.mode == "F":
        highest, values = 1, values.astype(np.float64)
    else:  # Pillow gives 12 bits of a TIFF as if they were 16
        bits = getattr(image, "tag_v2", {}).get(_BITS, (16,))[0]
        highest, values = (1 << (12 if bits == 12 else 16)) - 1, values.astype(np.int64)
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= highest):
        raise ValueError(
            f"its values go from {low:g} to {high:g}, and 0 to {highest} is what its {image.mode} pixels may hold"
        )
    scaled_values: Pixels = np.rint(values * (255 / highest)).astype(np.uint8)
    return scaled_values
