"""What a datamodule does to a batch, as modules that are exported with the network.

Each is made of the plain facts that :func:`fulmen.workflows.exporting.describing.describe_input` gives, so that a file
that holds the facts alone (safetensors) makes the same module again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fulmen.data.preprocessing import cardinality
from fulmen.data.tokenization import PAD
from fulmen.workflows.exporting.resampling import CentreOfResized

Facts = Mapping[str, Any]


class ImageInputs(nn.Module):
    """Images of any size, all of a batch of the same, resized, cut and normalized.

    Args:
        size: Side of the square that the network sees.
        shorter: What the shorter side is resized to before the centre is cut out.
        interpolation: ``bilinear`` or ``bicubic``.
        mean: Of each channel, of values in [0, 1].
        std: Of each channel.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self, size: int, shorter: int, interpolation: Any, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.resize = CentreOfResized(size, shorter, interpolation)
        scale = [1 / (255 * s) for s in std]
        shift = [-m / s for m, s in zip(mean, std, strict=True)]
        self.register_buffer("scale", torch.tensor(scale)[:, None, None], persistent=False)
        self.register_buffer("shift", torch.tensor(shift)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """uint8 ``(N, H, W, C)`` to float32 ``(N, C, size, size)``."""
        return self.resize(images).float() * self.scale + self.shift  # type: ignore[no-any-return]


class ArrayInputs(nn.Module):
    """Numbers of one shape: bytes are divided by 255, and what was standardized in training is standardized.

    Args:
        mean: ``(*shape)`` of the training samples; ``None``: they were not standardized.
        std: The same.
    """

    mean: Tensor | None
    std: Tensor

    def __init__(self, mean: Tensor | None, std: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """``(N, *shape)``, uint8, float32 or int64, to what the network takes."""
        if features.dtype == torch.uint8:
            features = features.float() / 255
        if self.mean is not None:
            features = (features - self.mean) / self.std
        return features


class TableInputs(nn.Module):
    """Rows of a table: missing numbers are filled in, numbers standardized, codes of categories kept or made 0/1.

    Args:
        columns: What was learned of each column (see :mod:`fulmen.data.preprocessing`).
        one_hot: Whether categories become 0/1 inputs; else their codes are the last inputs.
    """

    median: Tensor
    mean: Tensor
    scale: Tensor
    order: Tensor
    flag_column: Tensor
    flag_code: Tensor

    def __init__(self, columns: Sequence[Facts], one_hot: bool) -> None:
        super().__init__()
        numbers = [column for column in columns if column["kind"] != "category"]
        codes = [cardinality(dict(column)) for column in columns if column["kind"] == "category"]
        self.has_numbers, self.has_categories, self.one_hot = bool(numbers), bool(codes), one_hot
        parts = [part for column in numbers for part in column["parts"].values()]
        for name in ("median", "mean", "scale"):
            found = torch.tensor([part[name] for part in parts], dtype=torch.float64)
            self.register_buffer(name, found, persistent=False)
        order: list[int] = []
        place = 0
        for column in numbers:
            order += range(place, place + len(column["parts"]))
            place += len(column["parts"])
            order += [len(parts) + place - 1] if column["indicator"] else []
        self.register_buffer("order", torch.tensor(order, dtype=torch.long), persistent=False)
        flags = [(i, code) for i, count in enumerate(codes) for code in range(1, count)]
        self.register_buffer("flag_column", torch.tensor([i for i, _ in flags], dtype=torch.long), persistent=False)
        self.register_buffer("flag_code", torch.tensor([code for _, code in flags], dtype=torch.long), persistent=False)

    def forward(self, *parts: Tensor) -> Tensor:
        """Numbers ``(N, K)`` float64, NaN where missing, and codes ``(N, M)`` int64, to float32 ``(N, F)``."""
        made = []
        rest = list(parts)
        if self.has_numbers:
            numbers = rest.pop(0)
            gaps = torch.isnan(numbers)
            values = (torch.where(gaps, self.median, numbers) - self.mean) / self.scale
            made.append(torch.cat([values, gaps.double()], 1).index_select(1, self.order).float())
        if self.has_categories:
            codes = rest.pop(0)
            made.append(
                (codes.index_select(1, self.flag_column) == self.flag_code).float() if self.one_hot else codes.float()
            )
        return torch.cat(made, 1)


class TokenInputs(nn.Module):
    """Token numbers, padded on the right, so that no text is shorter than a network's filters.

    Padding has no influence on what a network says.

    Args:
        more: How many numbers are added.
    """

    def __init__(self, more: int) -> None:
        super().__init__()
        self.more = more

    def forward(self, tokens: Tensor) -> Tensor:
        """``(N, L)`` to ``(N, L + more)``, int64."""
        return functional.pad(tokens, (0, self.more), value=PAD) if self.more else tokens


class GivenInputs(nn.Module):
    """What the network takes as it is: tensors that are prepared elsewhere."""

    def forward(self, inputs: Tensor) -> Tensor:
        """The same."""
        return inputs


def make_inputs(facts: Facts, tensors: Mapping[str, Tensor]) -> nn.Module:
    """The module of a description.

    Args:
        facts: ``input`` of a description.
        tensors: What is too large for it: ``mean`` and ``std`` of arrays.
    """
    kind = facts["kind"]
    if kind == "images":
        return ImageInputs(**{name: facts[name] for name in ("size", "shorter", "interpolation", "mean", "std")})
    if kind == "table":
        return TableInputs(facts["columns"], facts["category_encoding"] == "one_hot")
    if kind == "arrays":
        return ArrayInputs(tensors.get("mean"), tensors.get("std"))
    return GivenInputs()
