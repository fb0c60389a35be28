"""Sheets of images: in columns, or in a grid with captions."""

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
_LARGE = 196
_GAP = 8
_HEAD = 44
_TITLE, _NOTE = 15, 12
_LINE = 16
_ELLIPSIS = "..."


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


@dataclass(frozen=True)
class Cell:
    """A sample on a sheet.

    Attributes:
        images: Pictures side by side, each ``(C, H, W)``, uint8 or floats in [0, 1].
        lines: What stands below, and in which colour. Long lines lose their beginning, as paths end in what matters.
    """

    images: Sequence[Tensor]
    lines: Sequence[tuple[str, str]]


def draw(columns: Sequence[Column], path: Path) -> None:
    """Draws columns of images side by side.

    Args:
        columns: From left to right, all of the same number of images.
        path: File to write, .png or .jpg.

    Raises:
        ConfigError: If the file cannot be written.
    """
    from PIL import Image, ImageDraw

    rows = len(columns[0].images)
    cells = [[_picture(image, _CELL) for image in column.images] for column in columns]
    height = max(cell.height for column in cells for cell in column)
    fonts = _fonts()
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
    _save(sheet, path)


def draw_cells(title: str, cells: Sequence[Cell], across: int, path: Path) -> None:
    """Draws samples with captions in a grid, row by row.

    Args:
        title: Stands above them.
        cells: At least one, all with as many pictures and lines.
        across: How many stand in a row.
        path: File to write, .png or .jpg.

    Raises:
        ConfigError: If the file cannot be written.
    """
    from PIL import Image, ImageDraw

    side = _CELL if max(cells[0].images[0].shape[1:]) < _CELL else _LARGE
    pictures = [[_picture(image, side) for image in cell.images] for cell in cells]
    width = len(pictures[0]) * side + (len(pictures[0]) - 1) * (_GAP // 2)
    height = max(p.height for row in pictures for p in row)
    step = (width + 2 * _GAP, height + _LINE * len(cells[0].lines) + 2 * _GAP)
    across = min(across, len(cells))
    large, small = _fonts()
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    total = max(across * step[0], round(pen.textlength(title, large)) + 2 * _GAP)
    sheet = Image.new("RGB", (total, _HEAD + step[1] * -(-len(cells) // across)), "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((_GAP, _GAP + 2), title, "black", large)
    for number, (cell, shown) in enumerate(zip(cells, pictures, strict=True)):
        left, top = _GAP + number % across * step[0], _HEAD + number // across * step[1]
        for i, picture in enumerate(shown):
            sheet.paste(picture, (left + i * (side + _GAP // 2), top))
        for i, (text, colour) in enumerate(cell.lines):
            pen.text((left, top + height + 4 + i * _LINE), _fitting(text, width, pen, small), colour, small)
    _save(sheet, path)


def _fitting(text: str, width: int, pen: Any, font: Any) -> str:
    """The end of a text that is not wider than this."""
    if pen.textlength(text, font) <= width:
        return text
    while text and pen.textlength(_ELLIPSIS + text, font) > width:
        text = text[1:]
    return _ELLIPSIS + text


def _fonts() -> tuple[Any, Any]:
    from PIL import ImageFont

    return ImageFont.load_default(_TITLE), ImageFont.load_default(_NOTE)


def _save(sheet: Any, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"out: {str(path)!r} cannot be written ({error}); give a file such as sheet.png") from error


def _picture(image: Any, side: int) -> Any:
    """An image ``(C, H, W)`` for the sheet: small ones enlarged so that pixels show, large ones reduced."""
    from PIL import Image

    pixels = image if image.dtype.is_floating_point is False else (image * 255).round()
    array = np.moveaxis(pixels.clamp(0, 255).byte().numpy(), 0, -1)
    array = array[..., :3] if array.shape[-1] >= 3 else array[..., 0]  # the first three of more channels
    picture = Image.fromarray(np.ascontiguousarray(array)).convert("RGB")
    factor = side / picture.width
    how = Image.Resampling.NEAREST if factor > 1 else Image.Resampling.LANCZOS
    return picture.resize((side, max(1, round(picture.height * factor))), how)
