"""What a frozen backbone gives its classifier, and a faster way to compute it."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fulmen.core.errors import ConfigError


def classifier_inputs(model: Any, x: Tensor) -> Tensor:
    """What the classifier of a timm model gets when the model runs on images.

    Args:
        model: A timm model.
        x: ``(N, C, H, W)``.

    Returns:
        ``(N, F)``.

    Raises:
        ConfigError: If the model has several classifiers, or one that takes something else.
    """
    head = model.get_classifier()
    taken: list[Any] = []
    if not isinstance(head, nn.Module):
        raise ConfigError(f"the model has no single classifier, but {type(head).__name__}")
    handle = head.register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0]))
    try:
        model(x)
    finally:
        handle.remove()
    if len(taken) != 1 or not isinstance(taken[0], Tensor) or taken[0].shape[2:] not in ((), (1, 1)):
        shapes = [tuple(t.shape) if isinstance(t, Tensor) else type(t).__name__ for t in taken]
        raise ConfigError(f"the classifier takes {shapes}, not one row of features for each image")
    return taken[0].flatten(1)


def classify(model: Any, features: Tensor, drop_rate: float = 0.0, training: bool = False) -> Tensor:
    """Dropout and the classifier of a timm model, on what :func:`classifier_inputs` gave.

    Args:
        model: A timm model.
        features: ``(N, F)``.
        drop_rate: Share of the features that is dropped in training, in [0, 1).
        training: Whether they are.

    Returns:
        ``(N, num_outputs)``.
    """
    head = model.get_classifier()
    features = functional.dropout(features, drop_rate, training)
    if isinstance(head, nn.Conv2d):
        features = features[:, :, None, None]
    return head(features).flatten(1)  # type: ignore[no-any-return]


def folded(model: nn.Module, x: Tensor) -> nn.Module:
    """A copy of a model for inference: batch normalization is part of the convolution before it.

    ``w' = w * g / sqrt(v + eps)`` and ``b' = (b - m) * g / sqrt(v + eps) + h`` (mean ``m``, variance ``v``, scale ``g``
    and shift ``h``), computed in double precision. Which convolutions these are is seen by running the model: only
    those that run once, whose output nothing but a batch normalization reads. Weights lie channels-last.

    Args:
        model: Any model; its copy is in evaluation mode, and its parameters need no gradients.
        x: Inputs to run it on.
    """
    made = copy.deepcopy(model).eval().requires_grad_(False)
    pairs = _pairs(made, x)
    for (_, convolution), (name, norm) in pairs:
        _fold(convolution, norm)
        rest = [part for part in (getattr(norm, "drop", None), getattr(norm, "act", None)) if part is not None]
        made.set_submodule(name, nn.Sequential(*rest))  # timm's batch normalizations end with an activation
    return made.to(memory_format=torch.channels_last)


_Named = tuple[str, Any]


class _Uses(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts how often each tensor is read by an operation."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.reads: Counter[int] = Counter()
        self._kept: list[Any] = []  # as long as a tensor lives, no other has its id

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.reads.update(id(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor))
        out = func(*args, **(kwargs or {}))
        self._kept.append(out)
        return out


def _pairs(model: nn.Module, x: Tensor) -> list[tuple[_Named, _Named]]:
    """Convolutions and the batch normalizations that can be folded into them, with their names."""
    made: dict[int, _Named] = {}
    found: list[tuple[_Named, _Named, int]] = []
    runs: Counter[nn.Module] = Counter()
    handles = []

    def after_convolution(named: _Named, output: Tensor) -> None:
        runs[named[1]] += 1
        made[id(output)] = named

    def before_norm(named: _Named, given: Tensor) -> None:
        runs[named[1]] += 1
        if id(given) in made:
            found.append((made[id(given)], named, id(given)))

    for name, module in model.named_modules():
        named = (name, module)
        if _is_plain_convolution(module):
            handles.append(module.register_forward_hook(lambda m, i, o, named=named: after_convolution(named, o)))
        elif isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            handles.append(module.register_forward_pre_hook(lambda m, i, named=named: before_norm(named, i[0])))
    try:
        with torch.no_grad(), _Uses() as uses:
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    return [
        (convolution, norm)
        for convolution, norm, output in found
        if uses.reads[output] == 1 and runs[convolution[1]] == runs[norm[1]] == 1
    ]


def _is_plain_convolution(module: nn.Module) -> bool:
    """Whether a module uses its weight as it is: timm's weight-standardized convolutions do not."""
    return type(module) is nn.Conv2d or type(module).__name__ == "Conv2dSame"


@torch.no_grad()
def _fold(convolution: Any, norm: Any) -> None:
    weight, kind = convolution.weight.double(), convolution.weight.dtype
    mean, variance = norm.running_mean.double(), norm.running_var.double()
    scale = torch.rsqrt(variance + norm.eps) * (1 if norm.weight is None else norm.weight.double())
    bias = -mean if convolution.bias is None else convolution.bias.double() - mean
    shift = 0 if norm.bias is None else norm.bias.double()
    convolution.weight = nn.Parameter((weight * scale[:, None, None, None]).to(kind), requires_grad=False)
    convolution.bias = nn.Parameter((bias * scale + shift).to(kind), requires_grad=False)
