"""Data that Fulmen does not train on, recognized so that the message is of help."""

from __future__ import annotations

from collections.abc import Iterable

from fulmen.cli.init.folders import IMAGES, Folder
from fulmen.core.errors import DataError

_MASKS = "mask masks label labels gt groundtruth ground_truth segmentation annotation annotations"
_PICTURES = "image images img imgs jpegimages photos input inputs"
_BOXES = (("xmin", "ymin"), ("x_min", "y_min"), ("bbox",), ("x1", "y1", "x2", "y2"))
_KNOWN = "Fulmen trains on classes, labels and numbers: images in class folders or listed in a table, texts, tables"


def refuse(folder: Folder) -> None:
    """Raises :class:`DataError` if a folder holds images with boxes or masks."""
    boxes = folder.count(frozenset({".xml"}))
    images = folder.count(IMAGES)
    if images and boxes >= images / 2:
        raise DataError(
            f"{folder.path} looks like object detection ({boxes:,} .xml files beside {images:,} images). {_KNOWN}"
        )
    for inner in _all(folder):
        masks = [f for name, f in inner.names.items() if name in _MASKS.split()]
        pictures = [f for name, f in inner.names.items() if name in _PICTURES.split()]
        if not masks or not pictures:
            continue
        with_boxes = any(f.count(frozenset({".txt", ".json"})) for f in masks)
        if with_boxes and not any(f.count(IMAGES) for f in masks):
            raise DataError(
                f"{inner.path} looks like object detection ({masks[0].path.name}/ beside {pictures[0].path.name}/). "
                f"{_KNOWN}"
            )
        if any(f.count(IMAGES) for f in masks):
            raise DataError(
                f"{inner.path} looks like segmentation: {masks[0].path.name}/ holds an image for each one in "
                f"{pictures[0].path.name}/. {_KNOWN}. If these two are classes, rename the folders"
            )


def refuse_boxes(names: Iterable[str], path: object) -> None:
    """Raises :class:`DataError` if a table has the columns of boxes in images."""
    lower = {name.lower() for name in names}
    for corners in _BOXES:
        if lower.issuperset(corners):
            raise DataError(
                f"{path} looks like object detection: each row is a box in an image ({', '.join(corners)}). {_KNOWN}. "
                "If these columns are numbers like any others, say what is predicted: --target COLUMN"
            )


def _all(folder: Folder) -> Iterable[Folder]:
    yield folder
    for inner in folder.folders.values():
        yield from _all(inner)
