"""Three strengths of everything, for who does not want to choose."""

from __future__ import annotations

from typing import Any, Literal

import albumentations as A

from fulmen_albumentations.distortion import elastic, grid_distortion
from fulmen_albumentations.geometric import affine, flip
from fulmen_albumentations.options import probability
from fulmen_albumentations.photometric import blur, color_jitter, cutout, noise

Flips = Literal["none", "horizontal", "vertical", "both"]


def _flips(direction: Flips) -> list[Any]:
    return [] if direction == "none" else [flip(direction)]


def light(flips: Flips = "horizontal", p: float = 1.0) -> A.Sequential:
    """Small shifts, rotations and changes of light, for small or clean data.

    Args:
        flips: ``none`` for digits, letters, and whatever has a left and a right; or a direction of ``flip``.
        p: Probability in [0, 1].

    Raises:
        ConfigError: If ``p`` is out of range.
    """
    shift = (-0.05, 0.05)
    return A.Sequential(
        [
            *_flips(flips),
            affine(rotate=(-5, 5), translate_x=shift, translate_y=shift),
            color_jitter(0.1, 0.1, 0, 0),
        ],
        p=probability(p),
    )


def medium(flips: Flips = "horizontal", p: float = 1.0) -> A.Sequential:
    """Shifts, rotations, zooms, colors, and now and then a hole: a start for most photos.

    Args:
        flips: ``none`` for digits, letters, and whatever has a left and a right; or a direction of ``flip``.
        p: Probability in [0, 1].

    Raises:
        ConfigError: If ``p`` is out of range.
    """
    shift = (-0.1, 0.1)
    return A.Sequential(
        [
            *_flips(flips),
            affine(rotate=(-15, 15), translate_x=shift, translate_y=shift, scale=(0.85, 1.18)),
            color_jitter(0.2, 0.2, 0.2, 0.05),
            cutout(0.25, p=0.25),
        ],
        p=probability(p),
    )


def strong(flips: Flips = "horizontal", p: float = 1.0) -> A.Sequential:
    """All of it, for long training on much-varied photos.

    Args:
        flips: ``none`` for digits, letters, and whatever has a left and a right; or a direction of ``flip``.
        p: Probability in [0, 1].

    Raises:
        ConfigError: If ``p`` is out of range.
    """
    shift, slant = (-0.15, 0.15), (-10.0, 10.0)
    return A.Sequential(
        [
            *_flips(flips),
            affine(
                rotate=(-30, 30),
                translate_x=shift,
                translate_y=shift,
                scale=(0.7, 1.4),
                shear_x=slant,
                shear_y=slant,
            ),
            A.OneOf([grid_distortion(), elastic()], p=0.3),
            color_jitter(0.4, 0.4, 0.4, 0.1),
            A.OneOf([blur(), noise()], p=0.3),
            cutout(0.35, p=0.5),
        ],
        p=probability(p),
    )
