"""The checks of image augmentations: good ones pass, and each fails on one that is broken in exactly this way."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fulmen.testing import check_image_augmentation
from fulmen.testing.image_augmentations import CHECKS
from fulmen.testing.image_subject import ImageAugmentation
from fulmen.testing.kit import run_check

albumentations = pytest.importorskip("albumentations")

Image = NDArray[Any]


class Mirror(albumentations.HorizontalFlip):
    """Swaps left and right.

    Args:
        p: Probability in [0, 1].
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p=p)


test_of_albumentations = check_image_augmentation(Mirror)


class Base:
    """An augmentation without albumentations."""

    calls = 0

    def set_random_state(self, numpy_generator: np.random.Generator, python_random: Random) -> None:
        self.numpy, self.python = numpy_generator, python_random

    def __call__(self, image: Image) -> dict[str, Image]:
        self.calls += 1
        return {"image": self.change(image)}

    def change(self, image: Image) -> Image:
        return image[:, ::-1] if self.python.random() < 0.5 else image


def broken(change: Callable[[Any, Image], Image]) -> type[Base]:
    """A class of what it does to an image."""
    return type("Broken", (Base,), {"change": change})


class Mute:
    def __call__(self, image: Image) -> dict[str, Image]:
        return {"image": image}


class Ignoring(Base):
    def __init__(self, p: float = 0.5) -> None:
        pass


class Numbered(Base):
    numbers = itertools.count()

    def __init__(self) -> None:
        self.number = next(self.numbers)

    def change(self, image: Image) -> Image:
        return np.roll(image, self.number % 16, 0)


class Lambda(Base):
    def __init__(self) -> None:
        self.function = lambda: 1


class MaskStays(albumentations.HorizontalFlip):
    def apply_to_mask(self, mask: Image, **params: Any) -> Image:
        return mask


class MaskBlurred(albumentations.HorizontalFlip):
    def apply_to_mask(self, mask: Image, **params: Any) -> Image:
        return mask[:, ::-1] * 7


class BoxesStay(albumentations.VerticalFlip):
    def apply_to_bboxes(self, bboxes: Image, **params: Any) -> Image:
        return bboxes


class PointsStay(albumentations.VerticalFlip):
    def apply_to_keypoints(self, keypoints: Image, **params: Any) -> Image:
        return keypoints


def brighter(self: Base, image: Image) -> Image:
    return image if image.dtype == np.uint8 else image * np.float32(1.5)


def in_place(self: Base, image: Image) -> Image:
    image[...] = 0
    return image


def even_only(self: Base, image: Image) -> Image:
    if image.shape[0] % 2:
        raise ValueError("odd")
    return image


one = Base()
flipped = broken(lambda self, image: image[:, ::-1])

CASES: list[tuple[str, Any, str]] = [
    ("makes_transform", lambda: 3, "cannot be called"),
    ("makes_transform", Mute, "no set_random_state"),
    ("makes_transform", lambda: one, "the same object twice"),
    ("types_and_range", broken(lambda self, image: image.astype(np.float64)), "float64"),
    ("types_and_range", broken(brighter), r"\[0, 1\]"),
    ("channels", broken(lambda self, image: image[..., [2, 1, 0]]), r"images \(1, 24, 32\)"),
    ("sizes", broken(even_only), r"images \(3, 7, 9\)"),
    ("input_unchanged", broken(in_place), "changes the array"),
    ("p_zero", Ignoring, "p=0 changes images"),
    ("p_out_of_range", Ignoring, "takes p=1.5"),
    ("reproducible", broken(lambda self, image: np.roll(image, os.urandom(1)[0], 0)), "repeats differently"),
    ("reproducible", Numbered, "a new one"),
    ("draws_anew", flipped, "all become the same"),
    ("samples_independent", broken(lambda self, image: np.roll(image, self.calls, 0)), "differs from its batch"),
    ("no_global_state", broken(lambda self, image: np.roll(image, np.random.randint(9), 0)), "numpy's random"),  # noqa: NPY002
    ("pickle", Lambda, "cannot be pickled"),
    ("masks_aligned", MaskStays, "image and mask agree"),
    ("masks_aligned", MaskBlurred, r"holds \[7\]"),
    ("boxes_aligned", BoxesStay, "boxes overlap"),
    ("keypoints_aligned", PointsStay, "of the keypoints"),
    ("training_only", broken(lambda self, image: image), "train samples are as they were"),
    ("workers", broken(lambda self, image: np.roll(image, os.getpid() % 16, 0)), "two worker processes"),
]


@pytest.mark.parametrize(("name", "component", "message"), CASES)
def test_a_broken_augmentation_fails(
    fails: Callable[..., None], monkeypatch: pytest.MonkeyPatch, name: str, component: Any, message: str
) -> None:
    subject = ImageAugmentation("image augmentation", component)
    if name in ("training_only", "workers"):  # a data module takes specs, and objects as they are
        monkeypatch.setattr("fulmen.testing.image_randomness._spec", lambda augmentation: augmentation.make())
    fails(CHECKS[name], subject, message)


def test_every_check_has_a_broken_augmentation(covers: Callable[..., None]) -> None:
    covers("image augmentation", CASES)


@pytest.mark.parametrize("name", ["p_zero", "p_out_of_range", "masks_aligned", "boxes_aligned", "keypoints_aligned"])
def test_what_it_does_not_have_is_not_checked(name: str) -> None:
    assert run_check(CHECKS[name], ImageAugmentation("image augmentation", Base))


def test_a_deterministic_one_need_not_draw() -> None:
    assert run_check(CHECKS["draws_anew"], ImageAugmentation("image augmentation", flipped, {}, True))
