"""What the checks of data modules know of a data module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fulmen.core.batch import Batch
from fulmen.testing.kit import Subject
from fulmen.testing.training import quiet

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class DataModule(Subject):
    """A data module that is checked."""

    def ready(self, **more: Any) -> Any:
        """One after ``prepare_data`` and ``setup``."""
        data = self.make(**more)
        with quiet():
            data.prepare_data()
            data.setup("fit")
            data.setup("test")
        return data

    def raw(self, data: Any, split: str, epoch: int = 0) -> list[Any]:
        """The batches of a split as its loader gives them; none where there is no such split."""
        if split == "test" and "test" not in getattr(data, "datasets", {"test"}):
            return []
        with quiet():
            loader = getattr(data, f"{split}_dataloader")()
            if isinstance(loader, list):  # no validation samples
                return []
            sampler: Any = getattr(loader, "sampler", None)
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(epoch)
            return list(loader)

    def batches(self, data: Any, split: str, epoch: int = 0) -> list[Batch]:
        """The same, by name and as the network sees them."""
        return [Batch.of(data.on_after_batch_transfer(batch, 0)) for batch in self.raw(data, split, epoch)]


def rows(batch: Batch) -> list[bytes]:
    """Each sample's inputs as bytes, to tell samples apart."""
    return [one.contiguous().numpy().tobytes() for one in batch.inputs]


def same(one: list[Batch], other: list[Batch]) -> bool:
    """Whether two lists of batches hold the same."""
    return len(one) == len(other) and all(
        torch.equal(a, b) if isinstance(a, Tensor) and isinstance(b, Tensor) else a is b
        for first, second in zip(one, other, strict=True)
        for a, b in zip(first, second, strict=True)
    )
