"""What regularizers act on: parameters with their names and layers, and layers by name."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from fulmen.core.errors import ConfigError
from fulmen.nn.blocks import is_activation
from fulmen.nn.regularizers import Regularizer

ACTIVATIONS = "activations"
"""Among names of layers: every activation layer."""


def selected(regularizer: Regularizer, module: nn.Module) -> Iterator[tuple[str, nn.Module, nn.Parameter]]:
    """The parameters that a regularizer acts on: name, the layer that owns it, and the parameter.

    Args:
        regularizer: Its option ``parameters`` selects.
        module: What is trained.
    """
    chosen = {id(parameter) for parameter in regularizer.select(module)}
    for prefix, owner in module.named_modules():
        for name, parameter in owner.named_parameters(recurse=False):
            if id(parameter) in chosen:
                chosen.remove(id(parameter))
                yield f"{prefix}.{name}" if prefix else name, owner, parameter


def whole(tensor: Tensor) -> Tensor:
    """A tensor that is sharded over processes (FSDP2, tensor parallel) as an ordinary one; others as they are.

    Gradients flow back to the shards.
    """
    gathered: Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return gathered


def total(terms: Iterator[Tensor]) -> Tensor | None:
    """The sum of scalars; ``None`` if there are none.

    >>> total(iter([torch.tensor(1.0), torch.tensor(2.0)]))
    tensor(3.)
    """
    found = list(terms)
    return torch.stack(found).sum() if found else None


def find_layers(network: nn.Module, layers: str | list[str]) -> dict[str, nn.Module]:
    """The layers of a network that patterns name.

    Args:
        network: Whose layers are searched.
        layers: Patterns of names inside the network (``hidden.*.1``), or ``activations`` for every activation
            layer (an activation that is built of others counts as one).

    Returns:
        Name -> layer, in the network's order, each once.

    Raises:
        ConfigError: If a pattern matches nothing.

    >>> net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    >>> list(find_layers(net, "activations")), list(find_layers(net, ["0", "2"]))
    (['1'], ['0', '2'])
    """
    named = {name: layer for name, layer in network.named_modules() if name}
    found: set[str] = set()
    for pattern in [layers] if isinstance(layers, str) else layers:
        matches = _activations(named) if pattern == ACTIVATIONS else [n for n in named if fnmatchcase(n, pattern)]
        if not matches:
            kind = type(network).__name__
            what = "finds no activation layer" if pattern == ACTIVATIONS else "matches no layer"
            raise ConfigError(f"layers: {pattern!r} {what} of {kind}; its layers are {', '.join(named)}")
        found.update(matches)
    return {name: layer for name, layer in named.items() if name in found}


def _activations(named: dict[str, nn.Module]) -> list[str]:
    found: list[str] = []
    for name, layer in named.items():
        if is_activation(layer) and not any(name.startswith(f"{outer}.") for outer in found):
            found.append(name)
    return found
