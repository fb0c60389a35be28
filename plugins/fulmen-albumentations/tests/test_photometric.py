"""What pixels become, against SciPy, PIL and closed forms."""

from typing import Any

import albumentations as A
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_sample_image

from fulmen.augment import ImagePipeline
from fulmen_albumentations.photometric import ColorJitter, gaussian_kernel
from fulmen_albumentations.policies import Equalize, Sharpness, rand_augment, trivial_augment

Array = NDArray[Any]


@pytest.fixture(scope="module")
def photo() -> Array:
    return np.ascontiguousarray(load_sample_image("flower.jpg")[100:228, 200:360])


def draws(spec: Any, image: Array, n: int) -> Array:
    pipeline = ImagePipeline([spec], (image.shape[2], *image.shape[:2]))
    return pipeline([image] * n, torch.arange(n)).permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_color_jitter_without_three_channels(channels: int) -> None:
    image = np.random.default_rng(0).random((16, 16, channels)).astype(np.float32)
    bright = ColorJitter((0.5, 0.5), (1, 1), (1, 1), (0, 0), p=1)(image=image)["image"]
    np.testing.assert_allclose(bright, image * 0.5, rtol=1e-5)
    contrast = ColorJitter((1, 1), (0.4, 0.4), (1, 1), (0, 0), p=1)(image=image)["image"]
    np.testing.assert_allclose(contrast, image.mean() + 0.4 * (image - image.mean()), rtol=1e-4)
    colors = {"name": "color_jitter", "brightness": 0, "contrast": 0, "saturation": 1, "hue": 0.5}
    np.testing.assert_array_equal(draws(colors, image, 3), np.stack([image] * 3))


def test_color_jitter_of_photos_matches_pil(photo: Array) -> None:
    """Brightness and saturation are PIL's blends with black and with gray."""
    for option, enhance in [("brightness", ImageEnhance.Brightness), ("saturation", ImageEnhance.Color)]:
        neutral: dict[str, Any] = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1), "hue": (0, 0)}
        changed = ColorJitter(**{**neutral, option: (0.6, 0.6)}, p=1)(image=photo)["image"]
        expected = np.asarray(enhance(Image.fromarray(photo)).enhance(0.6))
        assert np.abs(changed.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.5])
