"""Exchanges the activations of a network that somebody else wrote."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fulmen.core.errors import ConfigError
from fulmen.networks import activation_calls as calls
from fulmen.networks.activation_rewriting import CHILD, exchanged_class
from fulmen.nn.blocks import is_activation, make_activation

_OWN = {"StarReLU", "SquaredReLU"}
"""Activations that timm's models define themselves (timm/models/metaformer.py)."""

_LEFT = {
    **dict.fromkeys(("Sigmoid", "Hardsigmoid", "HardSigmoid", "HardSigmoidMe", "LogSigmoid", "GLU"), calls.SIGMOID),
    **dict.fromkeys(("Softmax", "Softmax2d", "LogSoftmax", "Softmin"), calls.SOFTMAX),
    **dict.fromkeys(("Softplus", "Hardtanh"), calls.BOUND),
}
_INSIDE = ("EvoNorm", "FilterResponseNormTlu")
"""Norm layers of timm that have an activation of their own."""

_FUSED = (nn.RNNBase, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
"""Layers of torch whose activation is part of one kernel."""


class Swap(NamedTuple):
    """What an exchange did.

    Attributes:
        exchanged: Places whose activation is a new one: names of modules, or a module's method with a call in it.
        left: Places that keep theirs -> why.
    """

    exchanged: list[str]
    left: dict[str, str]

    def lines(self) -> list[str]:
        """What there is to print: how many were exchanged, and each reason with its places.

        >>> Swap(["act1"], {"se.gate": "a gate"}).lines()
        ['activations exchanged: 1', 'left (a gate): 1: se.gate']
        """
        reasons: dict[str, list[str]] = {}
        for place, reason in self.left.items():
            reasons.setdefault(reason, []).append(place)
        left = [
            f"left ({reason}): {len(places)}: {', '.join(places[:_SHOWN])}{', ...' if len(places) > _SHOWN else ''}"
            for reason, places in reasons.items()
        ]
        return [f"activations exchanged: {len(self.exchanged)}", *left]


_SHOWN = 4


class Scaled(nn.Module):
    """An activation times a constant, as networks without normalization scale theirs (Brock et al. 2021).

    Args:
        activation: Any.
        gain: What its values are multiplied with.
    """

    def __init__(self, activation: nn.Module, gain: float) -> None:
        super().__init__()
        self.activation, self.gain = activation, gain
        self.is_activation = True

    def forward(self, x: Tensor) -> Tensor:
        """``gain * activation(x)``, of the same shape."""
        scaled: Tensor = self.activation(x) * self.gain
        return scaled


def swap_activations(model: nn.Module, spec: Any) -> Swap:
    """Exchanges the activations of a network in place, each for a new one of its own.

    Modules are exchanged (torch's, timm's, those inside of norm layers), and functions (``F.relu(x)``) that a
    module's methods call: they are replaced in a copy of that method. What is no activation in the sense of the
    word is left: the sigmoid of a squeeze-excite, softmax, a factor of a gated product, the kernel of a linear
    attention.

    Args:
        model: Such as a timm model; its other weights stay.
        spec: Of an activation; ``None`` changes nothing.

    Returns:
        What was exchanged, and what was left.

    Raises:
        ConfigError: If the activation changes the shape, or the network has none that can be exchanged.

    >>> net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Sigmoid())
    >>> swap_activations(net, "silu")
    Swap(exchanged=['1'], left={'2': 'a gate: its values in [0, 1] weigh something'})
    >>> net[1]
    SiLU()
    """
    swap = Swap([], {})
    if spec is None:
        return swap
    _check_shape(make_activation(spec))
    for path, module in _owners(model):
        _swap_children(path, module, spec, swap)
        _swap_functions(path, module, spec, swap)
        _swap_calls(path, module, spec, swap)
    if not swap.exchanged:
        left = "; ".join(swap.lines()[1:]) or "it has none"
        raise ConfigError(f"activation: nothing can be exchanged in {type(model).__name__}: {left}; write null")
    return swap


def _check_shape(activation: nn.Module) -> None:
    given = torch.zeros(2, 8, 4, 4)
    try:
        with torch.no_grad():
            shape = activation(given).shape
    except (RuntimeError, ValueError, IndexError) as error:
        raise ConfigError(
            f"activation: {activation} fits only some widths, and a backbone has many: {error}"
        ) from error
    if shape != given.shape:
        raise ConfigError(
            f"activation: {activation} gives {shape[1]} of 8 features; only one that keeps the shape can be exchanged"
        )


def _owners(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Modules that may hold activations: all that are not inside of one."""
    found: list[tuple[str, nn.Module]] = []
    inside: set[int] = set()
    for path, module in model.named_modules():
        if id(module) in inside:
            continue
        if _is_activation(module):
            inside.update(id(part) for part in module.modules())
        else:
            found.append((path, module))
    return found


def _is_activation(module: nn.Module) -> bool:
    kind = type(module)
    if kind.__module__.startswith("timm."):
        return is_activation(module) or kind.__name__ in _OWN or _is_scaled(module)
    return is_activation(module)


def _is_scaled(module: nn.Module) -> bool:
    """Whether a module is timm's ``GammaAct``: a function, scaled in place (timm/models/nfnet.py)."""
    return type(module).__name__ == "GammaAct"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _swap_children(path: str, owner: nn.Module, spec: Any, swap: Swap) -> None:
    for name, child in list(owner._modules.items()):
        if child is None:
            continue
        place = _join(path, name)
        if _is_activation(child):
            reason = _reason_to_leave(owner, name, child)
            if reason is not None:
                swap.left[place] = reason
                continue
            new = make_activation(spec)
            setattr(owner, name, Scaled(new, child.gamma) if _is_scaled(child) else new)  # type: ignore[arg-type]
            swap.exchanged.append(place)
        elif isinstance(child, _FUSED) or (type(child).__name__.startswith(_INSIDE) and child.apply_act):
            swap.left[place] = f"is part of {type(child).__name__}"


def _reason_to_leave(owner: nn.Module, name: str, child: nn.Module) -> str | None:
    if type(child).__name__ in _LEFT:
        return _LEFT[type(child).__name__]
    if "kernel" in name:
        return "the kernel of a linear attention, which has to stay positive"
    kind: type = type(owner)
    return calls.FACTOR if name in calls.factors(kind) else None


def _functions(module: nn.Module) -> Iterator[tuple[str, str | None]]:
    """Attributes of a module that are functions (``self.act = F.relu``), and why they are left."""
    known = calls.functions()
    for name, value in vars(module).items():
        if callable(value) and value in known:
            yield name, known[value]


def _swap_functions(path: str, owner: nn.Module, spec: Any, swap: Swap) -> None:
    for name, left in list(_functions(owner)):
        kind: type = type(owner)
        if left is None and kind.__module__.startswith("torch."):
            left = f"is part of {kind.__name__}"
        if left is None and name in calls.factors(kind):
            left = calls.FACTOR
        if left is None and calls.takes_more(kind, name):
            left = "a function that is called with more than its input"
        if left is not None:
            swap.left[_join(path, name)] = left
            continue
        delattr(owner, name)
        setattr(owner, name, make_activation(spec))
        swap.exchanged.append(_join(path, name))


def _swap_calls(path: str, owner: nn.Module, spec: Any, swap: Swap) -> None:
    kind: type = type(owner)
    iterated = isinstance(owner, nn.Sequential | nn.ModuleList | nn.ModuleDict)  # runs or lists all its children
    number, seen = 0, dict[str, int]()
    for call in calls.calls(kind):
        text = f"{_join(path, call.method)}: {call.text}"
        seen[text] = seen.get(text, 0) + 1
        place = text if seen[text] == 1 else f"{text} [{seen[text]}]"
        left = call.left or ("in a container" if iterated else None)
        if left is not None:
            if all(getattr(owner, name, None) is not None for name in call.needs):
                swap.left[place] = left
            continue
        number += 1
        swap.exchanged.append(place)
    if number:
        setattr(owner, CHILD, nn.ModuleList(make_activation(spec) for _ in range(number)))
        owner.__class__ = exchanged_class(kind)
