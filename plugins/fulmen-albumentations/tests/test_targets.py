"""Masks, boxes and keypoints stay with the pixels of their image."""

import random
import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fulmen.augment import ImagePipeline
from fulmen.core.errors import ConfigError, DataError
from fulmen_albumentations import AlignedPipeline

SIDE = 96
POINTS = np.array([[20, 70], [45, 75], [75, 25], [75, 70]], np.float64)
BOXES = np.array([[20, 15, 52, 45]], np.float64)
NESTED: dict[str, dict[str, Any]] = {
    "one_of": {"transforms": ["flip", {"name": "rotate", "degrees": 30}, "crop"]},
    "some_of": {"transforms": ["translate", "noise", {"name": "one_of", "transforms": ["crop", "shear"]}]},
}
NAMES = sorted(
    e.name for e in entry_points(group="fulmen.image_augmentations") if e.value.startswith("fulmen_albumentations.")
)
UPRIGHT = {"flip", "translate", "scale", "crop", "resized_crop", "color_jitter", "blur", "noise", "cutout"}
GEOMETRIC = UPRIGHT - {"color_jitter", "blur", "noise", "cutout"} | {"rotate", "shear", "grid_distortion", "elastic"}


def spec(name: str) -> dict[str, Any]:
    return {"name": name, "p": 1.0, **NESTED.get(name, {})}


def scene() -> NDArray[np.int64]:
    """A mask with a filled box (label 1) and a disc at each keypoint (labels 2 to 5)."""
    mask = np.zeros((SIDE, SIDE), np.int64)
    x0, y0, x1, y1 = BOXES[0].astype(int)
    mask[y0:y1, x0:x1] = 1
    y, x = np.mgrid[:SIDE, :SIDE]
    for label, (px, py) in enumerate(POINTS, start=2):
        mask[(x - px) ** 2 + (y - py) ** 2 <= 16] = label
    return mask


def samples(name: str, n: int = 25) -> Iterator[dict[str, Any]]:
    mask = scene()
    image = np.ascontiguousarray(np.broadcast_to((mask == 1)[..., None] * np.uint8(255), (SIDE, SIDE, 3)))
    pipeline = AlignedPipeline([spec(name)], (3, SIDE, SIDE), boxes="pascal_voc", keypoints="xy")
    for index in range(n):
        yield pipeline(
            image,
            index=index,
            mask=mask,
            boxes=BOXES,
            labels=["box"],
            keypoints=POINTS,
            keypoint_labels=np.arange(2, 6),
        )


@pytest.mark.parametrize("name", NAMES)
def test_keypoints_stay_with_their_pixels(name: str) -> None:
    area, seen = (scene() == 2).sum(), 0
    for sample in samples(name):
        assert sample["keypoint_labels"].dtype == np.arange(2).dtype
        for (x, y), label in zip(sample["keypoints"], sample["keypoint_labels"], strict=True):
            rows, columns = np.nonzero(sample["mask"] == label)
            inside = len(rows) and rows.min() > 0 < columns.min() and max(rows.max(), columns.max()) < SIDE - 1
            if inside and len(rows) > area / 3:
                assert np.hypot(columns.mean() - x, rows.mean() - y) < 1.2
                seen += 1
    assert seen > 30


@pytest.mark.parametrize("name", NAMES)
def test_boxes_stay_with_their_pixels(name: str) -> None:
    seen = 0
    for sample in samples(name):
        assert sample["boxes"].dtype == np.float32
        rows, columns = np.nonzero(sample["mask"] == 1)
        if not len(sample["boxes"]):
            assert len(rows) < 10
            assert sample["labels"] == []
            continue
        ((x0, y0, x1, y1),) = sample["boxes"]
        assert 0 <= x0 < x1 <= SIDE >= y1 > y0 >= 0
        if len(rows) < 10:
            continue
        tight = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        outside = np.array([x0, y0, -x1, -y1]) - tight * [1, 1, -1, -1]
        assert outside.max() <= 1.05, "it holds all of its pixels"
        if name in UPRIGHT:
            assert np.abs(outside).max() <= 1.05, "and no more"
        seen += 1
    assert seen > 12


@pytest.mark.parametrize("name", sorted(GEOMETRIC))
def test_masks_stay_with_their_image(name: str) -> None:
    for sample in samples(name):
        mask, image = sample["mask"] == 1, sample["image"][..., 0] > 127
        assert (mask ^ image).sum() <= 0.08 * mask.sum() + 4
        assert sample["mask"].dtype == np.int64
        assert set(np.unique(sample["mask"])) <= set(range(6))


@pytest.mark.parametrize("name", ["color_jitter", "blur", "noise", "cutout"])
def test_photometric_changes_move_nothing(name: str) -> None:
    for sample in samples(name, 5):
        np.testing.assert_array_equal(sample["mask"], scene())
        np.testing.assert_allclose(sample["boxes"], BOXES, atol=1e-4)


