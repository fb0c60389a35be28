"""What became zero."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from fulmen_regularizers.selection import whole

_SHOWN = 12
"""How many neurons of a layer are listed by number."""


@dataclass(frozen=True)
class LayerSparsity:
    """What is zero in a weight.

    Attributes:
        name: Of the parameter.
        outputs: Number of neurons or filters.
        inputs: Number of inputs of each.
        zero_outputs: Neurons whose incoming weights are all zero: they give a constant.
        zero_inputs: Inputs that no neuron reads.
        weights: Number of weights.
        zero_weights: How many of them are zero.
    """

    name: str
    outputs: int
    inputs: int
    zero_outputs: tuple[int, ...]
    zero_inputs: tuple[int, ...]
    weights: int
    zero_weights: int


@dataclass(frozen=True)
class PruningReport:
    """What is zero in a network; printed, a table.

    Attributes:
        layers: One row for each weight of at least two dimensions.
    """

    layers: tuple[LayerSparsity, ...]

    def __str__(self) -> str:
        names = [_short(layer.name) for layer in self.layers]
        width = max([len("layer"), *map(len, names)])
        lines = [f"{'layer':<{width}}  {'zero neurons':>14}  {'zero inputs':>14}  {'zero weights':>24}"]
        for name, layer in zip(names, self.layers, strict=True):
            neurons = f"{len(layer.zero_outputs)} of {layer.outputs}"
            inputs = f"{len(layer.zero_inputs)} of {layer.inputs}"
            share = _share(layer.zero_weights, layer.weights)
            lines.append(f"{name:<{width}}  {neurons:>14}  {inputs:>14}  {share:>24}")
        weights, zero = sum(x.weights for x in self.layers), sum(x.zero_weights for x in self.layers)
        lines.append(f"{'all':<{width}}  {'':>14}  {'':>14}  {_share(zero, weights):>24}")
        for name, layer in zip(names, self.layers, strict=True):
            lines += _listed(name, "neurons that give a constant", layer.zero_outputs)
            lines += _listed(name, "inputs that nothing reads", layer.zero_inputs)
        return "\n".join(lines)


def pruning_report(module: nn.Module) -> PruningReport:
    """What is zero in the weights of a module, at least two-dimensional ones, each once.

    A neuron whose incoming weights are all zero gives the same value for every input (that of its bias, through
    its norm layer and activation); it can be taken out once the next layer's bias holds what that value
    adds. An input that nothing reads can be taken out as it is, with the neuron that makes it.

    Args:
        module: Any module; sharded parameters are gathered, so call it in every process.

    >>> layer = nn.Linear(3, 2)
    >>> _ = layer.weight.data[1].zero_()
    >>> pruning_report(layer).layers[0].zero_outputs
    (1,)
    """
    rows = []
    seen: set[int] = set()
    for prefix, owner in module.named_modules():
        for name, parameter in owner.named_parameters(recurse=False):
            if parameter.ndim > 1 and id(parameter) not in seen:
                seen.add(id(parameter))
                full = f"{prefix}.{name}" if prefix else name
                transposed = isinstance(owner, nn.modules.conv._ConvTransposeNd)
                rows.append(_row(full, whole(parameter.detach()), transposed))
    return PruningReport(tuple(rows))


def _row(name: str, weight: Tensor, transposed: bool) -> LayerSparsity:
    weight = weight.transpose(0, 1) if transposed else weight
    zero = weight == 0
    outputs, inputs = _all(zero, 0), _all(zero, 1)
    return LayerSparsity(
        name=name,
        outputs=len(outputs),
        inputs=len(inputs),
        zero_outputs=tuple(outputs.nonzero().flatten().tolist()),
        zero_inputs=tuple(inputs.nonzero().flatten().tolist()),
        weights=zero.numel(),
        zero_weights=int(zero.sum()),
    )


def _all(zero: Tensor, kept: int) -> Tensor:
    """Whether all are zero along every other dimension."""
    return zero.transpose(0, kept).flatten(1).all(1)


def _short(name: str) -> str:
    return name.removeprefix("network.").removesuffix(".weight")


def _share(zero: int, of: int) -> str:
    return f"{zero:,} of {of:,} ({zero / max(of, 1):.1%})"


def _listed(name: str, what: str, numbers: tuple[int, ...]) -> list[str]:
    if not numbers:
        return []
    more = f", and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
    return [f"{name}: {what}: {', '.join(map(str, numbers[:_SHOWN]))}{more}"]
