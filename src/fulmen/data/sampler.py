"""Which samples a process sees, in which order."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import Dataset, DistributedSampler

from fulmen.core.batch import PADDING


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
    ) -> None:
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, shuffle=shuffle, seed=seed, drop_last=shuffle)
        self.size = len(dataset)  # type: ignore[arg-type]
        self.draws = draws

    def __len__(self) -> int:
        return self.size // self.num_replicas if self.shuffle else -(-self.size // self.num_replicas)

    def __iter__(self) -> Iterator[int]:
        if not self.shuffle:
            mine = list(range(self.rank, self.size, self.num_replicas))
            return iter(mine + [PADDING] * (len(self) - len(mine)))
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.size, generator=generator)[: len(self) * self.num_replicas]
        if self.draws:
            order += self.epoch * self.size
        return iter(order[self.rank :: self.num_replicas].tolist())
