"""Smooth distortions: how far pixels move, at which size of image, and where keypoints go."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fulmen_albumentations.distortion import Elastic, displacement_field, elastic, grid_distortion, grid_lines, moved


@pytest.mark.parametrize(("side", "smoothness"), [(28, 0.15), (224, 0.15), (300, 0.05), (600, 0.1)])
def test_displacement_has_the_size_that_was_asked_for(side: int, smoothness: float) -> None:
    stream = np.random.default_rng(0)
    fields = [displacement_field(stream, (side, side), 0.03, smoothness) for _ in range(40)]
    edge = int(2.5 * smoothness * side)  # where the smoothing is reflected, pixels move further
    inner = np.stack(fields)[..., edge : side - edge, edge : side - edge]
    assert np.sqrt(np.square(inner).mean()) == pytest.approx(0.03 * side, rel=0.15)


def test_smoothness_is_the_one_that_was_asked_for() -> None:
    """White noise behind a Gaussian of s correlates by exp(-d^2 / 4 s^2) at distance d."""
    stream = np.random.default_rng(0)
    fields = np.stack([displacement_field(stream, (400, 400), 0.03, 0.05)[0] for _ in range(60)])
    for distance in (10, 20, 40):
        a, b = fields[:, 100:300, 100:300], fields[:, 100:300, 100 + distance : 300 + distance]
        correlation = (a * b).mean() / np.sqrt((a * a).mean() * (b * b).mean())
        assert correlation == pytest.approx(np.exp(-(distance**2) / (4 * 20**2)), abs=0.05)


def test_a_field_looks_alike_at_every_size() -> None:
    small, large = (displacement_field(np.random.default_rng(3), (n, 2 * n), 0.03, 0.15) / n for n in (100, 800))
    np.testing.assert_allclose(large[:, 4::8, 4::8], small, atol=0.004)
    assert np.abs(small).max() > 0.05


@given(seed=st.integers(0, 1000), height=st.integers(20, 60), width=st.integers(20, 60))
@settings(max_examples=30, deadline=None)
def test_moved_inverts_the_map(seed: int, height: int, width: int) -> None:
    stream = np.random.default_rng(seed)
    dx, dy = displacement_field(stream, (height, width), 0.02, 0.15)
    map_x = dx + np.arange(width, dtype=np.float32)
    map_y = dy + np.arange(height, dtype=np.float32)[:, None]
    y, x = stream.integers(4, height - 4, 20), stream.integers(4, width - 4, 20)
    source = np.column_stack([map_x[y, x], map_y[y, x]])
    np.testing.assert_allclose(moved(source, map_x, map_y), np.column_stack([x, y]), atol=0.02)


@pytest.mark.parametrize("make", [elastic, grid_distortion])
def test_keypoints_follow_their_pixels(make: Any) -> None:
    """albumentations' own ways are off by more than half a pixel on average; see the README."""
    transform, errors = make(p=1.0), []
    transform.set_random_seed(0)
    y, x = np.mgrid[:96, :96]
    for px, py in np.random.default_rng(0).integers(24, 72, (40, 2)):
        spot = np.exp(-((x - px) ** 2 + (y - py) ** 2) / 4).astype(np.float32)[..., None]
        out = transform(image=spot, keypoints=np.array([[px, py, 0, 0, 0]], np.float32))
        weight = np.where(out["image"][..., 0] > 0.2, out["image"][..., 0], 0)
        center = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
        errors.append(np.linalg.norm(out["keypoints"][0, :2] - center))
    assert np.mean(errors) < 0.2
    assert max(errors) < 0.7


def test_grid_distortion_keeps_the_border() -> None:
    image = np.zeros((60, 60, 1), np.uint8)
    image[[0, -1]] = image[:, [0, -1]] = 255
    out = grid_distortion(limit=0.3, p=1.0)(image=image)["image"]
    assert min(out[[0, -1]].min(), out[:, [0, -1]].min()) == 255


@given(length=st.integers(1, 200), steps=st.integers(1, 12), limit=st.floats(0, 0.9))
def test_grid_lines(length: int, steps: int, limit: float) -> None:
    lines = grid_lines(np.random.default_rng(0), length, steps, limit)
    assert lines[0] == 0
    assert lines[-1] == pytest.approx(length - 1, rel=1e-5)
    assert (np.diff(lines) > 0).all()
    slopes = np.diff(lines)
    assert slopes.size == 0 or slopes.max() <= (1 + limit) / (1 - limit) + 1e-3


def test_elastic_draws_from_the_stream_it_is_given() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 1), dtype=np.uint8)
    a, b = Elastic(0.03, 0.15, 0, 1.0), Elastic(0.03, 0.15, 0, 1.0)
    a.set_random_seed(5)
    b.set_random_seed(5)
    np.testing.assert_array_equal(a(image=image)["image"], b(image=image)["image"])
