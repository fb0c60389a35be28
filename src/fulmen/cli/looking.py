"""Samples as pictures, with their Grad-CAM beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from fulmen.core.errors import ConfigError, unknown
from fulmen.data import SupervisedDataModule
from fulmen.modules import SupervisedModule
from fulmen.workflows import grad_cam, overlay

_SMOOTH = 144
"""Pixels below which a map is drawn finer than the image."""


@dataclass(frozen=True)
class Maps:
    """Grad-CAM of some samples, to be shown.

    Attributes:
        pictures: ``(N, C, H, W)``, floats in [0, 1].
        overlays: ``(N, 3, h, w)``, floats in [0, 1].
        layer: Where the maps come from.
    """

    pictures: Tensor
    overlays: Tensor
    layer: str


def are_images(data: SupervisedDataModule) -> bool:
    """Whether samples are pictures ``(C, H, W)``."""
    return len(data.input_shape) == 3


def look(
    model: SupervisedModule,
    data: SupervisedDataModule,
    split: str,
    rows: Sequence[int],
    label: str | None = None,
    layer: str | None = None,
) -> Maps:
    """Grad-CAM of some samples.

    Args:
        model: A trained model.
        data: Its data, set up.
        split: Which split the samples are in.
        rows: Their rows there.
        label: Name of the class to look for; ``None``: the one that is predicted.
        layer: See :func:`fulmen.workflows.grad_cam`.

    Raises:
        ConfigError: If the samples are no images, or there is no such class or layer.
    """
    if not are_images(data):
        raise ConfigError(
            f"data: Grad-CAM needs images (C, H, W), and the samples of {type(data).__name__} have the shape "
            f"{list(data.input_shape)}"
        )
    names = model.task.class_names
    if label is not None and label not in names:
        raise ConfigError(f"class: {unknown('class', label, names)}")
    batch: Any = data.datasets[split].__getitems__(list(rows))
    moved = data.on_after_batch_transfer(data.transfer_batch_to_device(batch, model.device, 0), 0)
    classes = None if label is None else torch.full((len(rows),), names.index(label))
    found = grad_cam(model, moved.inputs, classes, layer)
    shown = pictures(batch.inputs)
    return Maps(shown, _lit(shown, found.maps.cpu()), found.layer)


def pictures(inputs: Tensor) -> Tensor:
    """Images as floats in [0, 1]; floats that go beyond are stretched to it.

    Args:
        inputs: ``(N, C, H, W)``.

    >>> pictures(torch.tensor([0, 255], dtype=torch.uint8)), pictures(torch.tensor([-1.0, 0.0, 1.0]))
    (tensor([0., 1.]), tensor([0.0000, 0.5000, 1.0000]))
    """
    if not inputs.is_floating_point():
        return inputs.float() / 255
    low, high = inputs.aminmax()
    return inputs if low >= 0 and high <= 1 else (inputs - low) / (high - low)


def _lit(shown: Tensor, maps: Tensor) -> Tensor:
    """Pictures in grey, so that the only colours are the map's."""
    grey = shown[:, :3].mean(1, keepdim=True)
    factor = -(-_SMOOTH // min(shown.shape[2:]))
    if factor > 1:  # large pixels under a smooth map
        grey = grey.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
        maps = functional.interpolate(maps[:, None], grey.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    return overlay(grey, maps)
