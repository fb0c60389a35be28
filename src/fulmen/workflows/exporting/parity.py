"""Whether an exported file says of real samples what the trained model says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fulmen.core.errors import CheckpointError
from fulmen.data import SupervisedDataModule, TabularData, TextData
from fulmen.data.image_data import ImageData
from fulmen.data.pixels import centre, read_image, resize, scaled
from fulmen.data.table_files import StackedTables
from fulmen.modules import SupervisedModule
from fulmen.nn.modes import mode_kept
from fulmen.workflows.exporting.running import Answers, Exported

TOLERANCE = 1e-4
"""Largest allowed difference of a probability; of a regression, in standard deviations of the training targets."""
_TIE = 1e-6
"""Two classes whose probabilities are so near are one decision that rounding may turn."""
_SINGLE = 8
_SIZES = ((37, 91), (640, 480), (1, 1), (300, 90))
"""Heights and widths that images are also tried in."""


@dataclass(frozen=True)
class Parity:
    """How far an exported file is from the trained model.

    Attributes:
        split: Whose samples were compared.
        samples: How many.
        difference: Largest difference of a probability, or of a value in standard deviations.
        labels: How many samples get another label.
        shapes: Largest difference for images of other sizes; ``None`` where samples are no images.
        full_decoding: Largest difference where large JPEGs are decoded in full, as other programs do, and not at a
            lower resolution, as in training; ``None`` where samples are no images.
        tolerance: Largest difference that is allowed, but for that of decoding.
    """

    split: str
    samples: int
    difference: float
    labels: int
    shapes: float | None = None
    full_decoding: float | None = None
    tolerance: float = TOLERANCE

    def check(self) -> None:
        """Raises :class:`CheckpointError` if the file says something else than the model."""
        worst = max(self.difference, self.shapes or 0.0)
        if self.labels or not worst <= self.tolerance:
            raise CheckpointError(
                f"export: what was exported differs from the trained model by {worst:.3g} (allowed: "
                f"{self.tolerance:g}), and in {self.labels} of {self.samples} labels; no file is left. Does the "
                "network depend on the batch, or draw random numbers, in evaluation?"
            )

    def facts(self) -> dict[str, Any]:
        """Of JSON's types."""
        return asdict(self)


def check_parity(exported: Exported, module: SupervisedModule, data: SupervisedDataModule, samples: int = 64) -> Parity:
    """Compares an exported file with the module that it was made of, on raw samples.

    The file gets raw samples (paths of images, texts, rows) in one batch and one by one; the module gets the batches
    of the datamodule.

    Args:
        exported: The file, loaded.
        module: The trained module.
        data: Its data, set up.
        samples: How many samples of the validation split; all where there are fewer.

    Returns:
        What was found; :meth:`Parity.check` judges it.
    """
    split = next(name for name in ("val", "test", "train") if name in data.datasets)
    dataset: Any = data.datasets[split]
    rows = np.unique(np.linspace(0, len(dataset) - 1, min(samples, len(dataset))).round().astype(int)).tolist()
    raw = raw_samples(data, split, rows)
    kind = exported.about["input"]["kind"]
    expected = _expected(exported, module, data.normalize(dataset.__getitems__(rows).inputs.to(module.device)))
    found = exported.predict(raw, len(rows))
    difference, labels = _compare(found, expected, module)
    for row in range(min(_SINGLE, len(rows))):
        one = exported.predict(raw.slice(row, 1) if kind == "table" else raw[row : row + 1], 1)
        this, other = _compare(one, _take(expected, [row]), module)
        difference, labels = max(difference, this), labels + other
    if kind != "images":
        return Parity(split, len(rows), difference, labels)
    assert isinstance(data, ImageData)
    shapes, full = _image_sizes(exported, module, data, raw[:_SINGLE], expected)
    return Parity(split, len(rows), difference, labels, shapes, full)


