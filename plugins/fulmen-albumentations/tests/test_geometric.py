"""Where pixels go, against NumPy, PIL and closed forms."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fulmen.augment import ImagePipeline
from fulmen.core.spec import build
from fulmen_albumentations.geometric import affine

Image = NDArray[np.uint8]


def distinct(height: int, width: int) -> Image:
    """No two pixels alike, none of them black."""
    return (np.arange(1, height * width + 1, dtype=np.uint8)).reshape(height, width, 1)


def draws(spec: Any, image: Image, n: int, shape: tuple[int, int, int] | None = None) -> list[Image]:
    pipeline = ImagePipeline([spec], shape or (image.shape[2], *image.shape[:2]))
    out = pipeline([image] * n, torch.arange(n))
    return list(out.permute(0, 2, 3, 1).numpy())


@pytest.mark.parametrize(("direction", "axis"), [("horizontal", 1), ("vertical", 0)])
def test_flip(direction: str, axis: int) -> None:
    image = distinct(6, 10)
    (flipped,) = draws({"name": "flip", "direction": direction, "p": 1.0}, image, 1)
    np.testing.assert_array_equal(flipped, np.flip(image, axis))


def test_flip_both_draws_each_direction_by_itself() -> None:
    image = distinct(2, 2)
    seen = Counter(out.tobytes() for out in draws({"name": "flip", "direction": "both", "p": 0.3}, image, 4000))
    expected = {(): 0.49, (0,): 0.21, (1,): 0.21, (0, 1): 0.09}
    for axes, share in expected.items():
        assert seen[np.flip(image, axes).tobytes()] / 4000 == pytest.approx(share, abs=0.03)


def test_rotation_turns_as_numpy_does() -> None:
    image = distinct(9, 9)
    turned = affine(rotate=(90, 90))(image=image)["image"]
    np.testing.assert_array_equal(turned, np.rot90(image))


def test_rotation_stays_within_its_angle() -> None:
    image = np.zeros((101, 101, 1), np.uint8)
    image[50, 80:] = 255  # a hand that points right
    angles = []
    for out in draws({"name": "rotate", "degrees": 20}, image, 300):
        y, x = (np.average(np.arange(101), weights=out[..., 0].sum(axis)) - 50 for axis in (1, 0))
        angles.append(math.degrees(math.atan2(-y, x)))
    assert -20.5 < min(angles) < -18
    assert 18 < max(angles) < 20.5
    assert abs(np.mean(angles)) < 2


def test_translation_moves_whole_pixels_with_rounding() -> None:
    """A tenth of 8 pixels is 0.8: even draws from [-0.8, 0.8] round to a whole pixel in 3 of 8 cases."""
    image, moves = distinct(8, 8), Counter[tuple[int, int]]()
    for out in draws({"name": "translate", "fraction": 0.1}, image, 2000):
        found = [
            (dy, dx)
            for dy in (-1, 0, 1)
            for dx in (-1, 0, 1)
            if np.array_equal(out, np.pad(image, ((1, 1), (1, 1), (0, 0)))[1 - dy : 9 - dy, 1 - dx : 9 - dx])
        ]
        (move,) = found
        moves[move] += 1
    for axis in (0, 1):
        still = sum(count for move, count in moves.items() if move[axis] == 0) / 2000
        assert still == pytest.approx(5 / 8, abs=0.03)


def test_scale_changes_the_area_by_its_square() -> None:
    image = np.zeros((200, 200, 1), np.uint8)
    image[80:120, 80:120] = 255
    factors = [math.sqrt((out > 127).sum()) / 40 for out in draws({"name": "scale", "range": [0.5, 2]}, image, 200)]
    assert 0.45 < min(factors) < 0.6
    assert 1.9 < max(factors) < 2.05


def test_shear_shifts_rows_by_the_tangent() -> None:
    image = np.zeros((81, 81, 1), np.uint8)
    image[:, 40] = 255
    sheared = affine(shear_x=(30, 30))(image=image)["image"][..., 0].astype(float)
    rows = np.arange(20, 61)
    center = (sheared[rows] * np.arange(81)).sum(1) / sheared[rows].sum(1)
    np.testing.assert_allclose(np.abs(center - 40), np.abs(rows - 40) * math.tan(math.radians(30)), atol=0.1)


@pytest.mark.parametrize("border", ["constant", "edge", "reflect"])
def test_crop_gives_every_window_of_the_padded_image(border: str) -> None:
    image = distinct(8, 16)
    padded = np.pad(image, ((1, 1), (2, 2), (0, 0)), mode=border)  # type: ignore[call-overload]
    windows = {padded[y : y + 8, x : x + 16].tobytes() for y in range(3) for x in range(5)}
    seen = {out.tobytes() for out in draws({"name": "crop", "padding": 0.125, "border": border}, image, 300)}
    assert seen == windows


def test_crop_of_other_sizes() -> None:
    large, small = distinct(12, 14), distinct(4, 5)
    for out in draws({"name": "crop", "padding": 0}, large, 20, (1, 8, 8)):
        assert any(np.array_equal(out, large[y : y + 8, x : x + 8]) for y in range(5) for x in range(7))
    for out in draws({"name": "crop", "padding": 0}, small, 3, (1, 8, 8)):
        assert (out > 0).sum() == 20


def test_resized_crop_of_everything_is_the_image() -> None:
    image = distinct(8, 8)
    (same,) = draws({"name": "resized_crop", "scale": [1, 1], "ratio": [1, 1]}, image, 1)
    np.testing.assert_array_equal(same, image)


def test_resized_crop_sees_its_share_of_the_area() -> None:
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (256, 256, 1)).copy()
    outs = draws({"name": "resized_crop", "scale": [0.25, 0.25], "ratio": [1, 1]}, ramp, 50, (1, 64, 64))
    assert {int(out.max()) - int(out.min()) for out in outs} <= set(range(124, 129))


def test_reflected_border_has_no_black() -> None:
    image = np.full((16, 16, 3), 200, np.uint8)
    for name in ("rotate", "translate", "shear", "scale"):
        assert min(out.min() for out in draws({"name": name, "border": "reflect"}, image, 20)) == 200
    assert min(out.min() for out in draws("rotate", image, 20)) == 0


def test_plain_python() -> None:
    transform = build("image_augmentations", {"name": "crop", "padding": 0.5}, image_shape=(3, 8, 8))
    assert transform(image=np.zeros((8, 8, 3), np.uint8))["image"].shape == (8, 8, 3)
