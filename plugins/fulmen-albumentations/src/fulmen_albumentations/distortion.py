"""Smooth distortions, described by where each pixel of the output comes from."""

from __future__ import annotations

import math
from typing import Any

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

from fulmen.core.errors import ConfigError
from fulmen_albumentations.geometric import _BORDERS, Border
from fulmen_albumentations.options import probability, within
from fulmen_albumentations.photometric import gaussian_kernel

Floats = NDArray[np.float32]
_CELLS = 4  # cells of the coarse grid in one standard deviation: finer ones change the field by less than 1 %
_ROUNDS = 30


def displacement_field(
    stream: np.random.Generator, shape: tuple[int, int], displacement: float, smoothness: float
) -> Floats:
    """White noise, smoothed with a Gaussian and scaled (Simard et al. 2003).

    The noise is drawn on a grid that is as coarse as the smoothing allows: a field for 16 million pixels takes
    a fraction of a second, and looks like the one for 1,000 pixels.

    Args:
        stream: Where the noise comes from.
        shape: Height and width.
        displacement: Root mean square of each axis, as a share of the shorter side.
        smoothness: Standard deviation of the Gaussian, as a share of the shorter side.

    Returns:
        ``(2, H, W)`` pixels along x and along y.
    """
    side = min(shape)
    step = max(1.0, smoothness * side / _CELLS)
    sigma = smoothness * side / step
    height, width = (math.ceil(length / step) for length in shape)
    kernel = gaussian_kernel(sigma)
    gain = displacement * side / float(np.square(kernel).sum())
    fields = []
    for _ in range(2):
        noise = stream.standard_normal((height, width), np.float32)
        smooth = cv2.sepFilter2D(noise, -1, kernel, kernel, borderType=cv2.BORDER_REFLECT)
        fields.append(cv2.resize(smooth, shape[::-1], interpolation=cv2.INTER_CUBIC) * np.float32(gain))
    return np.stack(fields)


def grid_lines(stream: np.random.Generator, length: int, steps: int, limit: float) -> Floats:
    """Where the pixels of a row come from when its parts are stretched and squeezed.

    Args:
        stream: Where the widths come from.
        length: Number of pixels.
        steps: Number of parts.
        limit: Largest change of a part's width as a share of it, before all are scaled to the length.

    Returns:
        ``(length,)`` places, growing, from 0 to ``length - 1``.
    """
    widths = 1 + stream.uniform(-limit, limit, steps)
    lines = np.concatenate([[0], np.cumsum(widths)]) / widths.sum()
    places = np.interp(np.linspace(0, 1, length), np.linspace(0, 1, steps + 1), lines * (length - 1))
    return np.asarray(places, np.float32)


def moved(points: Floats, map_x: Floats, map_y: Floats) -> Floats:
    """Where points go when the pixel at ``(x, y)`` is taken from ``(map_x[y, x], map_y[y, x])``.

    The map leads from the output to the input, so it is inverted by fixed-point iteration, which converges
    where the distortion does not fold the image.

    Args:
        points: ``(N, 2)`` x and y in the input.
        map_x: ``(H, W)``.
        map_y: ``(H, W)``.

    Returns:
        ``(N, 2)`` x and y in the output.
    """
    source = points.astype(np.float32)
    found = source.copy()
    for _ in range(_ROUNDS):
        x, y = found[:, :1], found[:, 1:]
        inside = np.clip(x, 0, map_x.shape[1] - 1), np.clip(y, 0, map_x.shape[0] - 1)
        back = np.hstack([cv2.remap(m, *inside, interpolation=cv2.INTER_LINEAR) for m in (map_x, map_y)])
        found = np.hstack(inside) + source - back
    return found


class _Distortion:
    """Keypoints to a hundredth of a pixel; albumentations paints discs and looks for their first pixel."""

    def apply_to_keypoints(self, keypoints: NDArray[Any], map_x: Floats, map_y: Floats, **params: Any) -> NDArray[Any]:
        if not len(keypoints):
            return keypoints
        return np.column_stack([moved(keypoints[:, :2], map_x, map_y), keypoints[:, 2:]])


class GridDistortion(_Distortion, A.GridDistortion):  # type: ignore[misc]
    """albumentations' grid distortion, with a grid that fits images of any size.

    albumentations takes whole pixels for a column, so that a side shorter than the number of columns fails, and
    other sides lose their last pixel to the outside.
    """

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draws the two maps for an image of this size."""
        height, width = params["shape"][:2]
        limit = self.distort_limit[1]
        x, y = (grid_lines(self.random_generator, length, self.num_steps, limit) for length in (width, height))
        return {"map_x": np.tile(x, (height, 1)), "map_y": np.tile(y[:, None], (1, width))}


class Elastic(_Distortion, A.ElasticTransform):  # type: ignore[misc]
    """albumentations' elastic transform, measured in shares of the image.

    Args:
        displacement: See :func:`displacement_field`.
        smoothness: See :func:`displacement_field`.
        border_mode: OpenCV's name of the border.
        p: Probability.
    """

    def __init__(self, displacement: float, smoothness: float, border_mode: int, p: float) -> None:
        super().__init__(border_mode=border_mode, p=p)
        self.displacement, self.smoothness = displacement, smoothness

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draws the two maps for an image of this size."""
        height, width = params["shape"][:2]
        dx, dy = displacement_field(self.random_generator, (height, width), self.displacement, self.smoothness)
        return {
            "map_x": dx + np.arange(width, dtype=np.float32),
            "map_y": dy + np.arange(height, dtype=np.float32)[:, None],
        }


def grid_distortion(steps: int = 5, limit: float = 0.3, p: float = 0.5) -> GridDistortion:
    """Stretches and squeezes the columns and rows of a grid; the image's border stays where it is.

    Args:
        steps: Number of columns and of rows, at least 1.
        limit: Largest change of a column's width or a row's height, as a share of it, in [0, 0.9].
        p: Probability in [0, 1].

    Raises:
        ConfigError: If an option is out of range.
    """
    within("steps", steps, 1)
    within("limit", limit, 0, 0.9)
    return GridDistortion(num_steps=steps, distort_limit=(-limit, limit), p=probability(p))


def elastic(
    displacement: float = 0.03, smoothness: float = 0.15, border: Border = "constant", p: float = 0.5
) -> Elastic:
    """Moves each pixel by a smooth random field.

    Simard et al. 2003, "Best practices for convolutional neural networks applied to visual document analysis"
    (https://doi.org/10.1109/ICDAR.2003.1227801), with which handwriting looks as if another hand had written it.

    Args:
        displacement: How far pixels move (root mean square of each axis) as a share of the shorter side, in
            [0, 1]; at most half of ``smoothness``, beyond which the image folds.
        smoothness: Standard deviation of the smoothing as a share of the shorter side, in [0.01, 1].
        border: What comes in from outside: ``constant`` (black), ``edge`` (the border's pixels), ``reflect``.
        p: Probability in [0, 1].

    Raises:
        ConfigError: If an option is out of range.
    """
    within("displacement", displacement, 0, 1)
    within("smoothness", smoothness, 0.01, 1)
    if displacement > smoothness / 2:
        raise ConfigError(
            f"displacement: {displacement:g} folds the image; allowed: displacement <= {smoothness / 2:g}, "
            f"which is half of smoothness"
        )
    return Elastic(displacement, smoothness, _BORDERS[border], probability(p))
