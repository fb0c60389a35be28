"""Samples of other people's data sets: where their inputs and targets are, and how these become tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import ConcatDataset, IterableDataset, Subset, TensorDataset

from fulmen.core.errors import ConfigError, DataError, unknown

Place = int | str
"""A key of samples that are mappings, or a position in samples that are tuples."""


@dataclass(frozen=True)
class Form:
    """How a sample is read.

    Attributes:
        inputs: Where its inputs are; several places give one vector.
        target: Where its target is.
        transform: Applied to what is at ``inputs``, before it becomes a tensor.
    """

    inputs: Place | list[Place]
    target: Place
    transform: Callable[[Any], Any] | None = None

    def input_of(self, item: Any, what: str) -> Tensor:
        """The inputs of a sample.

        Args:
            item: The sample; to predict, it may be the inputs alone.
            what: What messages call it.

        Raises:
            DataError: If there are none, or they cannot become a tensor.
        """
        if isinstance(self.inputs, list):
            value: Any = [_part(item, place, what) for place in self.inputs]
        else:
            value = _part(item, self.inputs, what) if isinstance(item, Mapping | tuple | list) else item
        if self.transform is not None:
            value = self.transform(value)
        if isinstance(self.inputs, list) and isinstance(value, list):
            return torch.cat([as_tensor(part, what).flatten().float() for part in value])
        return as_tensor(value, what)

    def target_of(self, item: Any, what: str) -> Any:
        """The target of a sample, as it is.

        Raises:
            DataError: If there is none.
        """
        return _part(item, self.target, what)


def find_form(dataset: Any, inputs: Place | list[Place] | None, target: Place | None) -> tuple[Any, Any]:
    """Where inputs and target are in the samples of a data set.

    Tuples have them first and second. Of mappings, the target is the only column of class labels (Hugging Face's
    ``ClassLabel``), and the inputs are the only other key, unless they are given.

    Raises:
        ConfigError: If they must be given.
        DataError: If samples are neither.
    """
    item = dataset[0]
    if not isinstance(item, Mapping):
        if not isinstance(item, tuple | list):
            raise DataError(f"train: a sample is (inputs, target) or a mapping; row 0 holds {_kind(item)}")
        return (0 if inputs is None else inputs), (1 if target is None else target)
    keys, features = list(item), getattr(dataset, "features", None) or {}
    if target is None:
        labels = [key for key in keys if hasattr(features.get(key), "names")]
        if len(labels) != 1:
            raise ConfigError(f"target: say where the target is, one of {', '.join(map(str, keys))}")
        target = labels[0]
    if inputs is None:
        others = [key for key in keys if key != target]
        if len(others) != 1:
            raise ConfigError(f"inputs: say where the inputs are, one or several of {', '.join(map(str, others))}")
        inputs = others[0]
    return inputs, target


def check_map_style(name: str, dataset: Any) -> None:
    """Checks that samples can be had by number.

    Raises:
        DataError: If they cannot, or there are none.
    """
    if isinstance(dataset, Mapping):
        splits = ", ".join(map(repr, dataset))
        raise DataError(f"{name}: got several data sets, {splits}; give one: DatasetData(train=sets['train'], ...)")
    if isinstance(dataset, str):
        raise DataError(
            f"{name}: {dataset!r} is a text, no data set; give an object, or in a config `class_path` and `init_args` "
            "(for files there are ImageFolderData, ImageTableData, TextData and TabularData)"
        )
    if isinstance(dataset, IterableDataset) or not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        raise DataError(
            f"{name}: {type(dataset).__name__} has no samples by number (`len(data)`, `data[i]`), without which it "
            "cannot be split or shuffled; make a list of it, or give your own loaders to Lightning's Trainer"
        )
    if not len(dataset):
        raise DataError(f"{name}: the data set is empty")


def read_targets(dataset: Any, form: Form, name: str) -> NDArray[Any]:
    """All targets of a data set, without decoding inputs where that can be: else by one pass over all samples.

    Read are a column of Hugging Face's, the tensors of a ``TensorDataset``, and the attribute ``targets`` (or
    ``labels``) that torchvision's sets have, if it says the same as the first and the last sample; also through
    ``Subset`` and ``ConcatDataset``.

    Args:
        dataset: The data set.
        form: Where targets are.
        name: What messages call it.

    Raises:
        DataError: If a sample has no target, or another kind of target than the others.
    """
    if isinstance(dataset, Subset):
        whole: NDArray[Any] = read_targets(dataset.dataset, form, name)
        return np.asarray(whole[np.asarray(dataset.indices)])
    if isinstance(dataset, ConcatDataset):
        return np.concatenate([read_targets(part, form, name) for part in dataset.datasets])
    if form.target in getattr(dataset, "column_names", ()):
        return read_column(dataset, str(form.target), name)
    if isinstance(dataset, TensorDataset) and isinstance(form.target, int):
        return np.asarray(dataset.tensors[form.target])
    return _noted_targets(dataset, form, name) if form.target == 1 else _stack(dataset, form.target, name)


def read_column(dataset: Any, column: str, name: str) -> NDArray[Any]:
    """The values ``(N,)`` of a column, or of a key of all samples.

    Raises:
        DataError: If samples have no such key, or values of several kinds.
    """
    if column not in getattr(dataset, "column_names", ()):
        return _stack(dataset, column, name)
    raw = dataset.with_format(None) if hasattr(dataset, "with_format") else dataset
    return np.asarray(raw[column][:])


def _noted_targets(dataset: Any, form: Form, name: str) -> NDArray[Any]:
    """What the data set notes of its targets, where that is what its samples have."""
    for attribute in ("targets", "labels"):
        noted = getattr(dataset, attribute, None)
        if noted is None or not hasattr(noted, "__len__") or len(noted) != len(dataset):
            continue
        values = np.asarray(noted)
        ends = (0, len(dataset) - 1)
        if all(np.array_equal(values[i], np.asarray(form.target_of(dataset[i], f"{name}, row {i}"))) for i in ends):
            return values
    return _stack(dataset, form.target, name)


def _stack(dataset: Any, place: Place, name: str) -> NDArray[Any]:
    values = [np.asarray(_part(dataset[i], place, f"{name}, row {i}")) for i in range(len(dataset))]
    for i, value in enumerate(values):
        if value.shape != values[0].shape or (value.dtype.kind in "OUS") != (values[0].dtype.kind in "OUS"):
            raise DataError(f"{name}: row {i} has {value.tolist()!r} at {place!r}, row 0 has {values[0].tolist()!r}")
    return np.asarray(values)


def _part(item: Any, place: Place, what: str) -> Any:
    if isinstance(item, Mapping):
        if place not in item:
            raise DataError(f"{what}: {unknown('key', str(place), map(str, item))}")
        return item[place]
    if isinstance(item, tuple | list) and isinstance(place, int) and place < len(item):
        return item[place]
    raise DataError(f"{what} has nothing at {place!r}: it is {_kind(item)}")


def as_tensor(value: Any, what: str) -> Tensor:
    """One sample's inputs: uint8 stays, other integers become int64, all else float32; a number is a vector of one.

    Args:
        value: A tensor, an array, an image of Pillow (to uint8 ``(C, H, W)``, grey or RGB), numbers in lists.
        what: What messages call the sample.

    Raises:
        DataError: If it is none of them.

    >>> as_tensor([1.5, 2], "row 0"), as_tensor(np.uint8(3), "row 0")
    (tensor([1.5000, 2.0000]), tensor([3], dtype=torch.uint8))
    """
    try:
        tensor = value if isinstance(value, Tensor) else torch.as_tensor(_pixels(value, what))
    except DataError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{what}: the inputs are {_kind(value)}, no tensor, array or image of one shape; make one in `transform`"
        ) from error
    if tensor.dtype != torch.uint8:
        whole = not tensor.is_floating_point() and tensor.dtype != torch.bool
        tensor = tensor.long() if whole else tensor.float()
    return tensor if tensor.ndim else tensor[None]


def _pixels(value: Any, what: str) -> Any:
    if not (hasattr(value, "convert") and hasattr(value, "mode")):
        return np.require(value, requirements="W")  # torch warns of arrays that may not be written
    if value.mode[0] in "IF":
        raise DataError(f"{what} is an image of mode {value.mode}; make it 8 bits or a tensor in `transform`")
    image = value if value.mode in ("L", "RGB") else value.convert("L" if value.mode == "1" else "RGB")
    pixels = np.array(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _kind(value: Any) -> str:
    text = repr(value) if isinstance(value, str | int | float) else ""
    return f"{type(value).__name__} {text[:40]}".rstrip()
