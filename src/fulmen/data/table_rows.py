"""Rows of a table as inputs: encoded once, a batch gathered at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from fulmen.core.batch import Batch
from fulmen.data.preprocessing import Learned, encode_categories, encode_numbers, width
from fulmen.data.table_files import StackedTables


def encode(tables: StackedTables, columns: Sequence[Learned], missing: Sequence[str]) -> Tensor:
    """All rows as inputs: float32 ``(M, F)``, numbers first, then the code of each category column.

    Args:
        tables: The rows; each column is dropped from them when it is encoded, so that none is held twice.
        columns: What was learned of each column.
        missing: Words that stand for a missing value.

    Raises:
        DataError: If a column is missing, or does not hold what was learned of it.
    """
    tables.require([column["name"] for column in columns])
    numbers = [column for column in columns if column["kind"] != "category"]
    codes = [column for column in columns if column["kind"] == "category"]
    inputs = np.empty((len(tables), sum(map(width, numbers)) + len(codes)), np.float32)
    place = 0
    for column in numbers:
        for values in encode_numbers(column, tables.column(column["name"]), tables.describe):
            inputs[:, place] = values
            place += 1
        tables.drop(column["name"])
    for column in codes:
        inputs[:, place] = encode_categories(column, tables.column(column["name"]), missing)
        place += 1
        tables.drop(column["name"])
    return torch.from_numpy(inputs)


def one_hot(inputs: Tensor, categories: Sequence[int]) -> Tensor:
    """Replaces the codes of the last columns by 0/1 inputs; code 0, the unknown, has none.

    Args:
        inputs: ``(N, F)``.
        categories: How many codes each of the last columns has.

    Returns:
        ``(N, F - len(categories) + sum(categories) - len(categories))``.

    >>> one_hot(torch.tensor([[0.5, 2.0, 0.0], [0.1, 1.0, 1.0]]), [3, 2])
    tensor([[0.5000, 0.0000, 1.0000, 0.0000],
            [0.1000, 1.0000, 0.0000, 1.0000]])
    """
    numbers, codes = inputs.tensor_split([inputs.shape[1] - len(categories)], dim=1)
    starts = torch.tensor([0, *(count - 1 for count in categories)]).cumsum(0)
    last = int(starts[-1])  # one more column takes what is not known
    places = torch.where(codes > 0, codes.long() - 1 + starts[:-1], last)
    flags = inputs.new_zeros(len(inputs), last + 1).scatter_(1, places, 1.0)
    return torch.cat([numbers, flags[:, :last]], 1)


class TableRows(Dataset[Batch]):
    """The rows of one split.

    Args:
        inputs: ``(M, F)``, of all splits together.
        places: ``(N,)`` int64: which of these rows belong to the split.
        targets: ``(N,)`` or ``(N, K)``; ``None`` where they are not known.
        one_hot: How many codes each of the last columns has, where batches hold 0/1 inputs for them.
        names: ``(N,)`` what each row is called; ``None``: by its number.
    """

    def __init__(
        self,
        inputs: Tensor,
        places: Tensor,
        targets: Tensor | None,
        one_hot: Sequence[int] = (),
        names: Sequence[str] | None = None,
    ) -> None:
        self.inputs, self.places, self.targets = inputs, places, targets
        self.one_hot, self.names = list(one_hot), names

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, row: int) -> Batch:
        return self.__getitems__([row]).first()

    def __getitems__(self, rows: list[int]) -> Batch:
        index = torch.tensor(rows)  # PADDING, -1, gives the last sample
        inputs = self.inputs.index_select(0, self.places[index])
        if self.one_hot:
            inputs = one_hot(inputs, self.one_hot)
        return Batch(inputs, None if self.targets is None else self.targets[index], index)