def test_gaussian_kernel(sigma: float) -> None:
    kernel = gaussian_kernel(sigma)[:, 0]
    impulse = np.zeros(len(kernel))
    impulse[len(kernel) // 2] = 1
    expected = gaussian_filter(impulse, sigma, mode="constant", truncate=len(kernel) // 2 / sigma)
    np.testing.assert_allclose(kernel, expected, atol=1e-3)


def test_blur_is_a_share_of_the_shorter_side() -> None:
    image = np.random.default_rng(0).random((50, 80, 2)).astype(np.float32)
    (blurred,) = draws({"name": "blur", "sigma": [0.04, 0.04], "p": 1.0}, image, 1)
    expected = gaussian_filter(image, (2, 2, 0), truncate=3)
    np.testing.assert_allclose(blurred[8:-8, 8:-8], expected[8:-8, 8:-8], atol=1e-4)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_noise_is_a_share_of_the_range(dtype: Any) -> None:
    full = 255 if dtype is np.uint8 else 1
    image = np.full((64, 64, 4), full / 2, dtype)
    (noisy,) = draws({"name": "noise", "std": [0.1, 0.1], "p": 1.0}, image, 1)
    added = noisy.astype(float) - image
    assert added.std() == pytest.approx(0.1 * full, rel=0.05)
    assert np.corrcoef(added.reshape(-1, 4).T) == pytest.approx(np.eye(4), abs=0.08)


@pytest.mark.parametrize(("height", "width", "fraction", "side"), [(8, 8, 0.1, 1), (8, 12, 0.2, 2), (40, 60, 1.0, 40)])
def test_cutout_is_a_square_of_whole_pixels(height: int, width: int, fraction: float, side: int) -> None:
    image = np.full((height, width, 3), 9, np.uint8)
    for out in draws({"name": "cutout", "fraction": fraction, "p": 1.0}, image, 20):
        rows, columns = np.nonzero(out[..., 0] == 0)
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1, len(rows)) == (side, side, side * side)


def test_cutout_with_several_holes() -> None:
    image = np.full((100, 100, 1), 9, np.uint8)
    black = (draws({"name": "cutout", "fraction": 0.1, "holes": 5, "p": 1.0}, image, 20) == 0).sum((1, 2, 3))
    assert black.max() == 500
    assert black.min() > 250


@pytest.mark.parametrize("factor", [0.1, 0.6, 1.0, 1.9])
def test_sharpness_is_that_of_pil(photo: Array, factor: float) -> None:
    changed = Sharpness((factor, factor))(image=photo)["image"].astype(int)
    expected = np.asarray(ImageEnhance.Sharpness(Image.fromarray(photo)).enhance(factor))
    assert np.abs(changed - expected)[1:-1, 1:-1].max() <= 2  # PIL rounds twice, and leaves the border


def test_equalize_of_many_channels_is_channel_by_channel(photo: Array) -> None:
    five = np.concatenate([photo, photo[..., :2]], axis=2)
    out = Equalize(p=1)(image=five)["image"]
    for channel in range(5):
        alone = Equalize(p=1)(image=np.ascontiguousarray(five[..., channel : channel + 1]))["image"]
        np.testing.assert_array_equal(out[..., channel], alone[..., 0])


def names(policy: Any) -> list[str]:
    inner = [t.transforms[0] if isinstance(t, A.OneOf) else t for t in policy.transforms]
    return [type(t).__name__ for t in inner]


OPERATIONS = "NoOp AutoContrast Equalize Solarize Posterize Affine Affine Affine Affine Affine ColorJitter ColorJitter "


def test_rand_augment_at_its_full_strength(photo: Array) -> None:
    policy = rand_augment(num_ops=3, magnitude=10)
    assert names(policy) == (OPERATIONS + "ColorJitter Sharpness").split()
    assert (policy.n, policy.replace) == (3, True)
    pil = Image.fromarray(photo)
    solarize, posterize, rotate = policy.transforms[3:6]
    np.testing.assert_array_equal(solarize(image=photo)["image"], np.asarray(ImageOps.solarize(pil, 0)))
    np.testing.assert_array_equal(posterize(image=photo)["image"], np.asarray(ImageOps.posterize(pil, 4)))
    assert [t.rotate for t in rotate.transforms] == [(-30, -30), (30, 30)]
    factors = [t.brightness for t in policy.transforms[10].transforms]
    np.testing.assert_allclose(factors, [(0.1, 0.1), (1.9, 1.9)])


def test_rand_augment_grows_with_its_magnitude(photo: Array) -> None:
    changes = []
    for magnitude in (1, 5, 10):
        out = draws({"name": "rand_augment", "magnitude": magnitude}, photo, 150)
        changes.append(np.abs(out.astype(int) - photo).mean())
    assert changes == sorted(changes)
    assert changes[2] > 1.5 * changes[0]


def test_trivial_augment_draws_each_operation_equally_often(photo: Array) -> None:
    policy = trivial_augment()
    assert names(policy) == (OPERATIONS + "ColorJitter Sharpness").split()
    assert policy.transforms_ps == pytest.approx([1 / 14] * 14)
    assert policy.transforms[5].rotate == (-135, 135)
    assert trivial_augment(wide=False).transforms[5].rotate == (-30, 30)


def test_presets_grow(photo: Array) -> None:
    changes = [np.abs(draws(name, photo, 60).astype(int) - photo).mean() for name in ("light", "medium", "strong")]
    assert changes == sorted(changes)
    assert changes[2] > 1.3 * changes[0]


@pytest.mark.parametrize("name", ["light", "medium", "strong"])
def test_presets_flip_as_told(name: str) -> None:
    """The left half is dark: on average it stays so, unless half of the images are mirrored."""
    image = np.full((32, 32, 1), 60, np.uint8)
    image[:, 16:] = 180
    for flips, mirrored in [("none", False), ("horizontal", True)]:
        mean = draws({"name": name, "flips": flips}, image, 300).mean(axis=(0, 3))
        difference = mean[8:24, 24:].mean() - mean[8:24, :8].mean()
        assert abs(difference) < 25 if mirrored else difference > 60
