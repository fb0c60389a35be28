"""Flips, affine transforms and crops. Lengths are shares of the image, angles degrees."""

from __future__ import annotations

import math
from typing import Any, Literal

import albumentations as A
import cv2
from numpy.typing import NDArray

from fulmen.core.errors import ConfigError
from fulmen_albumentations.options import interval, probability, size, within

Border = Literal["constant", "edge", "reflect"]
_BORDERS = {"constant": cv2.BORDER_CONSTANT, "edge": cv2.BORDER_REPLICATE, "reflect": cv2.BORDER_REFLECT_101}


class Affine(A.Affine):  # type: ignore[misc]
    """albumentations' affine transform, with translations rounded to whole pixels.

    albumentations cuts them off (``int``), so that a tenth of an 8-pixel digit never moved it, and small
    translations were half as frequent as they should be.
    """

    def _get_translate_params(self, image_shape: tuple[int, int]) -> dict[str, int]:
        height, width = image_shape[:2]
        share = {axis: self.py_random.uniform(*ends) for axis, ends in self.translate_percent.items()}
        return {"x": round(share["x"] * width), "y": round(share["y"] * height)}


class ResizedCrop(A.RandomResizedCrop):  # type: ignore[misc]
    """albumentations' resized crop, with keypoints and masks at the centers of their pixels.

    albumentations multiplies a keypoint's coordinates as if pixels began at their centers, and takes the nearest
    pixel of a mask as if they ended there: both are half a pixel of the source off the image.
    """

    def apply_to_keypoints(
        self, keypoints: NDArray[Any], crop_coords: tuple[int, int, int, int], **params: Any
    ) -> NDArray[Any]:
        """Moves and enlarges them."""
        left, top, right, bottom = crop_coords
        result = keypoints.copy()
        result[:, 0] = (keypoints[:, 0] - left + 0.5) * self.size[1] / (right - left) - 0.5
        result[:, 1] = (keypoints[:, 1] - top + 0.5) * self.size[0] / (bottom - top) - 0.5
        return result


def affine(
    *,
    rotate: tuple[float, float] = (0.0, 0.0),
    translate_x: tuple[float, float] = (0.0, 0.0),
    translate_y: tuple[float, float] = (0.0, 0.0),
    scale: tuple[float, float] = (1.0, 1.0),
    shear_x: tuple[float, float] = (0.0, 0.0),
    shear_y: tuple[float, float] = (0.0, 0.0),
    border: Border = "constant",
    p: float = 1.0,
) -> Affine:
    """One affine transform about the image's center: one interpolation, however many parts it has.

    Args:
        rotate: Degrees, counter-clockwise.
        translate_x: Shares of the width.
        translate_y: Shares of the height.
        scale: Factors.
        shear_x: Degrees.
        shear_y: Degrees.
        border: What comes in from outside.
        p: Probability.
    """
    return Affine(
        rotate=rotate,
        translate_percent={"x": translate_x, "y": translate_y},
        scale=scale,
        keep_ratio=True,
        shear={"x": shear_x, "y": shear_y},
        border_mode=_BORDERS[border],
        p=probability(p),
    )


def flip(direction: Literal["horizontal", "vertical", "both"] = "horizontal", p: float = 0.5) -> Any:
    """Mirrors the image. Not for digits, letters, or whatever has a left and a right.

    Args:
        direction: ``horizontal`` swaps left and right, ``vertical`` top and bottom; ``both`` draws each of the
            two by itself.
        p: Probability in [0, 1], of each direction.

    Raises:
        ConfigError: If ``p`` is out of range.
    """
    p = probability(p)
    if direction == "both":
        return A.Sequential([A.HorizontalFlip(p=p), A.VerticalFlip(p=p)], p=1.0)
    return A.HorizontalFlip(p=p) if direction == "horizontal" else A.VerticalFlip(p=p)


def rotate(degrees: float = 15.0, border: Border = "constant", p: float = 1.0) -> Affine:
    """Rotates about the center by an angle drawn evenly from [-degrees, degrees].

    Args:
        degrees: Largest angle, in [0, 180].
        border: What comes in from outside: ``constant`` (black), ``edge`` (the border's pixels), ``reflect``.
        p: Probability in [0, 1].

    Raises:
        ConfigError: If an option is out of range.
    """
    within("degrees", degrees, 0, 180)
    return affine(rotate=(-degrees, degrees), border=border, p=p)


