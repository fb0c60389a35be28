"""Image files in folders: found by one scan, and held in a few bytes each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from fulmen.core.errors import DataError

ENDINGS = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class Paths(Sequence[Path]):
    """Paths below a folder, in one block of bytes: a million take 40 MB, where ``Path`` objects take 300.

    Workers that are forked share the block; a list of objects would be copied page by page as it is read.

    Args:
        root: The folder.
        names: Paths from there, with ``/``. One that is absolute stays as it is.

    >>> [path.as_posix() for path in Paths(Path("pets"), ["cat/1.jpg", "dog/1.jpg"])]
    ['pets/cat/1.jpg', 'pets/dog/1.jpg']
    """

    def __init__(self, root: Path, names: Iterable[str] = ()) -> None:
        self.root = root
        block, ends = bytearray(), [0]
        for name in names:
            block += os.fsencode(name)
            ends.append(len(block))
        self._block, self._ends = np.frombuffer(bytes(block), np.uint8), np.array(ends, np.int64)
        self.rows: NDArray[np.int64] | None = None

    def select(self, rows: NDArray[np.int64]) -> Paths:
        """Some of them, in this order; the block is shared."""
        made = Paths.__new__(Paths)
        made.root, made._block, made._ends = self.root, self._block, self._ends
        made.rows = rows if self.rows is None else self.rows[rows]
        return made

    def __len__(self) -> int:
        return len(self._ends) - 1 if self.rows is None else len(self.rows)

    def relative(self, row: int) -> str:
        """The path from the folder, as the file system has it."""
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row} of {len(self)} paths")
        row = row % len(self) if self.rows is None else int(self.rows[row])
        return os.fsdecode(self._block[self._ends[row] : self._ends[row + 1]].tobytes())

    def name(self, row: int) -> str:
        r"""The same as text that can be written anywhere: what is no UTF-8 in it appears as ``\udcff``."""
        return self.relative(row).encode("utf-8", "backslashreplace").decode()

    @overload
    def __getitem__(self, row: int) -> Path: ...
    @overload
    def __getitem__(self, row: slice) -> Paths: ...
    def __getitem__(self, row: int | slice) -> Path | Paths:
        if isinstance(row, slice):
            return self.select(np.arange(len(self))[row])
        return self.root / self.relative(row)

    def names(self) -> Names:
        """What :meth:`name` gives for each."""
        return Names(self)


class Names(Sequence[str]):
    """Paths as text, made when they are asked for.

    Args:
        paths: The paths.
    """

    def __init__(self, paths: Paths) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: Any) -> Any:
        return Names(self.paths[row]) if isinstance(row, slice) else self.paths.name(int(row))


def scan(root: Path, folder: str = "") -> Iterator[str]:
    """Files at any depth, sorted folder by folder, as paths from ``root`` with ``/``; linked folders are followed.

    Hidden files and folders (``.DS_Store``, ``._1.jpg``) are passed over.

    Args:
        root: The folder that paths are relative to.
        folder: Where to look, below it.

    Raises:
        DataError: If a folder cannot be read.
    """

    def stop(error: OSError) -> None:
        raise DataError(f"{error.filename!r} cannot be read: {error.strerror}") from error

    seen: set[str] = set()
    for place, folders, files in os.walk(root / folder, onerror=stop, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = [] if real in seen else sorted(name for name in folders if not name.startswith("."))
        if real in seen:  # a link to a folder above it, or to one that was here before
            continue
        seen.add(real)
        inner = os.path.relpath(place, root).replace(os.sep, "/")
        files.sort()
        yield from (name if inner == "." else f"{inner}/{name}" for name in files if not name.startswith("."))


def is_image(path: str | Path) -> bool:
    """Whether a file has an ending and a first few bytes of JPEG, PNG, WebP, BMP or TIFF.

    Opening a million files took 11 seconds on a local disk; what is no image is then said before training.
    """
    if not os.fspath(path).lower().endswith(ENDINGS):
        return False
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except OSError:
        return False
    try:
        head = os.read(file, 12)
    except OSError:  # a folder
        return False
    finally:
        os.close(file)
    return head.startswith(_SIGNATURES) or (head.startswith(b"RIFF") and head[8:] == b"WEBP")
