"""Boxes and masks of real data sets."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from fulmen_albumentations import AlignedPipeline

DATA = Path(__file__).parents[4] / "shared" / "data"


@pytest.mark.skipif(not (DATA / "bccd").is_dir(), reason="the blood cells are not on this machine")
def test_blood_cells() -> None:
    """Real boxes: integer corners of Pascal VOC, labels as text, two boxes without area."""
    pipeline = AlignedPipeline(["strong"], boxes="pascal_voc")
    still = AlignedPipeline([], boxes="pascal_voc")
    total = dropped = 0
    for index, path in enumerate(sorted((DATA / "bccd" / "BCCD" / "Annotations").glob("*.xml"))):
        objects = ElementTree.parse(path).findall("object")
        boxes = [[int(o.findtext(f"bndbox/{c}") or 0) for c in ("xmin", "ymin", "xmax", "ymax")] for o in objects]
        labels = [o.findtext("name") for o in objects]
        flat = [i for i, (a, b, c, d) in enumerate(boxes) if c <= a or d <= b]
        image = np.zeros((480, 640, 3), np.uint8)
        kept = still(image, index=index, boxes=boxes, labels=labels)
        total, dropped = total + len(boxes), dropped + len(flat)
        assert kept["labels"] == [label for i, label in enumerate(labels) if i not in flat]
        if index % 20 == 0 or flat:
            sample = pipeline(image, index=index, boxes=boxes, labels=labels)
            assert len(sample["boxes"]) == len(sample["labels"]) <= len(boxes)
            assert set(sample["labels"]) <= set(labels)
            assert (sample["boxes"][:, 2:] > sample["boxes"][:, :2]).all()
    assert (total, dropped) == (4888, 2)


@pytest.mark.skipif(
    not (DATA / "membrane_isbi").is_dir(), reason="the membranes (membrane_isbi) are not on this machine"
)
@pytest.mark.parametrize("name", ["elastic", "flip", "medium"])
def test_membranes(name: str) -> None:
    """Real masks: cells are white (255) in the mask, and brighter than membranes in the image."""
    folder = DATA / "membrane_isbi" / "data" / "membrane" / "train"
    pipeline, contrast = AlignedPipeline([{"name": name, "p": 1.0}]), []
    for index in range(4):
        image, mask = (
            np.asarray(Image.open(folder / kind / f"{index}.png").convert("L")) for kind in ("image", "label")
        )
        sample = pipeline(image[..., None], index=index, mask=mask)
        assert set(np.unique(sample["mask"])) <= set(np.unique(mask)) | {0}
        inside = sample["image"][..., 0][64:-64, 64:-64].astype(float)
        cells = sample["mask"][64:-64, 64:-64] > 127
        before = image[64:-64, 64:-64].astype(float)
        true = before[mask[64:-64, 64:-64] > 127].mean() - before[mask[64:-64, 64:-64] <= 127].mean()
        contrast.append((inside[cells].mean() - inside[~cells].mean()) / true)
    assert np.mean(contrast) > 0.7
