"""``.pt2`` files: torch's exported programs, which run without the classes that made them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fulmen.core.errors import CheckpointError, ConfigError

_KEY = "fulmen.json"


def write_torch(traced: Any, about: Mapping[str, Any], path: Path) -> None:
    """Writes the program with its description.

    Args:
        traced: A ``torch.export.ExportedProgram``.
        about: Its description.
        path: Where to write.

    Raises:
        ConfigError: If torch would pickle a part of it.
    """
    import torch

    traced._example_inputs = None  # torch pickles them, and nobody needs them
    with path.open("wb") as file:
        torch.export.save(traced, file, extra_files={_KEY: json.dumps(about)})
    pickled = pickles(path)
    if pickled:
        raise ConfigError(
            f"to: this torch ({torch.__version__}) pickles {', '.join(pickled[:3])} of the program; use onnx or "
            "safetensors, or torch 2.8 or newer with plain tensors as weights"
        )


def pickles(path: Path) -> list[str]:
    """Parts of a ``.pt2`` file that are pickled.

    Raises:
        CheckpointError: If the file is no archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError) as error:
        raise CheckpointError(f"{path} is no exported program of torch: {error}") from error
    found = []
    for name, content in parts.items():
        if name.endswith("_config.json"):
            entries = json.loads(content).get("config", {})
            found += [key for key, entry in entries.items() if entry.get("use_pickle")]
        elif content.startswith(b"PK\x03\x04") or (content.startswith(b"\x80") and content.endswith(b".")):
            found.append(name)
    return found


class TorchRunner:
    """Runs a ``.pt2`` file, on the CPU.

    Args:
        path: The file.

    Raises:
        CheckpointError: If the file is no such program, or holds pickled objects.
    """

    def __init__(self, path: Path) -> None:
        import torch

        pickled = pickles(path)
        if pickled:
            raise CheckpointError(f"{path} holds pickled objects ({', '.join(pickled[:3])}), which are not loaded")
        extra = {_KEY: ""}
        try:
            with path.open("rb") as file:
                program = torch.export.load(file, extra_files=extra)
        except Exception as error:  # torch's own, of many kinds
            raise CheckpointError(f"{path} is no exported program that this torch can load: {error}") from error
        self.about: dict[str, Any] | None = json.loads(extra[_KEY]) if extra[_KEY] else None
        self.module = program.module()

    def __call__(self, *arrays: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The graph's outputs by name."""
        import torch

        with torch.no_grad():
            found = self.module(*(torch.from_numpy(np.require(array, requirements="W")) for array in arrays))
        return {name: tensor.numpy() for name, tensor in found.items()}
