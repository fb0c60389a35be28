"""Augmentation of an image together with its mask, boxes and keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import albumentations as A
import numpy as np
from numpy.typing import NDArray

from fulmen.augment import Pipeline
from fulmen.core.errors import ConfigError, DataError
from fulmen_albumentations.options import within

Array = NDArray[Any]
BoxFormat = Literal["pascal_voc", "coco", "yolo", "albumentations"]
_AREA = 1e-3  # square pixels: what rounding leaves of a box that is outside
_EXACT = 1 << 24  # up to here float32 holds every whole number


class AlignedPipeline(Pipeline):
    """Augmentations in a row, for an image and what belongs to it.

    What comes out depends on the seed, the epoch and the sample alone, and the image is the one that
    :class:`fulmen.augment.ImagePipeline` makes of the same specs. Masks keep their type and their values; boxes
    and keypoints that leave the image are dropped, together with their labels, which are never touched.

    Boxes without area are dropped, boxes that reach beyond the image are cut off there. A rotated box becomes
    the upright one around it.

    Args:
        specs: Specs of the augmentations, in order.
        image_shape: ``(C, H, W)`` for the augmentations that cut to a size (``crop``, ``resized_crop``).
        boxes: Format of the boxes: ``pascal_voc`` (x_min, y_min, x_max, y_max) and ``coco`` (x_min, y_min,
            width, height) in pixels, ``albumentations`` and ``yolo`` (x_center, y_center, width, height) as
            shares of the image; ``None`` for no boxes.
        keypoints: Format of the keypoints, where (0, 0) is the center of the first pixel: ``xy`` or ``yx``;
            ``None`` for no keypoints.
        min_visibility: Share of its area that a box must keep at each step, in [0, 1].
        seed: Seed of the run.

    Raises:
        ConfigError: If an augmentation cannot be made, or is none.

    >>> pipeline = AlignedPipeline([{"name": "flip", "p": 1.0}], boxes="pascal_voc")
    >>> image = np.zeros((4, 10, 3), np.uint8)
    >>> sample = pipeline(image, index=0, boxes=[[0, 0, 2, 4]], labels=["cat"])
    >>> sample["boxes"].tolist(), sample["labels"]
    ([[8.0, 0.0, 10.0, 4.0]], ['cat'])
    """

    kind = "image_augmentations"

    def __init__(
        self,
        specs: Sequence[object],
        image_shape: Sequence[int] | None = None,
        boxes: BoxFormat | None = None,
        keypoints: Literal["xy", "yx"] | None = None,
        min_visibility: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__(specs, seed, image_shape=None if image_shape is None else tuple(image_shape))
        within("min_visibility", min_visibility, 0, 1)
        self._formats = {"boxes": boxes, "keypoints": keypoints}
        try:
            self._compose = A.Compose(
                [
                    *(transform for _, transform in self.transforms),
                    A.NoOp(),
                ],  # NoOp: it warns where nothing moves boxes
                bbox_params=boxes and A.BboxParams(boxes, None, _AREA, min_visibility, clip=True),
                keypoint_params=keypoints and A.KeypointParams(keypoints),
                strict=True,
            )
        except ValueError as error:
            raise ConfigError(f"augment: {error}") from error
        self._compose.set_random_state(self.streams.numpy, self.streams.python)  # it has given them its own

    def __call__(
        self,
        image: Array,
        *,
        index: int,
        epoch: int = 0,
        mask: Array | None = None,
        boxes: Any = None,
        labels: Any = None,
        keypoints: Any = None,
        keypoint_labels: Any = None,
    ) -> dict[str, Any]:
        """Augments one sample.

        Args:
            image: ``(H, W, C)`` of uint8, or of float32 in [0, 1].
            index: Row of the sample in its data set.
            epoch: Number of the epoch.
            mask: ``(H, W)`` or ``(H, W, K)``, of any type whose values float32 holds.
            boxes: ``(N, 4)``, in the format of this pipeline; may be empty.
            labels: ``N`` labels of the boxes: a list, an array or a tensor of anything.
            keypoints: ``(N, 2)``; may be empty.
            keypoint_labels: ``N`` labels of the keypoints.

        Returns:
            What was given, by the same names: boxes and keypoints as float32, the others as they came.

        Raises:
            DataError: If the sample is not as described, or an augmentation fails on it.
        """
        sample = f"sample {index}"
        data: dict[str, Any] = {"image": _checked_image(image, sample)}
        if mask is not None:
            data["mask"] = _encoded(mask, sample)
        if boxes is not None:
            data["bboxes"] = self._table("boxes", boxes, labels, 4, sample)
            _check_sizes(data["bboxes"], self._formats["boxes"], sample)
            data["bboxes"] = _with_area(data["bboxes"], self._formats["boxes"], image.shape)
        if keypoints is not None:
            points = self._table("keypoints", keypoints, keypoint_labels, 2, sample)
            data["keypoints"] = points[_inside(points, self._formats["keypoints"], image.shape)]
        data = self._augmented(data, index, epoch, sample)
        result = {"image": data["image"]}
        if mask is not None:
            result["mask"] = data["mask"].astype(mask.dtype)
        if boxes is not None:
            result |= _taken("boxes", "labels", data["bboxes"], labels, 4)
        if keypoints is not None:
            result |= _taken("keypoints", "keypoint_labels", data["keypoints"], keypoint_labels, 2)
        return result

    def _adopt(self, name: str, made: Any) -> Any:
        if not isinstance(made, A.BasicTransform | A.BaseCompose):
            raise ConfigError(f"{name!r} makes a {type(made).__name__}, which is no transform of albumentations")
        return made

    def _apply(self, transform: Any, sample: Any) -> Any:
        return self._compose.check_data_post_transform(transform(**sample))

    def _augmented(self, data: dict[str, Any], index: int, epoch: int, sample: str) -> dict[str, Any]:
        try:
            self._compose.preprocess(data)
        except (ValueError, TypeError) as error:
            raise DataError(f"augment: {sample} cannot be used: {error}") from error
        (result,) = self._samples([data], np.array([index]), epoch, lambda _: sample)
        made: dict[str, Any] = self._compose.postprocess(result)
        return made

    def _table(self, what: str, values: Any, labels: Any, columns: int, sample: str) -> Array:
        """``(N, columns + 1)`` values and, last, the row that each had: it finds the labels afterwards."""
        if self._formats[what] is None:
            raise DataError(
                f"augment: {sample} has {what}, whose format is not known; write {what}=... when you make the pipeline"
            )
        table = np.asarray(values, np.float64)
        table = table.reshape(0, columns) if table.size == 0 else table
        if table.ndim != 2 or table.shape[1] != columns or not np.isfinite(table).all():
            raise DataError(f"augment: {what} of {sample} are {table.shape}; needed: (N, {columns}) finite numbers")
        if labels is not None and len(labels) != len(table):
            raise DataError(f"augment: {sample} has {len(table)} {what} and {len(labels)} labels of them")
        return np.column_stack([table, np.arange(len(table))])


def _checked_image(image: Array, sample: str) -> Array:
    if image.ndim != 3 or image.dtype not in (np.uint8, np.float32):
        raise DataError(
            f"augment: the image of {sample} is {image.shape} {image.dtype}; allowed: (H, W, C) of uint8, or of "
            "float32 in [0, 1]"
        )
    return image


def _encoded(mask: Array, sample: str) -> Array:
    """The mask in a type that OpenCV moves; no value is changed."""
    if mask.dtype in (np.uint8, np.float32):
        return mask
    encoded: Array = mask.astype(np.float32)
    if mask.dtype.kind in "iu" and mask.size and max(abs(int(mask.min())), abs(int(mask.max()))) > _EXACT:
        raise DataError(f"augment: the mask of {sample} has values beyond {_EXACT}; number its labels from 0")
    return encoded


def _check_sizes(table: Array, form: str | None, sample: str) -> None:
    sides = table[:, 2:4] - table[:, :2] if form in ("pascal_voc", "albumentations") else table[:, 2:4]
    if (sides < 0).any():
        row = int(np.flatnonzero((sides < 0).any(axis=1))[0])
        raise DataError(
            f"augment: box {row} of {sample}, {table[row, :4].tolist()}, ends before it begins; is it {form}?"
        )


def _with_area(table: Array, form: str | None, shape: Sequence[int]) -> Array:
    """The boxes of which the image shows something."""
    low, high = _corners(table, form, shape)
    seen = np.minimum(high, 1) - np.maximum(low, 0)
    enough: Array = (seen > 0).all(axis=1) & (seen.prod(axis=1) * shape[0] * shape[1] >= _AREA)
    return np.asarray(table[enough])


def _corners(table: Array, form: str | None, shape: Sequence[int]) -> tuple[Array, Array]:
    """``(N, 2)`` upper left and lower right corners as shares of the image."""
    first, second = table[:, :2], table[:, 2:4]
    if form == "yolo":
        return first - second / 2, first + second / 2
    size = np.array([shape[1], shape[0]]) if form in ("pascal_voc", "coco") else np.ones(2)
    return first / size, (first + second if form == "coco" else second) / size


def _inside(points: Array, form: str | None, shape: Sequence[int]) -> Array:
    limit = (shape[1], shape[0]) if form == "xy" else shape[:2]
    visible: Array = np.all((points[:, :2] >= 0) & (points[:, :2] < limit), axis=1)
    return visible


def _taken(name: str, labels_name: str, table: Array, labels: Any, columns: int) -> dict[str, Any]:
    rows = table[:, -1].astype(int) if len(table) else np.zeros(0, int)
    found: dict[str, Any] = {name: np.asarray(table[:, :columns], np.float32).reshape(-1, columns)}
    if labels is not None:
        found[labels_name] = labels[rows] if hasattr(labels, "shape") else [labels[row] for row in rows]
    return found