def translate(fraction: float = 0.1, border: Border = "constant", p: float = 1.0) -> Affine:
    """Moves the image by whole pixels, drawn evenly for each axis.

    Args:
        fraction: Largest shift as a share of the width and of the height, in [0, 1].
        border: What comes in from outside: ``constant`` (black), ``edge`` (the border's pixels), ``reflect``.
        p: Probability in [0, 1].

    Raises:
        ConfigError: If an option is out of range.
    """
    within("fraction", fraction, 0, 1)
    ends = (-fraction, fraction)
    return affine(translate_x=ends, translate_y=ends, border=border, p=p)


def scale(range: tuple[float, float] = (0.8, 1.25), border: Border = "constant", p: float = 1.0) -> Affine:
    """Zooms in or out about the center; the image keeps its size and its proportions.

    Args:
        range: Smallest and largest factor, above 0; above 1 the content grows.
        border: What comes in from outside: ``constant`` (black), ``edge`` (the border's pixels), ``reflect``.
        p: Probability in [0, 1].

    Raises:
        ConfigError: If an option is out of range.
    """
    return affine(scale=interval("range", range, 0.01), border=border, p=p)


def shear(degrees: float = 10.0, border: Border = "constant", p: float = 1.0) -> Affine:
    """Slants the image along both axes, by an angle drawn evenly for each.

    Args:
        degrees: Largest angle, in [0, 80].
        border: What comes in from outside: ``constant`` (black), ``edge`` (the border's pixels), ``reflect``.
        p: Probability in [0, 1].

    Raises:
        ConfigError: If an option is out of range.
    """
    within("degrees", degrees, 0, 80)
    ends = (-degrees, degrees)
    return affine(shear_x=ends, shear_y=ends, border=border, p=p)


def crop(
    padding: float = 0.125,
    border: Border = "constant",
    p: float = 1.0,
    image_shape: tuple[int, int, int] | None = None,
) -> Any:
    """Pads all sides, then cuts out the network's size at a random place: 4 pixels at 32, as for CIFAR.

    The padding is that of He et al. 2016 (https://arxiv.org/abs/1512.03385, section 4.2). An image that is
    larger than the network's input is cut to it without being resized; for photos take ``resized_crop``.

    Args:
        padding: Width of the padding as a share of the network's height and width, in [0, 1]; rounded up.
        border: What the padding shows: ``constant`` (black), ``edge`` (the border's pixels), ``reflect``.
        p: Probability in [0, 1].
        image_shape: ``(C, H, W)`` of the network's input.

    Raises:
        ConfigError: If an option is out of range, or ``image_shape`` is missing.
    """
    height, width = size(image_shape)
    within("padding", padding, 0, 1)
    mode = _BORDERS[border]
    pad_x, pad_y = math.ceil(padding * width), math.ceil(padding * height)
    return A.Sequential(
        [
            A.Pad(padding=(pad_x, pad_y), border_mode=mode, p=1.0),
            A.RandomCrop(height, width, pad_if_needed=True, border_mode=mode, p=1.0),
        ],
        p=probability(p),
    )


def resized_crop(
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (0.75, 4 / 3),
    p: float = 1.0,
    image_shape: tuple[int, int, int] | None = None,
) -> ResizedCrop:
    """Cuts out a random part and resizes it to the network's input (https://arxiv.org/abs/1409.4842, section 6).

    Args:
        scale: Smallest and largest share of the image's area, in (0, 1].
        ratio: Smallest and largest proportion of width to height, above 0.
        p: Probability in [0, 1].
        image_shape: ``(C, H, W)`` of the network's input.

    Raises:
        ConfigError: If an option is out of range, or ``image_shape`` is missing.
    """
    area, proportion = interval("scale", scale, 0, 1), interval("ratio", ratio, 0.01)
    if area[0] == 0:
        raise ConfigError("scale: 0 is out of range; allowed: 0 < scale <= 1")
    return ResizedCrop(
        size=size(image_shape),
        scale=area,
        ratio=proportion,
        mask_interpolation=cv2.INTER_NEAREST_EXACT,
        p=probability(p),
    )
