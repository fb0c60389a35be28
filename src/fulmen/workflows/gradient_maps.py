"""Grad-CAM: where in an image a network finds what speaks for a class."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from fulmen.core.errors import ConfigError
from fulmen.modules import SupervisedModule
from fulmen.networks import Transfer
from fulmen.nn.modes import mode_kept
from fulmen.workflows.activation_maps import Place, capture, places, to_map


class GradCam(NamedTuple):
    """Maps of a batch.

    Attributes:
        maps: ``(N, H, W)`` as large as the images, in [0, 1]: 1 is where most speaks for the class; all 0 where
            nothing does.
        classes: ``(N,)`` whose maps they are.
        layer: Name of the layer that was looked at.
    """

    maps: Tensor
    classes: Tensor
    layer: str


def grad_cam(
    module: nn.Module, images: Tensor, classes: Tensor | None = None, layer: str | None = None, task: str | None = None
) -> GradCam:
    """Grad-CAM of a CNN, of a timm backbone, or of any network with convolutions.

    The gradient of a class's logit with respect to a layer's activations, averaged over space, weighs the layer's
    channels; what is positive in their sum speaks for the class. Only the part behind the layer is differentiated,
    so that frozen networks work, and nothing of the module is changed.

    Args:
        module: A :class:`~fulmen.modules.SupervisedModule`, or a network ``(N, C, H, W)`` to ``(N, K)``.
        images: ``(N, C, H, W)`` as the network sees them: normalized.
        classes: ``(N,)`` whose logit is looked at; ``None``: the class that is predicted, the most probable label, or
            the first value of a regression. Of a yes/no task, 0 is no and 1 is yes.
        layer: Name of a module of the network whose output is a map ``(N, K, h, w)`` or tokens ``(N, T, K)``;
            ``None``: what the last pooling of a timm model pools, and otherwise the last map that has the size of the
            last convolution's.
        task: What the logits are, where the module does not tell: ``binary`` has one logit for two classes.

    Raises:
        ConfigError: If the network has no such layer, or its logits do not depend on it.

    References:
        Selvaraju et al. 2017, Grad-CAM, https://arxiv.org/abs/1610.02391, equations 1 and 2
    """
    if images.ndim != 4:
        raise ConfigError(f"images: Grad-CAM needs images (N, C, H, W), and got the shape {tuple(images.shape)}")
    if isinstance(module, SupervisedModule):
        task = module.task.name
    network = network_of(module)
    reason: ConfigError | None = None
    with _as_evaluated(network):
        for place in places(network, images, layer):
            try:
                return _look(network, images, classes, place, task == "binary")
            except ConfigError as error:
                reason = reason or error
    raise reason or ConfigError(f"layer: {type(network).__name__} has none to look at")


def class_activation(activations: Tensor, gradients: Tensor) -> Tensor:
    """Channels weighed by their mean gradients, summed, and cut off at zero.

    Args:
        activations: ``(N, K, h, w)``.
        gradients: The same shape: of each image's class logit with respect to them.

    Returns:
        ``(N, h, w)``, at least 0.

    >>> class_activation(torch.tensor([[[[1.0, 2.0]], [[3.0, 0.0]]]]), torch.tensor([[[[1.0, 1.0]], [[-2.0, 0.0]]]]))
    tensor([[[0., 2.]]])
    """
    weights = gradients.mean((2, 3), keepdim=True)
    return (weights * activations).sum(1).relu()


def overlay(images: Tensor, maps: Tensor, opacity: float = 0.6) -> Tensor:
    """Lays maps over images: nothing where a map is 0, from yellow to red where it is high.

    Args:
        images: ``(N, C, H, W)``, one or three channels, uint8 or floats in [0, 1].
        maps: ``(N, H, W)`` in [0, 1].
        opacity: Of the colour where a map is 1, in [0, 1].

    Returns:
        ``(N, 3, H, W)``, floats in [0, 1].
    """
    pixels = (images.float() / 255 if images.dtype == torch.uint8 else images.float()).expand(-1, 3, -1, -1)
    heat = maps[:, None]
    colour = torch.cat([torch.ones_like(heat), 1 - heat, torch.zeros_like(heat)], 1)
    return pixels + opacity * heat * (colour - pixels)


def network_of(module: nn.Module) -> nn.Module:
    """The plain network of a module: of a pretrained one, the timm model."""
    network = module.network if isinstance(module, SupervisedModule) else module
    if isinstance(network, Transfer):
        network = network.model
    assert isinstance(network, nn.Module)
    return network


def _look(network: nn.Module, images: Tensor, classes: Tensor | None, place: Place, binary: bool) -> GradCam:
    """Grad-CAM at a place.

    Raises:
        ConfigError: If no map is there, or no gradient arrives.
    """
    activations, logits = capture(network, images, place)
    chosen = _predicted(logits, binary) if classes is None else classes.to(logits.device)
    score = _scores(logits, chosen, binary).sum()
    gradients = None
    if score.requires_grad:
        (gradients,) = torch.autograd.grad(score, activations, allow_unused=True)
    small = to_map(network, images, activations.detach())
    slopes = None if gradients is None else to_map(network, images, gradients)
    if slopes is None or not slopes.any():
        raise ConfigError(
            f"layer: the logits of {type(network).__name__} do not depend on the map at {place.name!r}; name an "
            "earlier layer"
        )
    with torch.no_grad():
        maps = class_activation(small.float(), slopes.float())[:, None]
        maps = functional.interpolate(maps, images.shape[2:], mode="bilinear", align_corners=False)[:, 0]
        highest = maps.amax((1, 2), keepdim=True)
        maps = torch.where(highest > 0, maps / highest.clamp_min(torch.finfo(maps.dtype).tiny), 0)
    return GradCam(maps, chosen, place.name)


def _predicted(logits: Tensor, binary: bool) -> Tensor:
    return (logits.detach().flatten() > 0).long() if binary else logits.detach().argmax(1)


def _scores(logits: Tensor, classes: Tensor, binary: bool) -> Tensor:
    """The logit ``(N,)`` of each image's class; no's is the negative of yes's."""
    return logits.flatten() * (2 * classes - 1) if binary else logits.gather(1, classes[:, None])[:, 0]


@contextmanager
def _as_evaluated(network: nn.Module) -> Iterator[None]:
    """Evaluation mode, without gradient checkpointing, which would run layers twice; all as before afterwards."""
    checkpointed = [m for m in network.modules() if getattr(m, "grad_checkpointing", False) is True]
    for module in checkpointed:
        module.grad_checkpointing = False  # type: ignore[assignment]
    try:
        with mode_kept(network), torch.enable_grad():
            network.eval()
            yield
    finally:
        for module in checkpointed:
            module.grad_checkpointing = True  # type: ignore[assignment]
