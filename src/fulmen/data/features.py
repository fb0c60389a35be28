"""Features of samples, which stand in for a split while a head is trained on them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from fulmen.core import provenance
from fulmen.core.batch import PADDING, Batch, Ready
from fulmen.core.errors import ConfigError, DataError
from fulmen.core.spec import check, primitive
from fulmen.data.base import BatchedDataset, SupervisedDataModule
from fulmen.data.image_files import ImageFiles

_HASH, _AT_ONCE, _PROBED = 16, 64, 8


class FeatureRows(Dataset[Batch]):
    """One row of features for each sample and view of a split, in the order of the split's own data set.

    It is made before the features are known, as loaders are asked for their lengths early.

    Args:
        data: The datamodule.
        split: Which split it stands in for.
        views: How many augmented views there are of each sample. Epoch ``e`` sees view ``e % views``.

    Attributes:
        draws: Says that samples are asked for by their draws (see :class:`~fulmen.data.augmented.Augmented`).
        features: ``(views * N, F)``, view after view.
        targets: ``(N,)`` or ``(N, K)``.
        index: ``(N,)`` as ``Batch.index`` of the split.
    """

    features: Tensor
    targets: Tensor
    index: Tensor

    def __init__(self, data: SupervisedDataModule, split: str, views: int = 1) -> None:
        self.data, self.split, self.views = data, split, views
        self.draws = split == "train"

    def __len__(self) -> int:
        return len(self.data.datasets[self.split])

    @property
    def source(self) -> BatchedDataset:
        """What the features are made of: the split's samples, augmented in training."""
        return self.data.training_samples() if self.split == "train" else self.data.datasets[self.split]

    def fill(self, features: Tensor) -> None:
        """Takes the features.

        Args:
            features: ``(views * N, F)``.
        """
        self.features = features
        self.targets, self.index = _labels(self.data, self.data.datasets[self.split])

    def __getitem__(self, draw: int) -> Batch:
        return self.__getitems__([draw]).first()

    def __getitems__(self, draws: list[int]) -> Ready:
        asked = torch.tensor(draws)
        rows = asked % len(self.targets)  # PADDING is -1, and reads the last sample
        views = asked // len(self.targets) % self.views if self.views > 1 else 0
        index = self.index[rows]
        if not self.draws and draws[-1] == PADDING:
            index[asked == PADDING] = PADDING
        return Ready(self.features[rows + views * len(self.targets)], self.targets[rows], index)


def _labels(data: SupervisedDataModule, samples: Any) -> tuple[Tensor, Tensor]:
    """The targets of all samples and their numbers, without decoding them where the data set holds both."""
    targets, rows = getattr(samples, "targets", None), getattr(samples, "rows", None)
    if isinstance(targets, Tensor):
        return (targets, torch.arange(len(samples))) if rows is None else (targets[rows], rows)
    batches = list(data.in_order(samples, range(len(samples)), _AT_ONCE))
    return torch.cat([batch.targets for batch in batches]), torch.cat([batch.index for batch in batches])


def describe(rows: FeatureRows) -> dict[str, Any]:
    """Everything of the data that decides what the features of a split are.

    The content of every sample (of image files, their bytes) and its target, what is done to samples before a network
    sees them, and, of a few samples, what comes out of that.

    Args:
        rows: The split and its views.

    Returns:
        Names, numbers, lists and mappings.

    Raises:
        ConfigError: If an augmentation is an object, whose options are not known.
    """
    data = rows.data
    plain = data.datasets[rows.split]
    augment = data.augment if rows.split == "train" else None
    return {
        "augment": None if augment is None else _augmentations(data, augment),
        "samples": _hash(_contents(data, plain)),
        "network_sees": _hash(_seen(rows)),
        "reading": {name: value for name, value in vars(plain).items() if _is_plain(value)},
        "views": rows.views,
        "count": len(rows),
    }


def _is_plain(value: Any) -> bool:
    return all(map(_is_plain, value)) if isinstance(value, list | tuple) else isinstance(value, int | float | str)


def _augmentations(data: SupervisedDataModule, specs: Any) -> dict[str, Any]:
    named = primitive(specs)
    try:
        json.dumps(named)
    except TypeError as error:
        raise ConfigError(
            "feature_cache: what is kept on disk is found again by what it was made of, and an object in data.augment "
            "has no name; give augmentations by name, or write `feature_cache: ram`"
        ) from error
    used = provenance.records(check(type(data), {"augment": specs}))
    return {"specs": named, "used": used, "seed": int(os.environ.get("PL_GLOBAL_SEED", 0))}


def _contents(data: SupervisedDataModule, samples: Any) -> Iterator[bytes]:
    """The bytes of every sample, its target and its number."""
    if isinstance(samples, ImageFiles):
        for path in samples.paths:
            try:
                yield blake2b(path.read_bytes(), digest_size=_HASH).digest()
            except OSError as error:
                raise DataError(f"{path} cannot be read: {error.strerror}; repair or remove it") from error
        yield from _bytes(samples.targets)
        return
    for batch in data.in_order(samples, range(len(samples)), _AT_ONCE):
        for part in batch:
            yield from _bytes(part)


def _seen(rows: FeatureRows) -> Iterator[bytes]:
    """What a network gets of some samples, spread over the split and its views."""
    count = rows.views * len(rows)
    draws = np.unique(np.linspace(0, count - 1, min(count, _PROBED)).astype(np.int64)).tolist()
    batch = rows.data.on_after_batch_transfer(rows.source.__getitems__(draws), 0)
    yield from _bytes(batch.inputs)


def _bytes(values: Tensor | None) -> Iterator[bytes]:
    if values is None:
        yield b"None"
        return
    yield json.dumps([str(values.dtype), list(values.shape)]).encode()
    yield values.contiguous().numpy().tobytes()


def _hash(parts: Iterator[bytes]) -> str:
    found = blake2b(digest_size=_HASH)
    for part in parts:
        found.update(part)
    return found.hexdigest()
