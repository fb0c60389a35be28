"""Checks that masks, boxes and keypoints move with the image (for transforms of albumentations)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fulmen.testing.image_subject import ImageAugmentation
from fulmen.testing.kit import require

Array = NDArray[Any]
_SIDE, _DRAWS = 66, 12
_OTHER = "it is no transform of albumentations: masks, boxes and keypoints do not pass through it"
_BOX = (18, 24, 42, 36)  # x_min, y_min, x_max, y_max


def _results(augmentation: ImageAugmentation, image: Array, **targets: Any) -> Iterator[dict[str, Any]]:
    """What albumentations' own call makes of an image and its targets, in some draws; nothing for other objects."""
    made = augmentation.make(image_shape=(3, _SIDE, _SIDE), **augmentation.certain())
    if not type(made).__module__.startswith("albumentations") and not any(
        base.__module__.startswith("albumentations.") for base in type(made).__mro__
    ):
        return
    import albumentations

    with warnings.catch_warnings():  # of compositions in which nothing moves boxes
        warnings.simplefilter("ignore", UserWarning)
        compose = albumentations.Compose(
            [made, albumentations.NoOp()],
            bbox_params=albumentations.BboxParams("pascal_voc", label_fields=[]) if "bboxes" in targets else None,
            keypoint_params=albumentations.KeypointParams("xy") if "keypoints" in targets else None,
        )
        for draw in range(_DRAWS):
            compose.set_random_state(np.random.default_rng(draw), Random(draw))
            yield compose(image=image, **targets)


def _likeness(image: Array, mask: Array) -> float | None:
    """The absolute correlation of an image's brightness with a mask; ``None`` where one of them is constant."""
    grey, marked = image.mean(axis=2).ravel(), mask.astype(float).ravel()
    if grey.std() < 1 or marked.std() < 0.01:
        return None
    return abs(float(np.corrcoef(grey, marked)[0, 1]))


def masks_aligned(augmentation: ImageAugmentation) -> str | None:
    """A mask moves with the image: blocks that are bright stay those that are marked."""
    blocks = np.random.default_rng(0).random((_SIDE // 6, _SIDE // 6)) > 0.5
    mask = np.kron(blocks, np.ones((6, 6))).astype(np.uint8)
    image = np.repeat(mask[..., None] * np.uint8(255), 3, axis=2)
    results = list(_results(augmentation, image, mask=mask))
    if not results:
        return _OTHER
    odd = {int(value) for result in results for value in np.unique(result["mask"])} - {0, 1}
    require(not odd, f"the mask of 0 and 1 holds {sorted(odd)} afterwards; interpolate masks with the nearest pixel")
    found = [like for r in results if (like := _likeness(r["image"], r["mask"])) is not None]
    mean = float(np.mean(found)) if found else 0.0
    require(mean > 0.6, f"image and mask agree to {mean:.2f} only (1 is in full); apply the same move to both")
    return None


def _rectangle() -> tuple[Array, Array]:
    mask = np.zeros((_SIDE, _SIDE), np.uint8)
    x_min, y_min, x_max, y_max = _BOX
    mask[y_min:y_max, x_min:x_max] = 1
    return np.repeat(mask[..., None] * np.uint8(200) + np.uint8(20), 3, axis=2), mask


def _around(mask: Array) -> tuple[float, float, float, float] | None:
    """The box around what a mask marks, if that is a tenth of the rectangle at least."""
    y, x = np.nonzero(mask)
    if len(y) < 0.1 * (_BOX[2] - _BOX[0]) * (_BOX[3] - _BOX[1]):
        return None
    return float(x.min()), float(y.min()), float(x.max()) + 1, float(y.max()) + 1


def _overlap(one: Any, other: Any) -> float:
    """Intersection over union of two boxes (x_min, y_min, x_max, y_max)."""
    width = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    height = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)]
    return float(width * height / (sum(areas) - width * height))


def boxes_aligned(augmentation: ImageAugmentation) -> str | None:
    """A box moves with what it is around."""
    image, mask = _rectangle()
    overlaps = []
    for result in _results(augmentation, image, mask=mask, bboxes=np.array([_BOX], np.float32)):
        around = _around(result["mask"])
        if around is not None:
            overlaps.append(max((_overlap(around, box) for box in result["bboxes"]), default=0.0))
    if not overlaps:
        return _OTHER
    mean = float(np.mean(overlaps))
    require(mean > 0.6, f"boxes overlap what they were around by {mean:.2f} only (1 is in full); move them as well")
    return None


def keypoints_aligned(augmentation: ImageAugmentation) -> str | None:
    """A keypoint moves with what it points at."""
    image, mask = _rectangle()
    center = ((_BOX[0] + _BOX[2] - 1) / 2, (_BOX[1] + _BOX[3] - 1) / 2)
    hits = []
    for result in _results(augmentation, image, mask=mask, keypoints=np.array([center], np.float32)):
        y, x = np.nonzero(result["mask"])
        inside = len(y) and min(x.min(), y.min()) > 0 and max(x.max(), y.max()) < _SIDE - 1
        if inside:
            distances = [np.hypot(point[0] - x.mean(), point[1] - y.mean()) for point in result["keypoints"]]
            hits.append(min(distances, default=np.inf) < 4)
    if not hits:
        return _OTHER
    share = float(np.mean(hits))
    require(share > 0.7, f"only {share:.0%} of the keypoints stay where they point at; move them as well")
    return None
