"""The maps of a network that Grad-CAM looks at: which layer, and in which shape."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fulmen.core.errors import ConfigError, unknown

_FEATURES = "forward_features"
"""What all timm models call the method whose result is pooled."""
_MOST_PREFIXES = 9
"""Tokens that are no patches stand first: one for the class, one for distillation, up to eight registers."""
_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


class Place(NamedTuple):
    """A module's output, or that of a timm model's ``forward_features``.

    Attributes:
        name: Name of the module in the network.
        call: Which of its calls in a forward pass, from 0: a module may be used again.
    """

    name: str
    call: int = 0


def places(network: nn.Module, images: Tensor, layer: str | None) -> Iterator[Place]:
    """Where to look, the best place first.

    A vision transformer that classifies by its class token drops the patches' last outputs; for such, blocks further
    in front follow.

    Args:
        network: In evaluation mode.
        images: ``(N, C, H, W)``.
        layer: Name of a module; ``None`` looks for one.

    Raises:
        ConfigError: If there is no such module, or no convolution.
    """
    named = dict(network.named_modules())
    if layer is not None:
        if not (layer == _FEATURES and hasattr(network, _FEATURES)) and (not layer or layer not in named):
            raise ConfigError(f"layer: {unknown('module', layer, [name for name in named if name])}")
        yield Place(layer)
        return
    blocks = _blocks(network)
    if hasattr(network, _FEATURES):
        yield Place(_FEATURES)
        yield from (Place(name) for name in blocks if name in named)
    if not blocks:  # the only convolution of a transformer cuts the image into patches
        yield _last_map(network, images)


def capture(network: Any, images: Tensor, place: Place) -> tuple[Tensor, Tensor]:
    """Runs a network, differentiable from a place on.

    Args:
        network: In evaluation mode.
        images: ``(N, C, H, W)``.
        place: Where the graph begins.

    Returns:
        What is there, a leaf, and the logits ``(N, K)``.

    Raises:
        ConfigError: If the place is not passed, or what is there is no tensor.
    """
    kept: list[Tensor] = []
    calls = 0

    def keep(output: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls - 1 != place.call:
            return output
        if not isinstance(output, Tensor):
            raise ConfigError(f"layer: {place.name!r} gives a {type(output).__name__}; name one that gives a tensor")
        kept.append(output.detach().requires_grad_())
        return kept[0].clone()  # what follows may work in place

    with ExitStack() as stack:
        if place.name == _FEATURES:
            original = network.forward_features
            network.forward_features = lambda *args, **kwargs: keep(original(*args, **kwargs))
            stack.callback(partial(delattr, network, _FEATURES))
        else:
            handle = network.get_submodule(place.name).register_forward_hook(lambda m, args, output: keep(output))
            stack.callback(handle.remove)
        logits = network(images)
    if not kept:
        raise ConfigError(f"layer: {place.name!r} is not used when {type(network).__name__} looks at an image")
    return kept[0], logits


def to_map(network: Any, images: Tensor, values: Tensor) -> Tensor:
    """Activations or their gradients as ``(N, K, h, w)``.

    Args:
        network: Whose they are; timm's tell how they order theirs.
        images: ``(N, C, H, W)``.
        values: ``(N, K, h, w)``, ``(N, h, w, K)``, or tokens ``(N, T, K)``, of which the last h * w are patches.

    Raises:
        ConfigError: If they are no map.
    """
    if len(values) != len(images):
        raise ConfigError(f"layer: its output holds {len(values)} samples of {len(images)} images; name another layer")
    if values.ndim == 4:
        width = getattr(network, "num_features", None)
        channels_last = getattr(network, "output_fmt", "NCHW") == "NHWC" or (
            values.shape[3] == width and values.shape[1] != width
        )
        return values.permute(0, 3, 1, 2) if channels_last else values
    if values.ndim == 3:
        height, width = _grid(network, images, values.shape[1])
        patches = values[:, values.shape[1] - height * width :]
        return patches.transpose(1, 2).reshape(len(values), -1, height, width)
    raise ConfigError(
        f"layer: its output has the shape {tuple(values.shape)}; allowed: a map (N, K, h, w), or tokens (N, T, K)"
    )


def _grid(network: Any, images: Tensor, tokens: int) -> tuple[int, int]:
    """Rows and columns of the patches among the tokens; a few tokens in front of them may be no patches."""
    side = math.isqrt(tokens)
    grids = [(side, side)]
    patch = getattr(getattr(network, "patch_embed", None), "patch_size", None)
    if patch is not None:
        height, width = patch if isinstance(patch, tuple | list) else (patch, patch)
        grids.insert(0, (math.ceil(images.shape[2] / height), math.ceil(images.shape[3] / width)))
    for height, width in grids:
        if height * width > 1 and 0 <= tokens - height * width <= _MOST_PREFIXES:
            return height, width
    raise ConfigError(
        f"layer: {tokens} tokens are no grid of patches of an image of {images.shape[2]}x{images.shape[3]}; name "
        "another layer"
    )


def _blocks(network: Any) -> list[str]:
    """Of a transformer: the last block, what its attention reads, and the block before it."""
    count = len(getattr(network, "blocks", None) or ())
    return [f"blocks.{count - 1}", f"blocks.{count - 1}.norm1", f"blocks.{count - 2}"] if count > 1 else []


def _last_map(network: nn.Module, images: Tensor) -> Place:
    """The last output that has the size of the last convolution's, its normalization and activation included."""
    seen: list[tuple[Place, torch.Size, bool]] = []
    calls: dict[str, int] = {}

    def note(name: str, module: nn.Module, args: Any, output: Any) -> None:
        call = calls[name] = calls.get(name, -1) + 1
        if isinstance(output, Tensor) and output.ndim == 4:
            seen.append((Place(name, call), output.shape[2:], isinstance(module, _CONVOLUTIONS)))

    with ExitStack() as stack, torch.no_grad():
        for name, module in network.named_modules():
            if name:
                stack.callback(module.register_forward_hook(partial(note, name)).remove)
        network(images[:1])
    sizes = [size for _, size, convolution in seen if convolution and math.prod(size) > 1]
    if not sizes:
        raise ConfigError(
            f"layer: {type(network).__name__} has no convolution whose map has more than one place, and Grad-CAM needs "
            "one; take a CNNModule or a TransferModule"
        )
    return next(place for place, size, _ in reversed(seen) if size == sizes[-1])
