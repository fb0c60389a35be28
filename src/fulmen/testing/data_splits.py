"""Checks of which samples a data module gives, in which order."""

from __future__ import annotations

import inspect
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fulmen.core.errors import DataError
from fulmen.data.split_files import read_split
from fulmen.testing.data_subject import SPLITS, DataModule, rows, same
from fulmen.testing.kit import CheckError, require


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


def _written(data: Any) -> dict[str, str]:
    """The split of each sample by its name, as ``write_split`` writes it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "split.csv"
        data.write_split(path)
        try:
            table = read_split(path)
        except DataError as error:
            raise CheckError(f"write_split() writes what cannot be read: {error}; look at identity()") from error
    names = table["sample"].to_pylist()
    twice = [name for name, count in Counter(names).items() if count > 1]
    require(not twice, f"write_split() calls several samples {twice[:1]}; mend identity()")
    return dict(zip(names, table["split"].to_pylist(), strict=True))


def split_file(subject: DataModule) -> str | None:
    """``write_split`` names samples as predictions do, and ``split_by: {file: PATH}`` puts each where it was."""
    data = subject.ready()
    options = {name for cls in subject.target.__mro__ for name in inspect.signature(cls.__init__).parameters}
    if not hasattr(data, "write_split") or not {"split_by", "split_seed"} <= options:
        return "it has no `write_split` and no `split_by`"
    expected = _written(data)
    for split in ("val", "test"):
        index = [batch.index for batch in subject.batches(data, split) if batch.index is not None]
        names = {str(name) for rows in index for name in data.identity(split, rows)}
        wrong = names ^ {name for name, side in expected.items() if side == split}
        require(not wrong, f"write_split() and batches disagree on {len(wrong)} samples of {split}: mend identity()")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "split.csv"
        data.write_split(path)
        twin = subject.ready(split_by={"file": str(path)}, split_seed=data.splitting.seed + 1)
    found = _written(twin)
    moved = sum(found.get(name) != split for name, split in expected.items())
    require(not moved, f"with `split_by: {{file: ...}}` {moved} samples are elsewhere than when it was written")
    return None


def folds(subject: DataModule) -> str | None:
    """In ``view(fold, folds)`` every sample but the test's validates once; the data themselves stay as they are."""
    data = subject.ready()
    if not (hasattr(data, "view") and hasattr(data, "write_split")):
        return "it has no `view`"
    before = _written(data)
    test, pool = ({n for n, side in before.items() if (side == "test") == is_test} for is_test in (True, False))
    validated: Counter[str] = Counter()
    for fold in range(3):
        view = data.view(fold, 3)
        view.prepare_data()
        view.setup("fit")
        sides = _written(view)
        require({n for n, side in sides.items() if side == "test"} == test, "a fold has other test samples")
        require(set(sides) == test | pool, f"fold {fold} of 3 has {len(sides)} of {len(before)} samples")
        validated.update(name for name, side in sides.items() if side == "val")
    wrong = [name for name in pool if validated[name] != 1]
    require(not wrong, f"{len(wrong)} samples do not validate in exactly one of 3 folds, such as {wrong[:1]}")
    require(_written(data) == before, "making views of folds has changed the data's own split")
    return None


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
