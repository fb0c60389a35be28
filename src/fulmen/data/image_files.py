"""Image files as a data set."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from fulmen.core.batch import Batch
from fulmen.data.image_cache import Cache
from fulmen.data.image_paths import Paths
from fulmen.data.pixels import Pixels, Sight, centre


class ImageFiles(Dataset[Batch]):
    """Images that are decoded when they are asked for, or taken from a cache.

    Args:
        paths: The files.
        targets: ``(N,)`` classes or numbers, or ``(N, L)`` labels; ``None`` where they are not known.
        sight: How they are made ready.
        cache: Where decoded images are kept.
    """

    def __init__(self, paths: Paths, targets: Tensor | None, sight: Sight, cache: Cache | None = None) -> None:
        self.paths, self.targets, self.sight, self.cache = paths, targets, sight, cache

    def __len__(self) -> int:
        return len(self.paths)

    def describe(self, index: int) -> str:
        """What messages call an image: its path."""
        return str(self.paths[index])

    def __getitem__(self, row: int) -> Batch:
        return self.__getitems__([row]).first()

    def __getitems__(self, rows: list[int]) -> Batch:
        """Centres ``(N, C, size, size)``, uint8 in torch's channels-last format."""
        pixels = np.stack([centre(self.image(row), self.sight.size) for row in rows])
        index = torch.tensor(rows)  # PADDING is -1, and read the last image
        return Batch(torch.from_numpy(pixels).permute(0, 3, 1, 2), self._targets(rows), index)

    def whole(self, rows: list[int]) -> Batch:
        """Images that nothing is cut off from, as arrays ``(h, w, channels)``, for augmentations."""
        images: Any = [self.image(row) for row in rows]
        return Batch(images, self._targets(rows), torch.tensor(rows))

    def fit(self, image: Pixels) -> Pixels:
        """Cuts the centre ``(size, size, channels)`` out of an augmented image; enlarges it first if it is smaller."""
        return centre(image, self.sight.size)

    def image(self, row: int) -> Pixels:
        """A whole image ``(h, w, channels)``, whose shorter side is ``size / crop``.

        Raises:
            DataError: If the file cannot be decoded.
        """
        if self.cache is not None:
            return self.cache.read(self.paths, row)
        return self.sight.read(self.paths[row])

    def _targets(self, rows: list[int]) -> Tensor | None:
        return None if self.targets is None else self.targets[rows]
