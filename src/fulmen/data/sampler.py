"""Which samples a process sees, in which order."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler

from fulmen.core.batch import PADDING

_POOL = 50
"""Batches that are sorted by length together: enough to pad little, few enough to mix samples."""
_AT_ONCE = 100_000
_EPOCHS = 1 << 20
"""More epochs than any training has: a row that is drawn again in an epoch is augmented as in an epoch of its own."""


class ShardedSampler(DistributedSampler[int]):
    """The samples of one process out of several.

    In training, all processes share one shuffled order that depends on the seed and the epoch alone, and
    each takes every ``num_replicas``-th sample of it: at every step, the processes together see what one
    process with the whole batch would see. Samples that would not divide evenly (fewer than there are
    processes, others in each epoch) are left out.

    In evaluation, each sample is seen exactly once. Where that leaves a process one sample short, it gets
    ``PADDING``, so that all run the same number of batches.

    Lightning keeps a ``DistributedSampler`` as it is, and calls ``set_epoch`` on it.

    Args:
        dataset: Its length is all that is read.
        shuffle: Training if true, evaluation if false.
        seed: Of the order.
        num_replicas: Number of processes.
        rank: This process, 0 to ``num_replicas - 1``.
        draws: Give ``epoch * len(dataset) + row`` instead of the row, in training (see
            :class:`~fulmen.data.augmented.Augmented`).
        weights: ``(len(dataset),)`` >= 0: in training, rows are drawn with replacement, in proportion to these.
        lengths: ``(len(dataset),)``: samples of similar length go into the same batch, so that little is padded.
            In training, batches of random samples are sorted among each other (50 batches at a time), and come in
            random order; in evaluation, all samples come from long to short.
        batch_size: Samples a batch and process; read with ``lengths``.

    >>> list(ShardedSampler(range(5), shuffle=False, num_replicas=2, rank=1))
    [1, 3, -1]
    """

    def __init__(
        self,
        dataset: Dataset[object],
        shuffle: bool,
        seed: int = 0,
        num_replicas: int = 1,
        rank: int = 0,
        draws: bool = False,
        weights: Tensor | None = None,
        lengths: Tensor | None = None,
        batch_size: int = 1,
    ) -> None:
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, shuffle=shuffle, seed=seed, drop_last=shuffle)
        self.size = len(dataset)  # type: ignore[arg-type]
        self.draws, self.weights, self.lengths, self.batch_size = draws, weights, lengths, batch_size

    def __len__(self) -> int:
        return self.size // self.num_replicas if self.shuffle else -(-self.size // self.num_replicas)

    def __iter__(self) -> Iterator[int]:
        if not self.shuffle:
            rows = (
                torch.arange(self.size) if self.lengths is None else self.lengths.argsort(descending=True, stable=True)
            )
            mine = rows[self.rank :: self.num_replicas]
            mine = torch.cat([mine, mine.new_full((len(self) - len(mine),), PADDING)])
            return _numbers(mine)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        if self.weights is None:
            order = torch.randperm(self.size, generator=generator)
        else:
            shares = self.weights.double().cumsum(0)  # torch.multinomial takes no more than 2**24 rows
            draws = torch.rand(self.size, generator=generator, dtype=torch.float64) * shares[-1]
            order = torch.searchsorted(shares, draws, right=True).clamp_max(self.size - 1)
        order = order[: len(self) * self.num_replicas]
        if self.lengths is not None:
            order = self._bucketed(order, self.lengths, generator)
        if self.draws:
            order = order + (self.epoch + _occurrence(order) * _EPOCHS) * self.size
        return _numbers(order[self.rank :: self.num_replicas])

    def _bucketed(self, order: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
        """Sorts every 50 global batches by length, and shuffles all batches; one that is not full stays the last."""
        size = self.batch_size * self.num_replicas
        pool, full = size * _POOL, len(order) // size
        pools = len(order) // pool
        parts = (order[: pools * pool].view(pools, pool), order[None, pools * pool :])
        order = torch.cat([p.gather(1, lengths[p].argsort(dim=1, stable=True)).flatten() for p in parts])
        batches = order[: full * size].view(full, size)[torch.randperm(full, generator=generator)]
        return torch.cat([batches.flatten(), order[full * size :]])


def _numbers(rows: Tensor) -> Iterator[int]:
    """Numbers of Python, which take 5 times the memory of a tensor: a part at a time."""
    return (row for part in torch.split(rows, _AT_ONCE) for row in part.tolist())


def _occurrence(order: Tensor) -> Tensor:
    """How often each row came before in this order: drawn again, a sample is augmented differently.

    >>> _occurrence(torch.tensor([7, 3, 7, 7]))
    tensor([0, 0, 1, 2])
    """
    places = order.argsort(stable=True)
    rows = order[places]
    first = torch.searchsorted(rows, rows)
    result = torch.empty_like(order)
    result[places] = torch.arange(len(order)) - first
    return result
