"""albumentations' own transforms by dotted name, and the quirks of 2.0.8 that the package has to know."""

import warnings
from typing import Any

import albumentations as A
import numpy as np
import pytest
import torch

from fulmen.augment import ImagePipeline
from fulmen.core.errors import DataError, SpecError

SIZE = {"height": 32, "width": 32}
OPTIONS: dict[str, dict[str, Any]] = {
    "CenterCrop": SIZE,
    "RandomCrop": SIZE,
    "Resize": SIZE,
    "AtLeastOneBBoxRandomCrop": SIZE,
    "Crop": {"x_max": 32, "y_max": 32},
    "CropAndPad": {"percent": 0.1},
    "FrequencyMasking": {"freq_mask_param": 8},
    "TimeMasking": {"time_mask_param": 8},
    "GridElasticDeform": {"num_grid_xy": [4, 4], "magnitude": 5},
    "LongestMaxSize": {"max_size": 32},
    "SmallestMaxSize": {"max_size": 32},
    "PadIfNeeded": {"min_height": 32, "min_width": 32},
    "RandomResizedCrop": {"size": [32, 32]},
    "RandomSizedCrop": {"min_max_height": [16, 32], "size": [32, 32]},
    "XYMasking": {"num_masks_x": 1, "num_masks_y": 1, "mask_x_length": 4, "mask_y_length": 4},
}
"""What must be given so that a transform can be made, and gives 32 pixels."""

EXCEPTIONS = {
    "a base class": "BasicTransform DualTransform ImageOnlyTransform Transform3D",
    "for volumes": "CenterCrop3D CoarseDropout3D CubicSymmetry Pad3D PadIfNeeded3D RandomCrop3D ToTensor3D",
    "needs other images": "FDA HistogramMatching Mosaic OverlayElements PixelDistributionAdaptation",
    "needs a font": "TextImage",
    "needs a mask": "MaskDropout CropNonEmptyMaskIfExists ConstrainedCoarseDropout",
    "needs boxes": "BBoxSafeRandomCrop RandomSizedBBoxSafeCrop RandomCropNearBBox",
    "gives another type": "FromFloat ToFloat Normalize ToTensorV2",
    "gives other sizes": "RandomScale RandomCropFromBorders",
    "takes gray images": "ToRGB",
}
PUBLIC = sorted(n for n, t in vars(A).items() if isinstance(t, type) and issubclass(t, A.BasicTransform))
EXCEPTED = {name for names in EXCEPTIONS.values() for name in names.split()}


def images(dtype: Any = np.uint8) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32), dtype=np.uint8).astype(dtype))


def pipeline(name: str, **options: Any) -> ImagePipeline:
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "(ShiftScaleRotate|Time|Frequency|This augmenter is very slow).*", UserWarning
        )
        return ImagePipeline([{"name": f"albumentations.{name}", **options}], (3, 32, 32))


def test_the_exceptions_are_real() -> None:
    assert set(PUBLIC) >= EXCEPTED | set(OPTIONS)
    assert len(PUBLIC) - len(EXCEPTED) > 90


@pytest.mark.parametrize("name", [n for n in PUBLIC if n not in EXCEPTED])
def test_every_transform_works_by_its_dotted_name(name: str) -> None:
    augment, rows = pipeline(name, p=1.0, **OPTIONS.get(name, {})), torch.arange(4)
    whole = augment(images(), rows)
    assert (whole.dtype, whole.shape) == (torch.uint8, (4, 3, 32, 32))
    arrays = [np.ascontiguousarray(image.permute(1, 2, 0)) for image in images()]
    assert torch.equal(whole, augment(arrays, rows))
    assert torch.equal(torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2), images()), "it changes what it is given"
    backwards = torch.cat([augment(images()[i : i + 1], rows[i : i + 1]) for i in (3, 2, 1, 0)])
    assert torch.equal(whole, backwards.flip(0)), "it keeps a stream or a state of its own"


@pytest.mark.parametrize("name", sorted(EXCEPTED - {"Transform3D", "ToTensor3D"}))
def test_the_exceptions_fail_with_a_message(name: str) -> None:
    rejected: Any = (SpecError, DataError, NotImplementedError)
    with pytest.raises(rejected):
        pipeline(name, p=1.0, **OPTIONS.get(name, {}))(images(), torch.arange(4))


def test_a_misspelt_option_is_refused() -> None:
    """albumentations itself only warns."""
    with pytest.warns(UserWarning, match="'std_rang' are not valid"):
        A.GaussNoise(std_rang=(0.1, 0.2))
    with pytest.raises(SpecError, match=r"augment\[0\].std_rang: unknown option 'std_rang'.*did you mean 'std_range'"):
        pipeline("GaussNoise", std_rang=[0.1, 0.2])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("GaussNoise", {"std_range": [2, 3]}),
        ("Affine", {"scale": "big"}),
        ("RandomCrop", {"height": "a", "width": 3}),
        ("HorizontalFlip", {"p": 1.5}),
    ],
)
def test_a_wrong_value_is_refused(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=r"augment\[0\].*albumentations"):
        pipeline(name, **options)


def test_compositions_are_no_dotted_transforms() -> None:
    with pytest.raises(SpecError, match=r"must be a subclass of albumentations.BasicTransform"):
        pipeline("OneOf", transforms=["flip"])


@pytest.mark.parametrize("dtype", [np.int64, np.float64, np.uint16])
def test_other_types_fail_with_the_sample(dtype: Any) -> None:
    """Quirk: many transforms do not take them, and say so in OpenCV's words."""
    with pytest.raises(DataError, match=r"'albumentations.(ColorJitter|Equalize)' failed on sample 0|uint8"):
        pipeline("Equalize", p=1.0)(images(dtype), torch.arange(4))


def test_boxes_of_albumentations_itself() -> None:
    """Quirk: integer labels come back as floats; a box without area is an error."""
    compose = A.Compose([A.HorizontalFlip(p=1)], bbox_params=A.BboxParams("pascal_voc"), seed=0)
    image = np.zeros((8, 8, 3), np.uint8)
    assert compose(image=image, bboxes=[[0, 0, 2, 2, 1]])["bboxes"] == [[6, 0, 8, 2, 1]]
    assert {type(value) for value in compose(image=image, bboxes=[[0, 0, 2, 2, 1]])["bboxes"][0]} == {float}
    with pytest.raises(ValueError, match="x_max is less than or equal to x_min"):
        compose(image=image, bboxes=[[2, 0, 2, 2, 1]])


def test_quirks_that_the_short_names_avoid() -> None:
    """Where one of these fails, a newer albumentations has changed, and an adaptation here can go."""
    ones = np.ones((8, 8, 1), np.uint8)
    shift = A.Affine(translate_percent={"x": (0.12, 0.12), "y": (0, 0)}, p=1)
    np.testing.assert_array_equal(shift(image=ones)["image"], ones)  # 0.96 pixels are none
    for share, black in [(0.12, 0), (1.0, 1)]:
        hole = A.CoarseDropout((1, 1), (share, share), (share, share), p=1)
        assert (hole(image=ones)["image"] == 0).sum() == black
    with pytest.raises(ZeroDivisionError):
        A.GridDistortion(num_steps=9, p=1)(image=ones)
    with pytest.raises(TypeError, match="1-channel or 3-channel"):
        A.ColorJitter(p=1)(image=np.ones((8, 8, 5), np.uint8))
    with pytest.raises(ValueError, match="only supported for RGB and grayscale"):
        A.Equalize(p=1)(image=np.ones((8, 8, 5), np.uint8))
