"""Checks of the images that come out of an augmentation."""

from __future__ import annotations

import torch

from fulmen.testing.image_subject import ImageAugmentation, photos
from fulmen.testing.kit import require


def makes_transform(augmentation: ImageAugmentation) -> None:
    """It makes something like a transform of albumentations, a new one each time."""
    made = augmentation.make()
    require(callable(made), f"it makes a {type(made).__name__}, which cannot be called: transform(image=array)")
    has = callable(getattr(made, "set_random_state", None))
    require(has, "it has no set_random_state(numpy_generator, python_random), which says where it draws from")
    again = augmentation.make()
    require(made is not again, "it gives the same object twice; two pipelines would share its random numbers")


def types_and_range(augmentation: ImageAugmentation) -> None:
    """uint8 stays uint8, and float32 in [0, 1] stays float32 in [0, 1]; the shape stays as well."""
    for dtype in (torch.uint8, torch.float32):
        out = augmentation.augmented(photos(dtype=dtype), **augmentation.certain())
        if dtype == torch.float32:
            low, high = out.min().item(), out.max().item()
            inside = bool(out.isfinite().all()) and low >= 0 and high <= 1
            require(inside, f"float32 images leave [0, 1]: they span {low:g} to {high:g}; clip them")


def channels(augmentation: ImageAugmentation) -> None:
    """Grey images (1 channel) and spectral ones (5 channels) pass as well as RGB."""
    for count in (1, 3, 5):
        augmentation.augmented(photos(shape=(count, 24, 32)), **augmentation.certain())


def sizes(augmentation: ImageAugmentation) -> None:
    """8 by 8 pixels, odd sizes and long images pass."""
    for height, width in ((8, 8), (7, 9), (31, 17), (16, 64)):
        augmentation.augmented(photos(2, (3, height, width)), **augmentation.certain())


def input_unchanged(augmentation: ImageAugmentation) -> None:
    """The array that goes in stays as it is: data sets in memory hand out their own."""
    for dtype in (torch.uint8, torch.float32):
        arrays = [image.permute(1, 2, 0).contiguous().numpy() for image in photos(dtype=dtype)]
        kept = [array.copy() for array in arrays]
        pipeline = augmentation.pipeline((3, 24, 32), **augmentation.certain())
        pipeline(arrays, torch.arange(len(arrays)))
        same = all((a == k).all() for a, k in zip(arrays, kept, strict=True))
        require(same, "it changes the array that it is given; work on a copy")


def p_zero(augmentation: ImageAugmentation) -> str | None:
    """With ``p: 0`` every image stays as it is."""
    if "p" not in augmentation.parameters:
        return "it has no `p`"
    images = photos()
    same = torch.equal(augmentation.augmented(images, p=0.0), images)
    require(same, "p=0 changes images; pass p on to the transform")
    return None