def test_keypoints_under_a_hole_are_dropped() -> None:
    image, points = np.full((8, 8, 3), 9, np.uint8), np.argwhere(np.ones((8, 8)))[:, ::-1]
    cutout = AlignedPipeline([{"name": "cutout", "fraction": 0.5, "p": 1.0}], keypoints="xy")
    sample = cutout(image, index=0, keypoints=points)
    x, y = sample["keypoints"].astype(int).T
    assert len(x) == 48
    assert (sample["image"][y, x] == 9).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_image_is_that_of_the_image_pipeline(name: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    specs = ["flip", spec(name), "translate"]
    expected = ImagePipeline(specs, (3, 32, 32), seed=4)([image] * 5, torch.arange(5), epoch=2)
    pipeline = AlignedPipeline(specs, (3, 32, 32), boxes="yolo", keypoints="xy", seed=4)
    for index in (4, 0, 2):
        sample = pipeline(
            image, index=index, epoch=2, mask=image[..., 0], boxes=[[0.5, 0.5, 0.2, 0.2]], keypoints=[[16, 16]]
        )
        np.testing.assert_array_equal(sample["image"], expected[index].permute(1, 2, 0).numpy())


def test_depends_on_seed_epoch_and_row_alone() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)

    def boxes(seed: int = 0, epoch: int = 0, index: int = 0) -> bytes:
        pipeline = AlignedPipeline(["strong"], boxes="coco", seed=seed)
        pipeline(image, index=9)
        made: NDArray[np.float32] = pipeline(image, index=index, epoch=epoch, boxes=[[8, 8, 9, 5]])["boxes"]
        return made.tobytes()

    state = random.getstate(), np.random.get_state()[1].tobytes()  # type: ignore[index, union-attr] # noqa: NPY002
    assert boxes() == boxes()
    assert len({boxes(), boxes(seed=1), boxes(epoch=1), boxes(index=1)}) == 4
    assert state == (random.getstate(), np.random.get_state()[1].tobytes())  # type: ignore[index, union-attr] # noqa: NPY002


