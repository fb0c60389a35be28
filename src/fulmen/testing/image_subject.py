"""What the checks of image augmentations know of an augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fulmen.augment import ImagePipeline
from fulmen.core.errors import FulmenError
from fulmen.testing.kit import CheckError, Subject

Image = NDArray[Any]


@dataclass(frozen=True)
class ImageAugmentation(Subject):
    """An image augmentation that is checked.

    Attributes:
        deterministic: It draws no random numbers.
    """

    deterministic: bool = False

    @property
    def supplied(self) -> dict[str, Any]:
        """The shape that the network sees."""
        return {"image_shape": (3, 24, 32)}

    def certain(self) -> dict[str, Any]:
        """The option that makes it act on every image, where it has one."""
        return {"p": 1.0} if "p" in self.parameters else {}

    def pipeline(self, image_shape: Sequence[int], seed: int = 0, **more: Any) -> ImagePipeline:
        """It alone, as a data module uses it.

        Raises:
            CheckError: If it is refused.
        """
        try:
            return ImagePipeline([self.make(image_shape=tuple(image_shape), **more)], image_shape, seed)
        except FulmenError as error:
            raise CheckError(f"a data module with images {tuple(image_shape)} refuses it: {error}") from error

    def augmented(
        self, images: Tensor, pipeline: ImagePipeline | None = None, first: int = 0, epoch: int = 0, **more: Any
    ) -> Tensor:
        """Images ``(N, C, H, W)`` through it.

        Raises:
            CheckError: If it cannot take them.
        """
        pipeline = pipeline or self.pipeline(images.shape[1:], **more)
        try:
            return pipeline(images, torch.arange(first, first + len(images)), epoch)
        except FulmenError as error:
            raise CheckError(f"images {tuple(images.shape[1:])} of {images.dtype}: {error}") from error


def photos(samples: int = 6, shape: Sequence[int] = (3, 24, 32), dtype: torch.dtype = torch.uint8) -> Tensor:
    """Smooth images ``(N, C, H, W)`` with some noise: uint8, or floats in [0, 1]."""
    channels, height, width = shape
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    waves = rng.uniform(1, 4, (samples, channels, 2, 1, 1))
    values = 0.5 + 0.4 * np.sin(2 * np.pi * (waves[:, :, 0] * x + waves[:, :, 1] * y))
    values = (values + rng.uniform(-0.1, 0.1, values.shape)).clip(0, 1)
    return torch.from_numpy((values * 255).round().astype(np.uint8) if dtype == torch.uint8 else values).to(dtype)