def raw_samples(data: SupervisedDataModule, split: str, rows: list[int]) -> Any:
    """Samples as they are before the datamodule touches them.

    Args:
        data: The datamodule, set up.
        split: Which split.
        rows: Their numbers in it.

    Returns:
        Paths of images, texts, an Arrow table, or an array.
    """
    dataset: Any = data.datasets[split]
    if isinstance(data, ImageData):
        return [Path(dataset.paths[row]) for row in rows]
    if isinstance(data, TextData):
        return dataset.whole(rows).inputs
    if isinstance(data, TabularData):
        return _table_rows(data, split, dataset.places[rows].numpy())
    inputs: Tensor = dataset.__getitems__(rows).inputs
    whole = type(data).normalize is SupervisedDataModule.normalize
    return (inputs if whole else data.normalize(inputs)).cpu().numpy()


def _table_rows(data: TabularData, split: str, places: NDArray[np.int64]) -> Any:
    """Rows of the files, read again: encoding lets go of them."""
    import pyarrow as pa

    splits = [name for name in ("train", "val", "test") if name in data._built]
    tables = StackedTables({s: Path(p) for s in splits if (p := data.paths[s]) is not None}, data.reading)
    order = np.argsort(places)  # rows are taken in ascending order
    back = np.argsort(order)
    names = [column["name"] for column in data.learned["columns"]]
    return pa.table({name: tables.take(name, places[order]) for name in names}).take(pa.array(back))


def _expected(exported: Exported, module: SupervisedModule, inputs: Tensor) -> Answers:
    """What the trained module says of inputs as its network takes them."""
    with torch.no_grad(), mode_kept(module):
        module.eval()
        logits = module(inputs.to(module.device))
        temperature = exported.about["temperature"]
        found = module.task.decode(logits if temperature == 1.0 else logits / temperature)
    parts = {name: tensor.cpu().numpy() for name, tensor in found.items()}
    return Answers(exported.about["task"], exported.names, parts["prediction"], parts.get("probabilities"))


def _take(answers: Answers, rows: list[int]) -> Answers:
    probabilities = None if answers.probabilities is None else answers.probabilities[rows]
    return Answers(answers.task, answers.names, answers.prediction[rows], probabilities)


def _compare(found: Answers, expected: Answers, module: SupervisedModule) -> tuple[float, int]:
    """The largest difference, and the number of samples with another label; a NaN differs from everything."""
    if expected.probabilities is None or found.probabilities is None:
        scale = module.task.get_buffer("target_scale").cpu().numpy()
        apart = np.abs(found.prediction - expected.prediction) / scale
        return _largest(apart), 0
    apart = np.abs(found.probabilities - expected.probabilities)
    others = found.prediction != expected.prediction
    if expected.task == "multilabel":
        others &= np.abs(expected.probabilities - 0.5) > _TIE
        others = others.any(1)
    else:
        best = np.sort(expected.probabilities, 1)[:, -2:]
        others &= best[:, 1] - best[:, 0] > _TIE
    return _largest(apart), int(others.sum())


def _largest(apart: NDArray[Any]) -> float:
    return float(np.inf) if np.isnan(apart).any() else float(apart.max(initial=0.0))


def _image_sizes(
    exported: Exported, module: SupervisedModule, data: ImageData, paths: list[Path], expected: Answers
) -> tuple[float, float]:
    """Differences for images of other sizes, and for files that are decoded in full."""
    sight = data.sight

    def prepared(image: NDArray[np.uint8]) -> Tensor:
        fitted = centre(
            resize(image, *scaled(image.shape[0], image.shape[1], sight.shorter), sight.interpolation), sight.size
        )
        return data.normalize(torch.from_numpy(np.ascontiguousarray(fitted)).permute(2, 0, 1)[None])

    shapes, full = 0.0, 0.0
    for row, path in enumerate(paths):
        whole = whole_image(path, sight.channels)
        found = exported.predict([whole])
        shapes = max(shapes, _compare(found, _expected(exported, module, prepared(whole)), module)[0])
        full = max(full, _compare(found, _take(expected, [row]), module)[0])
    for height, width in _SIZES:
        image = resize(whole_image(paths[0], sight.channels), height, width)
        found = exported.predict([image])
        shapes = max(shapes, _compare(found, _expected(exported, module, prepared(image)), module)[0])
    return shapes, full


def whole_image(path: Path, channels: int) -> NDArray[np.uint8]:
    """A file's image in its full resolution: ``(H, W, channels)``."""
    from PIL import Image

    with Image.open(path) as file:
        shorter = min(file.size)
    return read_image(path, shorter, channels)  # which neither decodes less nor resizes
