"""``.safetensors`` files: the weights by name, and how to build the module that takes them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fulmen.core.errors import CheckpointError, FulmenError

_KEY = "fulmen"
_PREFIX = "preprocessing."


def write_safetensors(module: Any, tensors: Mapping[str, Any], about: Mapping[str, Any], path: Path) -> None:
    """Writes a module's weights with its description.

    Args:
        module: A :class:`fulmen.modules.SupervisedModule`.
        tensors: What of the preprocessing is too large for the description.
        about: The description.
        path: Where to write.
    """
    from safetensors.torch import save

    state = {**module.state_dict(), **{f"{_PREFIX}{name}": tensor for name, tensor in tensors.items()}}
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    path.write_bytes(save(plain, {_KEY: json.dumps(about)}))  # its own writing to files lets nobody else read them


class SafetensorsRunner:
    """Builds the module of a ``.safetensors`` file again, and runs it on the CPU; its plugins have to be installed.

    Args:
        path: The file.

    Raises:
        CheckpointError: If the file is no such export, or its class is not here.
        PluginError: If a plugin is missing, or has changed its major version.
    """

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "pt") as file:
                found = (file.metadata() or {}).get(_KEY)
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path} is no file of safetensors: {error}") from error
        self.about: dict[str, Any] | None = None if found is None else json.loads(found)
        if self.about is not None:
            self.program = _build(self.about, state, str(path))

    def __call__(self, *arrays: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The program's outputs by name."""
        import torch

        with torch.no_grad():
            found = self.program(*(torch.from_numpy(np.require(array, requirements="W")) for array in arrays))
        return {name: tensor.numpy() for name, tensor in found.items()}


def _build(about: dict[str, Any], state: dict[str, Any], source: str) -> Any:
    """The program that the description says, with these weights."""
    import lightning
    import torch

    from fulmen.core import provenance
    from fulmen.modules import SupervisedModule
    from fulmen.workflows.exporting.program import assemble

    model = about["model"]
    provenance.compare(model["components"], source)
    where, _, name = model["class_path"].rpartition(".")
    try:
        cls = getattr(import_module(where), name)
    except (ImportError, AttributeError) as error:
        raise CheckpointError(
            f"{source} needs the class {model['class_path']}, which is not here: {error}; an export to onnx or torch "
            "does without"
        ) from error
    if not (isinstance(cls, type) and issubclass(cls, SupervisedModule)):
        raise CheckpointError(f"{source}: {model['class_path']} is no SupervisedModule")
    tensors = {key.removeprefix(_PREFIX): value for key, value in state.items() if key.startswith(_PREFIX)}
    checkpoint = {
        "state_dict": {key: value for key, value in state.items() if not key.startswith(_PREFIX)},
        "hyper_parameters": model["hyperparameters"],
        "pytorch-lightning_version": lightning.__version__,
    }
    in_memory = io.BytesIO()  # Lightning builds modules of the command line from checkpoints alone
    torch.save(checkpoint, in_memory)
    in_memory.seek(0)
    try:
        module = cls.load_from_checkpoint(in_memory, map_location="cpu")
    except Exception as error:  # whatever building it raises, wrapped by Lightning's command line
        raise _explained(error, source) from error
    return assemble(module, about, tensors)


def _explained(error: BaseException, source: str) -> FulmenError:
    """What lies beneath, where it is one of our own errors, such as a plugin that may not be loaded."""
    below: BaseException | None = error
    while below is not None and not isinstance(below, FulmenError):
        below = below.__cause__ or below.__context__
    return below or CheckpointError(f"{source}: its module cannot be built: {str(error).splitlines()[:1]}")
