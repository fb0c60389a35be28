"""Decoded images that are kept: in memory for a run, or on disk for all runs.

Both hold whole images, resized once, as uint8, so that every augmentation still sees what it would see without a
cache, bit by bit. They are filled as images are first asked for, by whichever worker process decodes them, and
shared by all workers, forked or spawned. The disk is shared by all processes and runs of a user; memory by
one process and its workers.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from abc import ABC, abstractmethod
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_info
from numpy.lib import format as npy
from numpy.typing import NDArray
from torch import Tensor

from fulmen.core.errors import ConfigError, DataError
from fulmen.data import cache
from fulmen.data.image_paths import Paths
from fulmen.data.pixels import Pixels, Sight, size

CacheKind = Literal["ram", "disk"]
_FORMAT = 1
"""Raised when :func:`fulmen.data.pixels.read_image` changes what it gives."""
_LOOKED_AT, _HASH = 1000, 16


class Cache(ABC):
    """Keeps decoded images.

    Args:
        paths: All files that may be asked for, of every split.
        rows: Which of them are kept, in order.
        sight: How they are made ready.
    """

    def __init__(self, paths: Paths, rows: NDArray[np.int64], sight: Sight) -> None:
        self.sight = sight
        self.slots = np.full(len(paths), -1)
        self.slots[rows] = np.arange(len(rows))
        self.open(paths.select(rows))

    @abstractmethod
    def open(self, paths: Paths) -> None:
        """Says how much will be kept, and makes room for it."""

    @abstractmethod
    def keep(self, path: Path, slot: int) -> Pixels:
        """An image, from the cache or else into it."""

    def read(self, paths: Paths, row: int) -> Pixels:
        """An image ``(h, w, channels)`` that the caller may change.

        Args:
            paths: Some of the paths (see :meth:`Paths.select`) that the cache was made for.
            row: Which of them.

        Raises:
            DataError: If it cannot be decoded, or not be kept.
        """
        slot = self.slots[paths.rows[row] if paths.rows is not None else row]
        if slot < 0:
            return self.sight.read(paths[row])
        return self.keep(paths[row], int(slot))


class MemoryCache(Cache):
    """Keeps images in one block of shared memory, which vanishes with the processes that use it."""

    def open(self, paths: Paths) -> None:
        """Reads the size of each image from its head, 15,000 a second, and takes the memory.

        Raises:
            DataError: If there is too little.
        """
        self.shapes = np.array([size(path, self.sight.shorter) for path in paths], np.int64).reshape(-1, 2)
        self.ends = np.cumsum(self.shapes.prod(1) * self.sight.channels)
        need = int(self.ends[-1]) if len(paths) else 0
        rank_zero_info(f"cache: {len(paths)} images, {amount(need)} in memory")
        free = free_memory()
        if free is not None and need > free:
            raise DataError(f"cache: ram needs {amount(need)} of memory, {amount(free)} are free; write cache: disk")
        self.pixels, self.filled = _shared(need), _shared(len(paths))

    def keep(self, path: Path, slot: int) -> Pixels:
        """A copy of what is kept."""
        shape = (*self.shapes[slot].tolist(), self.sight.channels)
        end = int(self.ends[slot])
        kept = self.pixels[end - int(np.prod(shape)) : end].numpy().reshape(shape)
        if self.filled[slot]:
            return kept.copy()
        image = self.sight.read(path)
        if image.shape != shape:
            raise DataError(f"{path} has changed since the run began; start again")
        kept[:] = image
        self.filled[slot] = 1
        return image


class DiskCache(Cache):
    """Keeps each image in a ``.npy`` file of its own, named by a hash of the image file's content.

    A changed file has another hash, so that no run reads what an earlier file held: each run hashes each file once.
    Files are written under another name and then renamed: several processes may fill the cache at once, and
    one that is killed leaves none half written.
    """

    def open(self, paths: Paths) -> None:
        """Looks at some images' sizes, and whether the folder can be written to.

        Raises:
            DataError: If it cannot.
        """
        self.folder = cache.folder() / "images" / _version(self.sight)
        looked_at = np.unique(np.linspace(0, len(paths) - 1, min(len(paths), _LOOKED_AT)).astype(np.int64))
        sizes = [np.prod(size(path, self.sight.shorter)) * self.sight.channels for path in paths.select(looked_at)]
        need = int(np.mean(sizes) * len(paths)) if sizes else 0
        about = "about " if len(paths) > len(looked_at) else ""
        rank_zero_info(f"cache: {len(paths)} images, {about}{amount(need)} in {self.folder}")
        self.hashes, self.known = _shared(len(paths) * _HASH).view(-1, _HASH), _shared(len(paths))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.folder).close()
        except OSError as error:
            raise self._unwritable(error) from error

    def keep(self, path: Path, slot: int) -> Pixels:
        """What is kept, mapped into memory; changes stay with the caller."""
        if self.known[slot]:
            kept = self._load(self.hashes[slot].numpy().tobytes())
            if kept is not None:
                return kept
        content = _content(path)
        name = blake2b(content, digest_size=_HASH).digest()
        self.hashes[slot] = torch.frombuffer(bytearray(name), dtype=torch.uint8)
        self.known[slot] = 1
        kept = self._load(name)
        if kept is None:
            kept = self.sight.read(path, content)
            self._write(self._file(name), kept)
        return kept

    def _file(self, name: bytes) -> Path:
        return self.folder / name[:1].hex() / f"{name[1:].hex()}.npy"

    def _load(self, name: bytes) -> Pixels | None:
        try:
            with open(self._file(name), "rb", buffering=0) as file:  # 3 times as fast as np.load(mmap_mode="c")
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
            npy.read_magic(mapped)
            shape = npy.read_array_header_1_0(mapped)[0]
            return np.frombuffer(mapped, np.uint8, offset=mapped.tell()).reshape(shape)
        except (OSError, ValueError, EOFError):  # not there yet, or cut off when the machine went down
            return None

    def _write(self, file: Path, image: Pixels) -> None:
        temporary = None
        try:
            file.parent.mkdir(exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".part", delete=False) as out:
                temporary = out.name
                np.save(out, image)
            os.replace(temporary, file)
        except OSError as error:
            if temporary is not None:
                Path(temporary).unlink(missing_ok=True)
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> DataError:
        return DataError(
            f"cache: {self.folder} cannot be written to: {error.strerror}; make room, name another folder in the "
            "environment variable FULMEN_CACHE, or write cache: null"
        )


CACHES: dict[str, type[Cache]] = {"ram": MemoryCache, "disk": DiskCache}


def check_kind(kind: str | None) -> None:
    """Checks the name of a cache.

    Raises:
        ConfigError: If there is none of this name.
    """
    if kind is not None and kind not in CACHES:
        raise ConfigError(f"cache: {kind!r} is not allowed; write ram, disk or null")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; repair or remove it") from error


def _version(sight: Sight) -> str:
    """Name of a folder for images of this size, as these versions of the libraries decode them."""
    import PIL
    from PIL import features

    codecs = [features.version(name) for name in ("jpg", "libjpeg_turbo", "zlib", "webp", "libtiff")]
    made_by = [_FORMAT, PIL.__version__, *codecs, torch.__version__, torch.backends.cpu.get_cpu_capability()]
    how = "" if sight.interpolation == "bilinear" else f"-{sight.interpolation}"
    return f"{sight.shorter}px-{sight.channels}ch{how}-{blake2b(repr(made_by).encode(), digest_size=4).hexdigest()}"


def _shared(count: int) -> Tensor:
    """Zeros (as new memory is) that worker processes share, also when they are spawned."""
    try:
        storage = torch.UntypedStorage._new_shared(count)  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise DataError(
            f"cache: {amount(count)} of shared memory cannot be had ({str(error).splitlines()[0]}); enlarge it "
            "(docker run --shm-size), write cache: disk, or cache: null"
        ) from error
    return torch.empty(0, dtype=torch.uint8).set_(storage)


def free_memory() -> int | None:
    """Bytes that can be had without swapping; ``None`` where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def amount(count: int) -> str:
    """A number of bytes in words.

    >>> amount(98_304_000), amount(12_500_000_000)
    ('98.3 MB', '12.5 GB')
    """
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB"
