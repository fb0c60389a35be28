"""All samples of a datamodule in one list, as the checks see them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fulmen.data.base import SupervisedDataModule
from fulmen.data.checks.rows import row_keys
from fulmen.data.findings import Finding, Severity
from fulmen.data.splits import SPLITS

PLACES = 1000
"""How many places a finding lists; it counts all of them."""
Rows = NDArray[np.int64]


def amount(count: int, one: str, many: str) -> str:
    """A number with what follows it.

    >>> amount(1, "text is empty", "texts are empty"), amount(1200, "text is empty", "texts are empty")
    ('1 text is empty', '1,200 texts are empty')
    """
    return f"{count:,} {one if count == 1 else many}"


@dataclass(frozen=True)
class Listing:
    """The samples of training, validation and test, in this order.

    Attributes:
        data: The datamodule, with its data sets.
        splits: ``(N,)`` number of each sample's split in ``SPLITS``.
        targets: ``(N,)`` or ``(N, K)`` as the data sets hold them; ``None`` if they do not.
        describe: Says where a sample is; ``None``: as :meth:`SupervisedDataModule.identity` and the data set do.
    """

    data: SupervisedDataModule
    splits: NDArray[np.int8]
    targets: NDArray[Any] | None
    describe: Callable[[int], str] | None = None

    @classmethod
    def of(cls, data: SupervisedDataModule) -> Listing:
        """Lists the samples of data sets that are built.

        Args:
            data: After ``setup``.
        """
        present = [name for name in SPLITS if name in data.datasets]
        splits = np.concatenate([np.full(len(data.datasets[s]), SPLITS.index(s), np.int8) for s in present])
        parts = [_targets(data.datasets[s]) for s in present]
        known = [part for part in parts if part is not None]
        return cls(data, splits, np.concatenate(known) if len(known) == len(parts) else None)

    def __len__(self) -> int:
        return len(self.splits)

    @cached_property
    def labels(self) -> NDArray[np.int64] | None:
        """``(N,)`` one number for each target, or set of labels; ``None`` where targets are no classes."""
        if self.targets is None or self.data.target_type == "regression":
            return None
        if self.targets.ndim == 1:
            return self.targets.astype(np.int64)
        return np.unique(row_keys(self.targets), return_inverse=True)[1].ravel().astype(np.int64)

    def rows(self, split: str) -> Rows:
        """The samples of a split."""
        return np.flatnonzero(self.splits == SPLITS.index(split))

    def dataset(self, split: str) -> Any:
        """The data set of a split."""
        return self.data.datasets[split]

    @property
    def present(self) -> list[str]:
        """The splits that have samples."""
        return [name for name in SPLITS if name in self.data.datasets]

    def place(self, row: int) -> str:
        """Where a sample is: its path, or its file and row."""
        if self.describe is not None:
            return self.describe(row)
        split = SPLITS[self.splits[row]]
        number = int(row - np.searchsorted(self.splits, self.splits[row]))
        dataset = self.dataset(split)
        name = self.data.identity(split, torch.tensor([number]))[0]
        if isinstance(name, str):
            return name
        rows = getattr(dataset, "rows", None)
        index = number if rows is None else int(rows[number])
        return str(dataset.describe(index)) if hasattr(dataset, "describe") else f"{split} {name}"

    def label(self, row: int) -> str:
        """What the target of a sample is called."""
        assert self.targets is not None
        names, value = self.data.class_names, self.targets[row]
        if self.targets.ndim > 1:
            return "+".join(names[i] if names else str(i) for i in np.flatnonzero(value)) or "none"
        return names[int(value)] if names and 0 <= int(value) < len(names) else str(value)

    def finding(self, check: str, severity: Severity, what: str, rows: Iterable[int], fix: str) -> Finding:
        """A finding about samples."""
        found = [int(row) for row in rows]
        return Finding(check, severity, what, tuple(self.place(row) for row in found[:PLACES]), len(found), fix)


def _targets(dataset: Any) -> NDArray[Any] | None:
    """The targets of a data set in its order, ``(M,)`` or ``(M, K)``."""
    targets, rows = getattr(dataset, "targets", None), getattr(dataset, "rows", None)
    if targets is None:
        return None
    found = np.asarray(targets)
    if rows is not None:
        found = found[np.asarray(rows)]
    return found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found
