"""What a look at an image file gives: whether it decodes, its size, and a thumbnail to compare it by."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fulmen.core.errors import DataError
from fulmen.data.pixels import read_image

SIDE = 16
"""Side of the thumbnails, in pixels."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What was seen of the contents of one image file.

    Attributes:
        error: Why it cannot be decoded; empty if it can.
        width: In pixels, as it is stored; 0 if it is not known.
        height: In pixels, as it is stored; 0 if it is not known.
        thumbnail: ``SIDE * SIDE`` grey values in [0, 255], row by row; empty if it cannot be decoded.
    """

    error: str
    width: int = 0
    height: int = 0
    thumbnail: bytes = b""


Seen = tuple[bytes, Picture]
"""Digest of a file's contents (empty if it cannot be read), and what was seen of it."""


def digest(contents: bytes) -> bytes:
    """What files with the same contents have in common."""
    return blake2b(contents, digest_size=16).digest()


def look(contents: bytes) -> Picture:
    """Decodes an image to the end, as training does: what is an error there is one here.

    Args:
        contents: Of a file.
    """
    from PIL import Image

    if not contents:
        return Picture("the file is empty (0 bytes)")
    width = height = 0
    try:
        with Image.open(io.BytesIO(contents)) as head:
            width, height = head.size
        grey = read_image(Path(), 4 * SIDE, 1, contents)
    except (Exception, Image.DecompressionBombError) as error:  # broken files make Pillow raise nearly anything
        cause = error.__cause__ if isinstance(error, DataError) and error.__cause__ else error
        reason = (str(cause).splitlines() or [type(cause).__name__])[0]
        return Picture(reason.partition(" <_io")[0], width, height)
    small = Image.fromarray(grey[..., 0]).resize((SIDE, SIDE), Image.Resampling.BOX)
    return Picture("", width, height, small.tobytes())


def look_at(paths: Sequence[str], known: Callable[[bytes], Picture | None] = lambda digest: None) -> list[Seen]:
    """Reads and decodes files, several at once: Pillow lets other threads run while it decodes.

    Args:
        paths: The files.
        known: What was seen before of contents with this digest, if anything was.

    Returns:
        What was seen, file by file.
    """

    def one(path: str) -> Seen:
        try:
            with open(path, "rb") as file:
                contents = file.read()
        except OSError as error:
            return b"", Picture(error.strerror or str(error))
        name = digest(contents)
        return name, known(name) or look(contents)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of what is found here: bombs, metadata that are cut off
        with ThreadPoolExecutor() as pool:
            return list(pool.map(one, paths))


def thumbnails(pictures: Sequence[Picture]) -> NDArray[np.uint8]:
    """The thumbnails ``(N, SIDE, SIDE)``; zeros where there is none."""
    blank = bytes(SIDE * SIDE)
    data = b"".join(picture.thumbnail or blank for picture in pictures)
    return np.frombuffer(data, np.uint8).reshape(-1, SIDE, SIDE)
