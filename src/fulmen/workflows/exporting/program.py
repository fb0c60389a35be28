"""A trained network between what prepares samples and what reads answers, as one module that is exported."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fulmen.core.errors import ConfigError
from fulmen.data import SupervisedDataModule
from fulmen.modules import SupervisedModule
from fulmen.tasks import Task
from fulmen.workflows.exporting.inputs import TokenInputs, make_inputs

_EXAMPLES = 3
"""Samples in the batch that is traced: more than 1, which tracers take for a size that never changes."""


class Program(nn.Module):
    """Raw samples to probabilities and predictions.

    Args:
        inputs: Prepares samples.
        network: Gives logits.
        task: Reads them.
        temperature: Logits are divided by it.
    """

    def __init__(self, inputs: nn.Module, network: nn.Module, task: Task, temperature: float = 1.0) -> None:
        super().__init__()
        self.inputs, self.network, self.task, self.temperature = inputs, network, task, temperature

    def forward(self, *parts: Tensor) -> dict[str, Tensor]:
        """The graph's inputs to its outputs, in the order of the description."""
        logits = self.task.outputs(self.network(self.inputs(*parts)))
        if self.temperature != 1.0:
            logits = logits / self.temperature
        decoded = self.task.decode(logits)
        return {name: decoded[name] for name in ("probabilities", "prediction") if name in decoded}


def make_program(module: SupervisedModule, data: SupervisedDataModule, about: Mapping[str, Any]) -> Program:
    """The program of a trained module: a copy on the CPU, in evaluation mode.

    Raises:
        ConfigError: If the module computes more than its network does.
    """
    if type(module).forward is not SupervisedModule.forward:
        raise ConfigError(
            f"model: {type(module).__name__} overrides forward; what is exported is `network`, which "
            "build_network() makes: move what it adds there"
        )
    return assemble(module, about, data.statistics)


def assemble(module: SupervisedModule, about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Program:
    """A program of a module and the facts and tensors of an exported file."""
    network, task = (copy.deepcopy(part).cpu().eval().requires_grad_(False) for part in (module.network, module.task))
    _settle(network)
    tensors = {name: tensor.cpu() for name, tensor in tensors.items()}
    assert isinstance(task, Task)
    facts = about["input"]
    if facts["kind"] == "texts":  # filters that are wider than a text would make its graph another one
        inputs: nn.Module = TokenInputs(int(getattr(network, "widest", 0)))
    else:
        inputs = make_inputs(facts, tensors)
    return Program(inputs, network, task, about["temperature"]).eval()


def _settle(network: nn.Module) -> None:
    """Puts what a randomized ReLU is in evaluation, a leaky ReLU of the mean slope, in its place: ONNX has none."""
    found = [(name, part) for name, part in network.named_modules() if name and isinstance(part, nn.RReLU)]
    for name, part in found:
        network.set_submodule(name, nn.LeakyReLU((part.lower + part.upper) / 2))


def trace(program: Program, about: Mapping[str, Any]) -> torch.export.ExportedProgram:
    """The program as torch's graph, for batches of any size.

    Raises:
        ConfigError: If torch cannot trace it; its reason is told.
    """
    dims = {name: torch.export.Dim(_DIMS[name], min=1) for name in _DIMS}
    examples, dynamic = [], []
    for one in about["inputs"]:
        sizes = [_SIZES.get(size, size) for size in one["shape"]]
        examples.append(torch.zeros(sizes, dtype=getattr(torch, one["dtype"])))
        dynamic.append({i: dims[size] for i, size in enumerate(one["shape"]) if size in dims})
    made = _traced(program, tuple(examples), {"parts": tuple(dynamic)})
    for node in made.graph.nodes:
        node.meta.pop("stack_trace", None)  # names the folders of this machine
    return made


def _traced(program: Program, examples: tuple[Tensor, ...], dynamic: Any) -> torch.export.ExportedProgram:
    """Traced by running it; or, where code makes a plain number of the batch's size (``len(x)``), by reading it too."""
    first: Exception | None = None
    for strict in (False, True):
        try:
            with torch.no_grad():
                return torch.export.export(program, examples, dynamic_shapes=dynamic, strict=strict)
        except Exception as error:  # whatever a network's own code raises while it is traced: named, never hidden
            first = first or error
    assert first is not None
    raise ConfigError(f"model: torch cannot trace the network: {_reason(first)}") from first


_DIMS = {"N": "batch", "H": "height", "W": "width", "L": "length"}
_SIZES = {"N": _EXAMPLES, "H": 61, "W": 83, "L": 17}


def _reason(error: BaseException, lines: int = 12) -> str:
    """The first lines of what an exporter says."""
    text = str(error).strip() or type(error).__name__
    found = [line for line in text.splitlines() if line.strip()]
    return "\n".join([*found[:lines], *(["..."] if len(found) > lines else [])])
