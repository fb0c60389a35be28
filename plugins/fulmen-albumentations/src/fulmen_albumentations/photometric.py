"""Changes of what the pixels show, which leave masks, boxes and keypoints where they are."""

from __future__ import annotations

import math
from typing import Any

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

from fulmen_albumentations.options import interval, probability, within

Image = NDArray[Any]


def gaussian_kernel(sigma: float) -> NDArray[Any]:
    """A normalized Gaussian out to three standard deviations.

    Args:
        sigma: Standard deviation in pixels, at least 0.

    Returns:
        ``(2 * ceil(3 * sigma) + 1, 1)`` weights.

    >>> gaussian_kernel(0.0).tolist()
    [[1.0]]
    """
    return cv2.getGaussianKernel(2 * math.ceil(3 * sigma) + 1, sigma or 1.0)


class ColorJitter(A.ColorJitter):  # type: ignore[misc]
    """albumentations' color jitter; an image without red, green and blue keeps to brightness and contrast."""

    def apply(self, img: Image, **params: Any) -> Image:
        """Applies the factors that were drawn."""
        if img.ndim == 3 and img.shape[2] == 3:
            changed: Image = super().apply(img, **params)
        else:  # as one wide gray image, which has no saturation and no hue
            changed = super().apply(img.reshape(img.shape[0], -1, 1), **params).reshape(img.shape)
        return changed


class GaussianBlur(A.GaussianBlur):  # type: ignore[misc]
    """albumentations' Gaussian blur, measured in shares of the image's shorter side."""

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draws the width for an image of this size."""
        sigma = self.py_random.uniform(*self.sigma_limit) * min(params["shape"][:2])
        return {"kernel": gaussian_kernel(sigma)}


class CoarseDropout(A.CoarseDropout):  # type: ignore[misc]
    """albumentations' coarse dropout of squares, rounded to whole pixels and never empty.

    albumentations cuts fractions off (``int``), so that a hole of a tenth of an 8-pixel digit was none. It also
    shrinks boxes to what the holes leave to be seen; here an object stays as large as it is.
    """

    def calculate_hole_dimensions(
        self, image_shape: tuple[int, int], height_range: Any, width_range: Any, size: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Height and width of each hole, the same share of the shorter side."""
        side = max(1, round(height_range[0] * min(image_shape[:2])))
        return np.full(size, side), np.full(size, side)

    def apply_to_bboxes(self, bboxes: NDArray[Any], holes: NDArray[np.int64], **params: Any) -> NDArray[Any]:
        """Boxes as they are."""
        return bboxes


def color_jitter(
    brightness: float = 0.2, contrast: float = 0.2, saturation: float = 0.2, hue: float = 0.05, p: float = 1.0
) -> ColorJitter:
    """Changes brightness, contrast, saturation and hue, in random order.

    Images that have not three channels keep their colors: brightness and contrast change all channels alike.

    Args:
        brightness: Factor drawn from [1 - brightness, 1 + brightness]; in [0, 1].
        contrast: Factor drawn from [1 - contrast, 1 + contrast]; in [0, 1].
        saturation: Factor drawn from [1 - saturation, 1 + saturation]; in [0, 1].
        hue: Turn of the color circle drawn from [-hue, hue]; in [0, 0.5].
        p: Probability in [0, 1].

    Raises:
        ConfigError: If an option is out of range.
    """
    factors = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
    ranges = {name: (1 - within(name, reach, 0, 1), 1 + reach) for name, reach in factors.items()}
    return ColorJitter(**ranges, hue=(-within("hue", hue, 0, 0.5), hue), p=probability(p))


def blur(sigma: tuple[float, float] = (0.0, 0.01), p: float = 0.5) -> GaussianBlur:
    """Gaussian blur. At 224 pixels, the default draws up to 2.2 pixels, much as SimCLR does.

    SimCLR: https://arxiv.org/abs/2002.05709, appendix A.

    Args:
        sigma: Smallest and largest standard deviation as a share of the shorter side, in [0, 1]. Tiny images
            need more: at 8 pixels, try [0, 0.1].
        p: Probability in [0, 1].

    Raises:
        ConfigError: If an option is out of range.
    """
    return GaussianBlur(sigma_limit=interval("sigma", sigma, 0, 1), p=probability(p))


def noise(std: tuple[float, float] = (0.02, 0.1), p: float = 0.5) -> A.GaussNoise:
    """Adds Gaussian noise, by itself to each pixel and channel.

    Args:
        std: Smallest and largest standard deviation as a share of the full range (255, or 1.0), in [0, 1].
        p: Probability in [0, 1].

    Raises:
        ConfigError: If an option is out of range.
    """
    return A.GaussNoise(std_range=interval("std", std, 0, 1), p=probability(p))


def cutout(fraction: float = 0.25, holes: int = 1, p: float = 0.5) -> CoarseDropout:
    """Blackens squares (DeVries and Taylor 2017, https://arxiv.org/abs/1708.04552).

    Masks and boxes stay as they are; keypoints under a hole are dropped, since they cannot be seen.

    Args:
        fraction: Side of a square as a share of the image's shorter side, in [0, 1]; at least one pixel.
        holes: Number of squares, at least 1.
        p: Probability in [0, 1].

    Raises:
        ConfigError: If an option is out of range.
    """
    within("fraction", fraction, 0, 1)
    within("holes", holes, 1)
    side = (fraction, fraction)
    return CoarseDropout(
        num_holes_range=(holes, holes), hole_height_range=side, hole_width_range=side, p=probability(p)
    )