def test_formats_agree() -> None:
    image = np.zeros((40, 80, 3), np.uint8)
    formats = {
        "pascal_voc": [10, 5, 30, 15],
        "coco": [10, 5, 20, 10],
        "albumentations": [10 / 80, 5 / 40, 30 / 80, 15 / 40],
        "yolo": [20 / 80, 10 / 40, 20 / 80, 10 / 40],
    }
    found = {}
    for form, box in formats.items():
        pipeline: Any = AlignedPipeline(["medium", "crop"], (3, 40, 80), boxes=form)  # type: ignore[arg-type]
        (found[form],) = pipeline(image, index=1, boxes=[box])["boxes"].astype(float)
    x0, y0, x1, y1 = found["pascal_voc"]
    size = np.array([80, 40, 80, 40])
    np.testing.assert_allclose(found["coco"], [x0, y0, x1 - x0, y1 - y0], atol=1e-4)
    np.testing.assert_allclose(found["albumentations"] * size, found["pascal_voc"], atol=1e-4)
    np.testing.assert_allclose(found["yolo"] * size, [(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], atol=1e-4)


FLIP = {"name": "flip", "p": 1.0}
coordinates = st.tuples(*[st.integers(-20, 60)] * 4)


@given(boxes=st.lists(coordinates, max_size=6))
@settings(max_examples=60, deadline=None)
def test_boxes_are_clipped_dropped_and_keep_their_labels(boxes: list[tuple[int, ...]]) -> None:
    """A flip has a closed form, which says what must come out."""
    given_boxes = [(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in boxes]
    clipped = [(max(a, 0), max(b, 0), min(c, 40), min(d, 30)) for a, b, c, d in given_boxes]
    kept = [i for i, (a, b, c, d) in enumerate(clipped) if c > a and d > b]
    expected = [(40 - clipped[i][2], clipped[i][1], 40 - clipped[i][0], clipped[i][3]) for i in kept]
    pipeline = AlignedPipeline([FLIP], boxes="pascal_voc")
    sample = pipeline(np.zeros((30, 40, 1), np.uint8), index=0, boxes=given_boxes, labels=list(range(len(boxes))))
    np.testing.assert_allclose(sample["boxes"], np.reshape(expected, (-1, 4)), atol=1e-4)
    assert sample["labels"] == kept
    assert all(type(label) is int for label in sample["labels"])


@pytest.mark.parametrize("empty", [[], np.zeros((0, 4)), torch.zeros(0, 4)])
def test_no_boxes(empty: Any) -> None:
    pipeline = AlignedPipeline(["strong"], boxes="coco", keypoints="xy")
    sample = pipeline(np.zeros((30, 40, 3), np.uint8), index=0, boxes=empty, labels=[], keypoints=[])
    assert (sample["boxes"].shape, sample["labels"], sample["keypoints"].shape) == ((0, 4), [], (0, 2))


def test_boxes_that_left_are_dropped_with_their_labels() -> None:
    shift = {"name": "albumentations.Affine", "translate_percent": {"x": [0.5, 0.5], "y": [0, 0]}, "p": 1.0}
    pipeline = AlignedPipeline([shift, shift], boxes="pascal_voc", keypoints="yx", min_visibility=0.3)
    boxes = [[0, 0, 10, 10], [50, 0, 90, 10], [99, 0, 100, 10]]
    sample = pipeline(np.zeros((20, 200, 3), np.uint8), index=0, boxes=boxes, labels=torch.tensor([7, 8, 9]))
    assert (len(sample["boxes"]), sample["labels"].tolist()) == (0, [])
    (once,) = AlignedPipeline([shift], boxes="pascal_voc")(np.zeros((20, 200, 3), np.uint8), index=0, boxes=boxes[:1])[
        "boxes"
    ].tolist()
    assert once == pytest.approx([100, 0, 110, 10], abs=1e-3)


def test_min_visibility() -> None:
    shift = {"name": "albumentations.Affine", "translate_px": {"x": [30, 30], "y": [0, 0]}, "p": 1.0}
    boxes = [[60, 0, 80, 10], [60, 0, 100, 10]]  # half of the first stays, a quarter of the second
    for share, kept in [(0.0, [0, 1]), (0.4, [0]), (0.6, [])]:
        pipeline = AlignedPipeline([shift], boxes="pascal_voc", min_visibility=share)
        sample = pipeline(np.zeros((20, 100, 3), np.uint8), index=0, boxes=boxes, labels=[0, 1])
        assert sample["labels"] == kept


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8, np.uint16, np.int32, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("name", ["rotate", "elastic", "crop", "resized_crop", "strong"])
def test_masks_keep_their_type_and_their_values(name: str, dtype: Any) -> None:
    values = np.array([0, 1] if dtype is bool else [0, 3, 100, 101, -7 if np.dtype(dtype).kind in "if" else 7])
    mask = np.random.default_rng(0).choice(values, (20, 30, 2)).astype(dtype)
    out = AlignedPipeline([spec(name)], (3, 20, 30))(np.zeros((20, 30, 3), np.uint8), index=0, mask=mask)["mask"]
    assert (out.dtype, out.shape) == (mask.dtype, mask.shape)
    assert set(np.unique(out)) <= {0, *np.unique(mask).tolist()}


IMAGE = np.zeros((10, 10, 3), np.uint8)
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"image": IMAGE.astype(np.int64)}, "the image of sample 3 is (10, 10, 3) int64; allowed: (H, W, C) of uint8"),
    ({"image": IMAGE[..., 0]}, "the image of sample 3 is (10, 10) uint8"),
    ({"mask": np.zeros((9, 10))}, "sample 3 cannot be used: Height and Width of image, mask or masks should be equal"),
    ({"mask": np.full((10, 10), 1 << 40)}, "the mask of sample 3 has values beyond 16777216"),
    ({"boxes": [[1, 2, 3]]}, "boxes of sample 3 are (1, 3); needed: (N, 4) finite numbers"),
    ({"boxes": [[1, 2, 3, float("nan")]]}, "boxes of sample 3 are (1, 4); needed: (N, 4) finite numbers"),
    ({"boxes": [[0, 0, 1, 1], [5, 2, 3, 4]]}, "box 1 of sample 3, [5.0, 2.0, 3.0, 4.0], ends before it begins"),
    ({"boxes": [[0, 0, 1, 1]], "labels": [1, 2]}, "sample 3 has 1 boxes and 2 labels of them"),
    ({"keypoints": [[0, 0]]}, "sample 3 has keypoints, whose format is not known; write keypoints=..."),
]


@pytest.mark.parametrize(("given", "message"), WRONG)
def test_wrong_samples(given: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        AlignedPipeline(["flip"], boxes="pascal_voc")(**{"image": IMAGE, **given}, index=3)


def test_wrong_pipelines() -> None:
    with pytest.raises(ConfigError, match="min_visibility: 2 is out of range"):
        AlignedPipeline(["flip"], min_visibility=2)
    with pytest.raises(ConfigError, match=r"augment\[0\]: image_shape: None does not say what to cut to"):
        AlignedPipeline(["crop"])
    with pytest.raises(ConfigError, match=r"augment\[0\]: 'dict' makes a dict, which is no transform|augment\[0\]"):
        AlignedPipeline([{"nam": "flip"}])


def test_failure_names_sample_and_transform() -> None:
    with pytest.raises(DataError, match=r"'albumentations.MaskDropout' failed on sample 5: ValueError: MaskDropout"):
        AlignedPipeline(["flip", {"name": "albumentations.MaskDropout", "p": 1.0}])(IMAGE, index=5)
