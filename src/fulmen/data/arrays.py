"""Data that fit in memory as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fulmen.core.errors import ConfigError, DataError, unknown
from fulmen.data.base import BatchedDataset, SupervisedDataModule, TargetType, TensorRows
from fulmen.data.splits import check_split
from fulmen.data.splitting import Samples

Standardize = Literal["auto"] | bool


class ArrayData(SupervisedDataModule):
    """Trains on tensors or arrays that are held in memory.

    Args:
        inputs: ``(N, *input_shape)``: floats, or uint8 images ``(N, C, H, W)``.
        targets: ``(N,)`` classes (numbers or names) or values; ``(N, L)`` 0/1 labels or values.
        class_names: Name of each class, in the order of the numbers; ``None``: the values that occur, sorted.
        target_type: ``multiclass``, ``binary``, ``multilabel`` or ``regression``; ``None``: floats are a
            regression, two columns or more of 0 and 1 are labels, two classes are binary, else multiclass.
        standardize: Subtract the training split's mean from each feature and divide by its standard
            deviation; ``auto`` does so for vectors of floats.
        columns: Further values ``(N,)`` of each sample by name, which ``split_by`` may name: persons, times, splits.
        **kwargs: Arguments of :class:`SupervisedDataModule`.

    Raises:
        DataError: If inputs and targets do not go together.

    >>> data = ArrayData(torch.rand(20, 4), torch.arange(20) % 3)
    >>> data.input_shape, data.num_outputs, data.target_type
    ([4], 3, 'multiclass')
    """

    def __init__(
        self,
        inputs: Any,
        targets: Any,
        class_names: list[str] | None = None,
        target_type: TargetType | None = None,
        standardize: Standardize = "auto",
        columns: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.inputs = _as_inputs(inputs)
        values = np.asarray(targets)
        if len(values) != len(self.inputs):
            raise DataError(f"inputs and targets must be equally many; got {len(self.inputs)} and {len(values)}")
        self.target_type = target_type or guess_target_type(values)
        self.targets, self.class_names = as_targets(values, self.target_type, class_names)
        self.num_outputs = width(self.targets, self.target_type, self.class_names)
        self.input_shape = list(self.inputs.shape[1:])
        vectors = self.inputs.ndim == 2 and self.inputs.is_floating_point()
        self.standardize = vectors if standardize == "auto" else bool(standardize)
        self.columns = {name: np.asarray(column) for name, column in (columns or {}).items()}
        for name, column in self.columns.items():
            if column.shape != values.shape[:1]:
                raise DataError(f"columns: {name!r} has the shape {column.shape}; a column is ({len(values)},)")

    def build_datasets(self) -> dict[str, BatchedDataset]:
        """Splits the rows, stratified by class."""
        classes = self.targets.numpy() if self.target_type in ("multiclass", "binary") else None
        column = self.column if self.columns else None
        rows = self.splitting(Samples(len(self.inputs), classes, column=column))
        check_split(rows, classes, self.class_names or [])
        if self.standardize:
            self._learn(self.inputs[torch.from_numpy(rows["train"])])
        return {name: TensorRows(self.inputs, self.targets, torch.from_numpy(r)) for name, r in rows.items()}

    def column(self, name: str) -> np.ndarray[Any, Any]:
        """The values ``(N,)`` of a column.

        Raises:
            DataError: If there is none of this name.
        """
        if name not in self.columns:
            raise DataError(unknown("column", name, self.columns))
        return self.columns[name]

    def sample_columns(self, split: str) -> list[str]:
        """Those of ``columns``."""
        return list(self.columns)

    def sample_values(self, split: str, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """See the base class."""
        super().sample_values(split, names)
        dataset: Any = self.datasets[split]
        return {name: self.columns[name][dataset.rows.numpy()] for name in names}

    def _learn(self, inputs: Tensor) -> None:
        raw = inputs.float() / 255 if inputs.dtype == torch.uint8 else inputs  # as `normalize` reads them
        std, mean = torch.std_mean(raw, dim=0, correction=0)
        std[std == 0] = 1  # a constant feature becomes zero
        self.statistics = {"mean": mean, "std": std}


def _as_inputs(inputs: Any) -> Tensor:
    tensor = torch.as_tensor(np.asarray(inputs) if not isinstance(inputs, Tensor) else inputs)
    if tensor.ndim < 2:
        raise DataError(f"inputs have one row a sample, (N, ...); got shape {tuple(tensor.shape)}")
    if tensor.dtype == torch.uint8:
        return tensor
    tensor = tensor.float()
    bad = ~torch.isfinite(tensor).reshape(len(tensor), -1).all(1)
    if bad.any():
        raise DataError(
            f"{int(bad.sum())} samples hold NaN or infinite values, the first is row {int(bad.nonzero()[0])}"
        )
    return tensor


def guess_target_type(values: np.ndarray[Any, Any]) -> TargetType:
    """What kind of targets an array holds.

    >>> guess_target_type(np.array([0.5, 2.0])), guess_target_type(np.array(["a", "b", "c"]))
    ('regression', 'multiclass')
    """
    if values.ndim > 1 and values.shape[1] > 1:
        return "multilabel" if np.isin(values, (0, 1)).all() else "regression"
    if np.issubdtype(values.dtype, np.floating):
        return "regression"
    return "binary" if len(np.unique(values)) == 2 else "multiclass"


def as_targets(
    values: np.ndarray[Any, Any], target_type: TargetType, class_names: list[str] | None
) -> tuple[Tensor, list[str] | None]:
    """Targets as a tensor, and the names of their classes.

    Args:
        values: ``(N,)`` classes (numbers or names) or values; ``(N, L)`` 0/1 labels or values.
        target_type: What they are.
        class_names: Name of each class, in the order of the numbers; ``None``: the values that occur, sorted.

    Returns:
        int64 classes ``(N,)`` or labels ``(N, L)``, or float32 values; and the names of classes or labels.

    Raises:
        DataError: If a value is no such target.
    """
    if target_type == "regression":
        if not np.issubdtype(values.dtype, np.number):
            raise DataError(f"targets of a regression are numbers; got {values.dtype}, such as {values.flat[0]!r}")
        return torch.as_tensor(values, dtype=torch.float32), None
    if target_type == "multilabel":
        _check_whole(values, target_type)
        return torch.as_tensor(values).long(), class_names or [str(i) for i in range(values.shape[1])]
    values = values.ravel()
    if class_names is not None and (np.issubdtype(values.dtype, np.number) or values.dtype == bool):
        _check_whole(values, target_type)
        return torch.as_tensor(values).long(), class_names  # numbers of the names; the range is checked later
    found = np.unique(values)
    names = [str(v) for v in found] if class_names is None else class_names
    by_name = {name: i for i, name in enumerate(names)}
    absent = [str(v) for v in found if str(v) not in by_name]
    if absent:
        raise DataError(f"targets: {unknown('class', absent[0], names)}")
    return torch.tensor([by_name[str(v)] for v in found])[np.searchsorted(found, values)], names


def _check_whole(values: np.ndarray[Any, Any], target_type: TargetType) -> None:
    if np.issubdtype(values.dtype, np.floating) and not np.array_equal(values, np.round(values)):
        row = int(np.flatnonzero((values != np.round(values)).reshape(len(values), -1).any(1))[0])
        raise DataError(f"targets of a {target_type} task are whole numbers; row {row} holds {values[row]}")


def width(targets: Tensor, target_type: TargetType, class_names: list[str] | None) -> int:
    """How many outputs a network needs.

    Raises:
        ConfigError: If there is only one class.
    """
    if target_type == "binary":
        return 1
    if target_type == "multiclass":
        count = len(class_names or [])
        if count < 2:
            raise ConfigError(f"targets: classification needs at least 2 classes, found {count}")
        return count
    return 1 if targets.ndim == 1 else targets.shape[1]
