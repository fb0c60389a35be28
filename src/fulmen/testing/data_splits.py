"""Checks of which samples a data module gives, in which order."""

from __future__ import annotations

from collections import Counter

from fulmen.testing.data_subject import SPLITS, DataModule, rows, same
from fulmen.testing.kit import require


def _samples(subject: DataModule, split: str) -> Counter[tuple[bytes, object]]:
    """Samples of a split: what goes in, and the row where batches say it; equal inputs in two rows are two."""
    data = subject.ready()
    found: Counter[tuple[bytes, object]] = Counter()
    for batch in subject.batches(data, split):
        index = [None] * len(batch.inputs) if batch.index is None else batch.index.tolist()
        found.update(zip(rows(batch), index, strict=True))
    return found


def splits_disjoint(subject: DataModule) -> None:
    """No sample is in two of training, validation and test."""
    found = {split: set(_samples(subject, split)) for split in SPLITS}
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        both = len(found[one] & found[other])
        require(not both, f"{both} samples are in {one} and in {other}; a score on them is worth nothing")


def evaluation_complete(subject: DataModule) -> None:
    """Validation and test give every sample exactly once, in the same order each time."""
    data = subject.ready()
    for split in ("val", "test"):
        first = subject.batches(data, split)
        index = [row for batch in first if batch.index is not None for row in batch.index.tolist()]
        twice = [row for row, count in Counter(index).items() if count > 1]
        require(not twice, f"{split} gives sample {twice[:1]} more than once")
        size = len(data.datasets[split]) if split in getattr(data, "datasets", {}) else None
        given = sum(len(batch.inputs) for batch in first)
        require(size is None or given == size, f"{split} gives {given} of {size} samples; do not drop the last batch")
        require(same(subject.batches(data, split, epoch=1), first), f"{split} gives another order the second time")


def training_shuffled(subject: DataModule) -> None:
    """Training samples come in another order each epoch, and in the same one for the same seed and epoch."""

    def order(epoch: int) -> list[bytes]:
        return [row for batch in subject.batches(subject.ready(), "train", epoch) for row in rows(batch)]

    first = order(0)
    require(order(0) == first, "two runs with one seed train in different orders; shuffle with fulmen's sampler")
    require(order(1) != first, "every epoch trains in the same order; shuffle by seed and epoch")


def same_split(subject: DataModule) -> None:
    """The split hangs on ``split_seed`` alone: not on global random state, nor on the batch size."""
    import random

    import numpy as np
    import torch

    expected = {split: _samples(subject, split) for split in ("val", "test")}
    for stream in (random.seed, np.random.seed, torch.manual_seed):
        stream(12345)
    for split, samples in expected.items():
        require(_samples(subject, split) == samples, f"with another global seed {split} holds other samples")


def workers(subject: DataModule) -> str | None:
    """Two worker processes give the batches of none."""
    data = subject.ready()
    if not hasattr(data, "num_workers"):
        return "it has no `num_workers`"
    alone = {split: subject.batches(data, split) for split in SPLITS}
    data.num_workers = 2
    for split, expected in alone.items():
        require(same(subject.batches(data, split), expected), f"two worker processes give other {split} batches")
    return None
