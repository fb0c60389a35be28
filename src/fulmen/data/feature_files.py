"""Features that are kept on disk, for all runs."""

from __future__ import annotations

import json
import os
import tempfile
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib import format as npy
from torch import Tensor

from fulmen.core.errors import DataError
from fulmen.data import cache
from fulmen.data.image_cache import amount, free_memory

__all__ = ["FeatureFile", "amount", "check_memory"]

_FORMAT = 1
"""Raised when features are computed in another way."""


class FeatureFile:
    """A ``.npy`` file of features in the folder of caches, named by a hash of all that they were made of.

    What was made of anything else has another name, so that no run reads features of other weights, transforms or
    samples. It is written under another name and then renamed: a process that is killed leaves none half written.

    Args:
        about: What the features are made of, in names, numbers, lists and mappings.

    Attributes:
        path: The file.
    """

    def __init__(self, about: dict[str, Any]) -> None:
        import PIL
        from PIL import features

        codecs = [features.version(name) for name in ("jpg", "libjpeg_turbo", "zlib", "webp", "libtiff")]
        made_by = [_FORMAT, torch.__version__, PIL.__version__, *codecs]
        text = json.dumps([made_by, about], sort_keys=True)
        name = blake2b(text.encode(), digest_size=16).hexdigest()
        self.path = cache.folder() / "features" / f"{name}.npy"
        self._part: Path | None = None

    def read(self, count: int) -> Tensor | None:
        """The features ``(count, F)``, mapped into memory; ``None`` where there are none.

        Args:
            count: How many rows there have to be.
        """
        try:
            kept = np.load(self.path, mmap_mode="c")
        except (OSError, ValueError, EOFError):  # not there, or cut off when the machine went down
            return None
        return torch.from_numpy(kept) if kept.ndim == 2 and len(kept) == count else None

    def room(self, rows: int, width: int, dtype: torch.dtype) -> Tensor:
        """Makes room on disk for features, which need not fit into memory; :meth:`keep` or :meth:`discard` follow.

        Returns:
            ``(rows, width)``, to be filled.

        Raises:
            DataError: If the folder cannot be written to.
        """
        kind = torch.empty(0, dtype=dtype).numpy().dtype
        header = {"descr": npy.dtype_to_descr(kind), "fortran_order": False, "shape": (rows, width)}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.path.parent, suffix=".part", delete=False) as file:
                self._part = Path(file.name)
                npy.write_array_header_1_0(file, header)
                end = file.tell() + rows * width * kind.itemsize
                file.truncate(end)
                if hasattr(os, "posix_fallocate"):  # a full disk is an error here, and would kill the process later
                    os.posix_fallocate(file.fileno(), 0, end)
            mapped = npy.open_memmap(self._part, "r+")
        except OSError as error:
            self.discard()
            raise DataError(
                f"feature_cache: {self.path.parent} cannot be written to: {error.strerror}; make room, name another "
                "folder in the environment variable FULMEN_CACHE, or write feature_cache: ram"
            ) from error
        return torch.from_numpy(mapped)

    def keep(self) -> None:
        """Gives what was written its name."""
        if self._part is not None:
            os.replace(self._part, self.path)
            self._part = None

    def discard(self) -> None:
        """Removes what was not kept."""
        if self._part is not None:
            self._part.unlink(missing_ok=True)
            self._part = None


def check_memory(need: int) -> None:
    """Checks that there is so much memory.

    Args:
        need: Bytes.

    Raises:
        DataError: If there is too little.
    """
    free = free_memory()
    if free is not None and need > free:
        raise DataError(
            f"feature_cache: ram needs {amount(need)} of memory, {amount(free)} are free; write feature_cache: disk"
        )
