"""Exported models at work: from files, without the config, the run or the plugins that made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fulmen.core.errors import CheckpointError, unknown
from fulmen.workflows.exporting.reading import arrays_of

ENDINGS = {"onnx": ".onnx", "torch": ".pt2", "safetensors": ".safetensors"}
READS = 1
"""The highest version of a description that is understood."""


class Runner(Protocol):
    """What runs a file."""

    about: dict[str, Any] | None

    def __call__(self, *arrays: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The graph's outputs by name."""


@dataclass(frozen=True)
class Answers:
    """What an exported model says of samples.

    Attributes:
        task: ``multiclass``, ``binary``, ``multilabel`` or ``regression``.
        names: Name of each class (two of a yes/no target), label or value.
        prediction: ``(N,)`` numbers of classes, ``(N, L)`` 0/1 labels, or ``(N, K)`` values.
        probabilities: ``(N, C)`` float32; ``None`` for a regression.
    """

    task: str
    names: list[str]
    prediction: NDArray[Any]
    probabilities: NDArray[np.float32] | None

    @property
    def labels(self) -> list[Any]:
        """What is decided for, in words: a class, labels joined by ``;``, or the values."""
        if self.task == "multilabel":
            return [";".join(n for n, on in zip(self.names, row, strict=True) if on) for row in self.prediction]
        if self.task == "regression":
            values = self.prediction
            return (values[:, 0] if values.shape[1] == 1 else values).tolist()  # type: ignore[no-any-return]
        return [self.names[i] for i in self.prediction.tolist()]

    def columns(self, samples: Sequence[object]) -> dict[str, Sequence[Any]]:
        """A table as `lightning predict` writes it.

        Args:
            samples: Identity of each sample.

        >>> Answers("binary", ["no", "yes"], np.array([1]), np.array([[0.25, 0.75]], np.float32)).columns(["x.png"])
        {'sample': ['x.png'], 'prediction': ['yes'], 'probability_no': [0.25], 'probability_yes': [0.75]}
        """
        made: dict[str, Sequence[Any]] = {"sample": list(samples)}
        if self.probabilities is None and len(self.names) > 1:
            return made | {f"prediction_{name}": self.prediction[:, i].tolist() for i, name in enumerate(self.names)}
        made["prediction"] = self.labels
        if self.probabilities is not None:
            made |= {f"probability_{name}": self.probabilities[:, i].tolist() for i, name in enumerate(self.names)}
        return made


class Exported:
    """An exported model.

    Args:
        runner: Runs it.
        about: Its description.

    Attributes:
        about: Task, names, inputs, outputs, versions, metrics: what stands in the file.
    """

    def __init__(self, runner: Runner, about: Mapping[str, Any]) -> None:
        self.runner, self.about = runner, dict(about)

    @property
    def names(self) -> list[str]:
        """Name of each class, label or value."""
        return list(self.about["names"])

    def predict(self, samples: Any, batch_size: int = 64) -> Answers:
        """Predicts raw samples.

        Args:
            samples: Paths of images, Pillow's images, or uint8 arrays ``(H, W, C)``; texts; rows of a table (a mapping
                of columns, a list of mappings, an Arrow or pandas table); or numbers ``(N, *shape)``.
            batch_size: Samples at once, at most.

        Raises:
            DataError: If samples are not what the model takes.
        """
        parts = [self.runner(*arrays) for arrays in arrays_of(self.about, samples, batch_size)]
        if not parts:
            return self._answers({one["name"]: _empty(one) for one in self.about["outputs"]})
        return self._answers({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})

    def _answers(self, found: dict[str, NDArray[Any]]) -> Answers:
        return Answers(self.about["task"], self.names, found["prediction"], found.get("probabilities"))


def load_exported(path: str | Path) -> Exported:
    """Loads an exported model: ``.onnx``, ``.pt2`` or ``.safetensors``; nothing of it is unpickled.

    Args:
        path: The file.

    Raises:
        CheckpointError: If there is no such file, or it is no export of Fulmen's.
        ConfigError: If its runtime is not installed.
        PluginError: If a ``.safetensors`` file needs a plugin that is missing.
    """
    path = Path(path)
    if path.suffix not in ENDINGS.values():
        raise CheckpointError(f"model: {unknown('ending', path.suffix, ENDINGS.values())} ({path})")
    if not path.is_file():
        raise CheckpointError(f"model: there is no file {str(path)!r} (from {Path.cwd()})")
    runner = _open(path)
    if runner.about is None:
        raise CheckpointError(f"{path} holds no description of Fulmen's; write it with `lightning export`")
    if runner.about.get("fulmen_export", 0) > READS:
        raise CheckpointError(f"{path} was exported by a newer fulmen; install it: pip install -U fulmen")
    return Exported(runner, runner.about)


def _open(path: Path) -> Runner:
    if path.suffix == ".onnx":
        from fulmen.workflows.exporting.onnx_file import OnnxRunner

        return OnnxRunner(path)
    if path.suffix == ".pt2":
        from fulmen.workflows.exporting.torch_file import TorchRunner

        return TorchRunner(path)
    from fulmen.workflows.exporting.safetensors_file import SafetensorsRunner

    return SafetensorsRunner(path)


def _empty(output: Mapping[str, Any]) -> NDArray[Any]:
    kind = object if output["dtype"] == "string" else output["dtype"]
    return np.empty([0, *output["shape"][1:]], kind)
