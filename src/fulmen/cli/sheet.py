"""A sheet of images in columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fulmen.core.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

_CELL = 144
_GAP = 8
_HEAD = 44
_TITLE, _NOTE = 15, 12


@dataclass(frozen=True)
class Column:
    """A column of a sheet.

    Attributes:
        title: Stands above it.
        note: Stands below the title, smaller.
        images: ``(N, C, H, W)``, uint8 or floats in [0, 1].
    """

    title: str
    note: str
    images: Tensor


def draw(columns: Sequence[Column], path: Path) -> None:
    """Draws columns of images side by side.

    Args:
        columns: From left to right, all of the same number of images.
        path: File to write, .png or .jpg.

    Raises:
        ConfigError: If the file cannot be written.
    """
    from PIL import Image, ImageDraw, ImageFont

    rows = len(columns[0].images)
    cells = [[_picture(image) for image in column.images] for column in columns]
    height = max(cell.height for column in cells for cell in column)
    fonts = [ImageFont.load_default(size) for size in (_TITLE, _NOTE)]
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    widths = [
        round(max([_CELL, *(pen.textlength(t, f) for t, f in zip((c.title, c.note), fonts, strict=True))]))
        for c in columns
    ]
    size = (sum(widths) + _GAP * (len(columns) + 1), _HEAD + rows * (height + _GAP) + _GAP)
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    left = _GAP
    for column, pictures, width in zip(columns, cells, widths, strict=True):
        pen.text((left, _GAP), column.title, "black", fonts[0])
        pen.text((left, _GAP + _TITLE + 3), column.note, "gray", fonts[1])
        for row, picture in enumerate(pictures):
            sheet.paste(picture, (left, _HEAD + row * (height + _GAP)))
        left += width + _GAP
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"out: {str(path)!r} cannot be written ({error}); give a file such as sheet.png") from error


def _picture(image: Any) -> Any:
    """An image ``(C, H, W)`` for the sheet: small ones enlarged so that pixels show, large ones reduced."""
    from PIL import Image

    pixels = image if image.dtype.is_floating_point is False else (image * 255).round()
    array = np.moveaxis(pixels.clamp(0, 255).byte().numpy(), 0, -1)
    array = array[..., :3] if array.shape[-1] >= 3 else array[..., 0]  # the first three of more channels
    picture = Image.fromarray(np.ascontiguousarray(array)).convert("RGB")
    factor = _CELL / picture.width
    how = Image.Resampling.NEAREST if factor > 1 else Image.Resampling.LANCZOS
    return picture.resize((_CELL, max(1, round(picture.height * factor))), how)
