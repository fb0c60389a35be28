"""Augmentations that are made of others, given as specs."""

from __future__ import annotations

from typing import Any

import albumentations as A

from fulmen.core.errors import ConfigError
from fulmen.core.spec import ImageAugmentationSpecs, at, build
from fulmen_albumentations.options import probability, within

Shape = tuple[int, int, int]


def _built(transforms: ImageAugmentationSpecs, image_shape: Shape | None) -> list[Any]:
    if not transforms:
        raise ConfigError("transforms: there is none to choose from; write transforms: [flip, rotate]")
    made = []
    for i, spec in enumerate(transforms):
        with at(f"transforms[{i}]"):
            made.append(build("image_augmentations", spec, image_shape=image_shape))
    return made


def one_of(transforms: ImageAugmentationSpecs, p: float = 1.0, image_shape: Shape | None = None) -> A.OneOf:
    """Applies one of several augmentations; the ``p`` of each is its weight.

    Args:
        transforms: Specs of the augmentations.
        p: Probability in [0, 1] that one is applied at all.
        image_shape: ``(C, H, W)`` of the network's input, for those that need it.

    Raises:
        ConfigError: If an option or an augmentation is wrong, or all weights are 0.
    """
    made = _built(transforms, image_shape)
    if not sum(transform.p for transform in made):
        raise ConfigError("transforms: every p is 0, so none can be chosen; raise one")
    return A.OneOf(made, p=probability(p))


def some_of(
    transforms: ImageAugmentationSpecs, n: int = 2, p: float = 1.0, image_shape: Shape | None = None
) -> A.SomeOf:
    """Chooses several augmentations, each equally often, and applies them in the order of the list.

    Args:
        transforms: Specs of the augmentations; one that is chosen still is applied with its own ``p``.
        n: How many are chosen, from 1 to their number.
        p: Probability in [0, 1] that any is applied at all.
        image_shape: ``(C, H, W)`` of the network's input, for those that need it.

    Raises:
        ConfigError: If an option or an augmentation is wrong.
    """
    made = _built(transforms, image_shape)
    within("n", n, 1, len(made))
    return A.SomeOf(made, n=n, p=probability(p))
