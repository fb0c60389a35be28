"""Policies that draw from the operations of AutoAugment (Cubuk et al. 2019, https://arxiv.org/abs/1805.09501).

Translations are shares of the side (AutoAugment's 150 of 331 pixels), so that a policy is as strong on a digit
as on a photo. Operations that need red, green and blue (the saturation) leave other images as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import albumentations as A
import numpy as np
from albumentations.augmentations.pixel import functional as pixel
from numpy.typing import NDArray

from fulmen_albumentations.geometric import affine
from fulmen_albumentations.options import probability, within
from fulmen_albumentations.photometric import ColorJitter

Range = tuple[float, float]
TRANSLATION = 150 / 331


class Equalize(A.Equalize):  # type: ignore[misc]
    """albumentations' equalization of the histogram, channel by channel where there are not one or three."""

    def apply(self, img: NDArray[Any], mask: Any, **params: Any) -> NDArray[Any]:
        """Equalizes each channel."""
        if img.ndim == 2 or img.shape[2] in (1, 3):
            equalized: NDArray[Any] = super().apply(img, mask, **params)
            return equalized
        channels = [super(Equalize, self).apply(c, mask, **params) for c in np.moveaxis(img, 2, 0)]
        return np.stack(channels, axis=2)


class Sharpness(A.ImageOnlyTransform):  # type: ignore[misc]
    """Pillow's sharpness: 0 gives a smoothed image, 1 the image, 2 one that is as much sharper.

    Args:
        factor: Smallest and largest factor.
        p: Probability.
    """

    SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13

    def __init__(self, factor: Range, p: float = 1.0) -> None:
        super().__init__(p=p)
        self.factor = factor

    def get_params(self) -> dict[str, Any]:
        """Draws the factor."""
        return {"factor": self.py_random.uniform(*self.factor)}

    def apply(self, img: NDArray[Any], factor: float, **params: Any) -> NDArray[Any]:
        """Blends the image and its smoothed version."""
        identity = np.zeros((3, 3), np.float32)
        identity[1, 1] = 1
        sharpened: NDArray[Any] = pixel.convolve(img, factor * identity + (1 - factor) * self.SMOOTH)
        return sharpened


def _color(**factor: Range) -> ColorJitter:
    return ColorJitter(**{"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1), "hue": (0, 0), **factor}, p=1)


def _operations(
    signed: Callable[[Callable[[Range], Any], float, float], Any],
    rotation: float,
    shear: float,
    translation: float,
    color: float,
    posterize: tuple[int, int],
    solarize: Range,
) -> list[Any]:
    """The 14 operations.

    Args:
        signed: Makes an operation from its maker, its neutral value and its largest distance from that.
        rotation: Degrees.
        shear: Shift of a row by this share of its distance from the center.
        translation: Share of the side.
        color: Distance of the factors of brightness, contrast, saturation and sharpness from 1.
        posterize: Bits that are kept.
        solarize: Share of the full range from which values are inverted.
    """
    slant = math.degrees(math.atan(shear))
    return [
        A.NoOp(p=1),
        A.AutoContrast(p=1),
        Equalize(p=1),
        A.Solarize(threshold_range=solarize, p=1),
        A.Posterize(num_bits=posterize, p=1),
        signed(lambda r: affine(rotate=r), 0, rotation),
        signed(lambda r: affine(shear_x=r), 0, slant),
        signed(lambda r: affine(shear_y=r), 0, slant),
        signed(lambda r: affine(translate_x=r), 0, translation),
        signed(lambda r: affine(translate_y=r), 0, translation),
        signed(lambda r: _color(brightness=r), 1, color),
        signed(lambda r: _color(contrast=r), 1, color),
        signed(lambda r: _color(saturation=r), 1, color),
        signed(lambda r: Sharpness(r), 1, color),
    ]


def _either(make: Callable[[Range], Any], neutral: float, reach: float) -> Any:
    return A.OneOf([make((neutral + d, neutral + d)) for d in (-reach, reach)], p=1)


def _anywhere(make: Callable[[Range], Any], neutral: float, reach: float) -> Any:
    return make((neutral - reach, neutral + reach))


def rand_augment(num_ops: int = 2, magnitude: float = 9.0, p: float = 1.0) -> A.RandomOrder:
    """RandAugment (Cubuk et al. 2020, https://arxiv.org/abs/1909.13719): a few operations, all equally strong.

    Draws ``num_ops`` of 14 operations with replacement: identity, auto-contrast, equalize, solarize, posterize,
    rotate, shear x and y, translate x and y, brightness, contrast, saturation, sharpness. The strength grows
    with the magnitude, to which the paper gives a scale from 0 to 10.

    Args:
        num_ops: Number of operations on an image, at least 1.
        magnitude: Strength in [0, 10]; 10 rotates by 30 degrees, shears by 0.3, moves by 45 % of the side,
            changes colors by a factor of 0.1 or 1.9, keeps 4 bits and inverts everything.
        p: Probability in [0, 1].

    Raises:
        ConfigError: If an option is out of range.
    """
    within("num_ops", num_ops, 1)
    strength = within("magnitude", magnitude, 0, 10) / 10
    bits, threshold = 8 - round(4 * strength), 1 - strength
    operations = _operations(
        _either,
        30 * strength,
        0.3 * strength,
        TRANSLATION * strength,
        0.9 * strength,
        (bits, bits),
        (threshold, threshold),
    )
    return A.RandomOrder(operations, n=num_ops, replace=True, p=probability(p))


def trivial_augment(wide: bool = True, p: float = 1.0) -> A.OneOf:
    """TrivialAugment (Müller and Hutter 2021, https://arxiv.org/abs/2103.10158): one operation, any strength.

    Draws one of RandAugment's 14 operations, and its strength evenly. There is nothing to tune.

    Args:
        wide: The paper's wide ranges (rotates by up to 135 degrees, shears by 0.99, changes colors by factors
            from 0.01 to 1.99, keeps 2 bits or more); otherwise those of RandAugment.
        p: Probability in [0, 1].

    Raises:
        ConfigError: If ``p`` is out of range.
    """
    rotation, shear, color, bits = (135.0, 0.99, 0.99, 2) if wide else (30.0, 0.3, 0.9, 4)
    operations = _operations(_anywhere, rotation, shear, TRANSLATION, color, (bits, 8), (0.0, 1.0))
    return A.OneOf(operations, p=probability(p))
