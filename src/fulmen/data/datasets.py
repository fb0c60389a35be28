"""Any map-style data set: torch's, torchvision's, Hugging Face's, one's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Subset

from fulmen.core.batch import PADDING, Batch
from fulmen.core.errors import DataError
from fulmen.data.arrays import as_targets, guess_target_type, width
from fulmen.data.base import BatchedDataset, SupervisedDataModule, TargetType
from fulmen.data.items import Form, Place, check_map_style, find_form, read_column, read_targets
from fulmen.data.splits import check_split
from fulmen.data.splitting import Samples


class DatasetData(SupervisedDataModule):
    """Trains on a ``torch.utils.data.Dataset``, a Hugging Face ``datasets.Dataset``, or a list of samples.

    Samples are ``(inputs, target)`` or mappings. Inputs are tensors, arrays, lists of numbers or images of Pillow, all
    of one shape; uint8 images ``(C, H, W)`` are scaled to [0, 1], integers stay integers, all else becomes float32.
    Targets are read once, when this is made: without decoding inputs from a column, or the ``targets`` of torchvision's
    sets; else by one pass over all samples.

    Args:
        train: Samples by number; validation and test are split from it where they are not given.
        val: Samples for validation.
        test: Samples for the test.
        predict: Samples to predict; they need no target, and may be inputs alone.
        inputs: Where the inputs are: a key or a position; several keys give one vector. ``None``: the first of
            a tuple, the only other key of a mapping.
        target: Where the target is: a key or a position. ``None``: the second of a tuple, the only column of class
            labels.
        target_type: ``multiclass``, ``binary``, ``multilabel`` or ``regression``; ``None``: floats are a
            regression, two columns or more of 0 and 1 are labels, two classes are binary, else multiclass.
        class_names: Name of each class, in the order of the numbers; ``None``: what the data set says, else the values
            that occur, sorted.
        transform: Applied to the inputs of each sample in every split, such as a resize; what only training samples
            go through is ``augment``.
        **kwargs: Arguments of :class:`SupervisedDataModule`.

    Raises:
        ConfigError: If inputs or target have to be named.
        DataError: If samples cannot be had by number, or are not alike.

    >>> data = DatasetData([(torch.rand(4), i % 3) for i in range(20)])
    >>> data.input_shape, data.num_outputs, data.target_type
    ([4], 3, 'multiclass')
    """

    def __init__(
        self,
        # without parameters: jsonargparse looks for the options of `class_path` in `Dataset[Any]` itself
        train: Dataset,  # type: ignore[type-arg]
        val: Dataset | None = None,  # type: ignore[type-arg]
        test: Dataset | None = None,  # type: ignore[type-arg]
        predict: Dataset | None = None,  # type: ignore[type-arg]
        inputs: Place | list[Place] | None = None,
        target: Place | None = None,
        target_type: TargetType | None = None,
        class_names: list[str] | None = None,
        transform: Callable[[Any], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        given: dict[str, Any] = {"train": train, "val": val, "test": test, "predict": predict}
        for name, dataset in given.items():
            if dataset is not None:
                check_map_style(name, dataset)
        self.form = Form(*find_form(train, inputs, target), transform)
        self.predicted: Any = predict
        self.sets = {name: data for name, data in given.items() if data is not None and name != "predict"}
        values = self._values()
        self.target_type = target_type or guess_target_type(values)
        names = class_names
        if names is None and self.target_type in ("multiclass", "binary"):
            names = _class_names(self.sets, self.form.target, values)
        self.targets, self.class_names = as_targets(values, self.target_type, names)
        self.num_outputs = width(self.targets, self.target_type, self.class_names)
        first = self.form.input_of(train[0], "train, row 0")
        self.input_shape, self._dtype = list(first.shape), first.dtype

    def build_datasets(self) -> dict[str, BatchedDataset]:
        """Splits the rows of all data sets, one after the other."""
        classes = self.targets.numpy() if self.target_type in ("multiclass", "binary") else None
        sizes = [len(data) for data in self.sets.values()]
        given = np.repeat([*self.sets], sizes) if len(sizes) > 1 else None
        mappings = isinstance(self.sets["train"][0], Mapping)
        column = self.column if mappings else None
        rows = self.splitting(Samples(sum(sizes), classes, given=given, column=column))
        check_split(rows, classes, self.class_names or [])
        found: dict[str, BatchedDataset] = {
            name: ItemRows(self, self.sets, self.targets, torch.from_numpy(r)) for name, r in rows.items()
        }
        if self.predicted is not None:
            found["predict"] = ItemRows(self, {"predict": self.predicted}, None, torch.arange(len(self.predicted)))
        return found

    def column(self, name: str) -> NDArray[Any]:
        """The values ``(N,)`` of a column, or of a key of all samples.

        Raises:
            DataError: If there is none of this name.
        """
        return np.concatenate([read_column(data, name, split) for split, data in self.sets.items()])

    def sample_columns(self, split: str) -> list[str]:
        """Keys of the samples that are no inputs, where samples are mappings."""
        first = self.sets["train"][0]
        inputs = self.form.inputs if isinstance(self.form.inputs, list) else [self.form.inputs]
        return [str(key) for key in first if key not in inputs] if isinstance(first, Mapping) else []

    def sample_values(self, split: str, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """See the base class."""
        super().sample_values(split, names)
        dataset: Any = self.datasets[split]
        return {name: self.column(name)[dataset.rows.numpy()] for name in names}

    def _values(self) -> NDArray[Any]:
        found = {name: read_targets(data, self.form, name) for name, data in self.sets.items()}
        for name, values in found.items():
            train = found["train"]
            if (values.dtype.kind in "OUS") != (train.dtype.kind in "OUS") or values.shape[1:] != train.shape[1:]:
                raise DataError(f"{name}: targets are like {values[0]!r}, those of train like {train[0]!r}")
            missing = [i for i, value in enumerate(values.tolist()) if value is None] if values.dtype == object else []
            if missing:
                raise DataError(f"{name}: {len(missing)} samples have no target, the first is row {missing[0]}")
        return np.concatenate([*found.values()])


class ItemRows(Dataset[Batch]):
    """Some rows of data sets that stand one after the other.

    Args:
        data: What messages and shapes come from.
        sets: The data sets, by name.
        targets: ``(M,)`` or ``(M, K)`` of all of them; ``None`` where they are not known.
        rows: ``(N,)`` int64: which rows belong to this data set, in order.
    """

    def __init__(self, data: DatasetData, sets: Mapping[str, Any], targets: Tensor | None, rows: Tensor) -> None:
        self.form, self.shape, self.dtype = data.form, data.input_shape, data._dtype
        self.names, self.sets = list(sets), list(sets.values())
        self.ends = np.cumsum([len(dataset) for dataset in self.sets])
        self.targets, self.rows = targets, rows

    def __len__(self) -> int:
        return len(self.rows)

    def describe(self, index: int) -> str:
        """What messages call a sample: its set, and its row there."""
        which = int(np.searchsorted(self.ends, index, side="right"))
        return f"{self.names[which]}, row {index - (self.ends[which - 1] if which else 0)}"

    def __getitem__(self, row: int) -> Batch:
        return self.__getitems__([row]).first()

    def __getitems__(self, rows: list[int]) -> Batch:
        asked = torch.tensor(rows)
        index = self.rows[asked]
        inputs = torch.stack([self._input(item, row) for item, row in zip(self._items(index), index, strict=True)])
        targets = None if self.targets is None else self.targets[index]
        if rows[-1] == PADDING:  # padding comes last, and gave the last sample
            index[asked == PADDING] = PADDING
        return Batch(inputs, targets, index)

    def _items(self, index: Tensor) -> list[Any]:
        """The samples, from each data set at once where it can."""
        which = np.searchsorted(self.ends, index.numpy(), side="right")
        items: list[Any] = [None] * len(index)
        for number in np.unique(which):
            dataset, places = self.sets[number], np.flatnonzero(which == number)
            local = (index.numpy()[places] - (self.ends[number - 1] if number else 0)).tolist()
            at_once = getattr(dataset, "__getitems__", None)
            found = list(at_once(local)) if at_once is not None else [dataset[row] for row in local]
            if len(found) != len(local):
                raise DataError(
                    f"{self.names[number]}: `__getitems__` of {len(local)} rows gave {len(found)} samples; it has to "
                    "give a list of one sample a row"
                )
            for place, item in zip(places, found, strict=True):
                items[place] = item
        return items

    def _input(self, item: Any, row: Tensor) -> Tensor:
        value = self.form.input_of(item, self.describe(int(row)))
        if list(value.shape) != self.shape or value.dtype != self.dtype:
            raise DataError(
                f"{self.describe(int(row))} has the shape {tuple(value.shape)} ({value.dtype}), the first of train "
                f"{tuple(self.shape)} ({self.dtype}); make them alike in `transform`"
            )
        return value


def _class_names(sets: Mapping[str, Any], target: Place, values: NDArray[Any]) -> list[str] | None:
    """What the training set calls its classes, if it says so and targets are their numbers."""
    names = _noted_names(sets["train"], target)
    if names is None or values.dtype.kind not in "iub" or values.max() >= len(names):
        return None
    for split, dataset in sets.items():
        others = _noted_names(dataset, target)
        if others is not None and others != names:  # as folders that lack a class: its numbers are other classes
            raise DataError(
                f"{split}: its classes are {', '.join(others)}, those of train {', '.join(names)}; give it the same "
                "classes in the same order, or name the classes in its targets"
            )
    return names


def _noted_names(dataset: Any, target: Place) -> list[str] | None:
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    features = getattr(dataset, "features", None) or {}
    names = getattr(features.get(target), "names", None) or getattr(dataset, "classes", None)
    return None if names is None else [str(name) for name in names]
