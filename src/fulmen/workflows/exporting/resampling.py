"""The datamodules' antialiased resize as two matrix products, for images of any size in an exported graph.

No graph format has torch's resize of 8-bit images: ONNX's ``Resize`` rounds its weights otherwise, and the pixels that
come out differ by 1 of 255. Here the same numbers come out, bit by bit, of operations that every format has.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fulmen.data.pixels import Interpolation

_REACH = {"bilinear": 1.0, "bicubic": 2.0}
_BITS = 15
"""Weights are whole numbers of so many bits, as large as these hold."""
_MOST = 22
_FIRST_ROWS = 4
"""The largest weight of all stands where the filter is cut off by the border; tests hold this equal to torch."""


class CentreOfResized(nn.Module):
    """Resizes the shorter side of images, antialiased, and cuts the centre out.

    The filters (triangle, and Keys' cubic with a = -0.5, 1981, https://doi.org/10.1109/TASSP.1981.1163711) and the
    order are Pillow's: first along the rows, then along the columns, rounded to 8 bits after each. Weights are rounded
    as torch rounds them for 8-bit images. All sums are of whole numbers below 2^53, so that float64 holds them exactly.

    Args:
        size: Side of the square that is cut out.
        shorter: Length of the resized shorter side, at least ``size``.
        interpolation: ``bilinear`` or ``bicubic``.
    """

    powers: Tensor

    def __init__(self, size: int, shorter: int, interpolation: Interpolation) -> None:
        super().__init__()
        self.size, self.shorter, self.interpolation = size, shorter, interpolation
        self.register_buffer("powers", 2.0 ** torch.arange(1, _MOST + 1, dtype=torch.float64), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """uint8 ``(N, H, W, C)`` to ``(N, C, size, size)`` of float64, whole numbers from 0 to 255."""
        height, width = (torch.scalar_tensor(images.shape[i], dtype=torch.float64) for i in (1, 2))
        shorter = torch.scalar_tensor(self.shorter, dtype=torch.float64)  # number / tensor would take the reciprocal
        factor = shorter / torch.minimum(height, width)
        x = images.permute(0, 3, 1, 2).double()
        columns, column_unit = self.weights(width, factor, images.shape[2])
        x = _rounded(torch.matmul(x, columns.transpose(0, 1)), column_unit)
        rows, row_unit = self.weights(height, factor, images.shape[1])
        return _rounded(torch.matmul(rows, x), row_unit)

    def weights(self, length: Tensor, factor: Tensor, places: int) -> tuple[Tensor, Tensor]:
        """What each pixel of a side counts for in the result.

        Args:
            length: Of the side, a scalar.
            factor: By which sides are multiplied.
            places: ``length`` as a number.

        Returns:
            Whole numbers ``(size, places)``, and what stands for 1.
        """
        resized = torch.round(length * factor).clamp_min(self.shorter)
        start = torch.floor((resized - self.size) / 2)
        outputs = torch.cat(
            [
                torch.arange(_FIRST_ROWS, dtype=torch.float64, device=length.device),
                torch.arange(self.size, dtype=torch.float64, device=length.device) + start,
            ]
        )
        scale = length / resized
        stretch = scale.clamp_min(1.0)
        support = _REACH[self.interpolation] * stretch
        centre = ((outputs + 0.5) * scale)[:, None]
        first = torch.floor(centre - support + 0.5).clamp_min(0.0)  # towards 0: no pixel is before the first
        end = torch.minimum(torch.floor(centre + support + 0.5), length)
        place = torch.arange(places, dtype=torch.float64, device=length.device)[None]
        found = self._filter((place - centre + 0.5) * stretch.reciprocal())
        found = torch.where((place >= first) & (place < end), found, torch.zeros_like(found))
        found = found / found.sum(1, keepdim=True)
        fits = torch.floor(0.5 + found.amax(dim=(0, 1)) * self.powers) < 2.0**_BITS
        unit = torch.where(fits, self.powers, torch.ones_like(self.powers)).amax(dim=0)
        whole = torch.sign(found) * torch.floor(found.abs() * unit + 0.5)
        return whole[_FIRST_ROWS:], unit

    def _filter(self, x: Tensor) -> Tensor:
        x = x.abs()
        if self.interpolation == "bilinear":
            return (1.0 - x).clamp_min(0.0)
        near = (1.5 * x - 2.5) * x * x + 1.0
        far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
        return torch.where(x < 1.0, near, torch.where(x < 2.0, far, torch.zeros_like(x)))


def _rounded(sums: Tensor, unit: Tensor) -> Tensor:
    return torch.floor((sums + unit / 2) / unit).clamp(0.0, 255.0)
