"""Tokenized texts, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from fulmen.core.batch import PADDING, Batch
from fulmen.core.errors import ConfigError
from fulmen.data.base import TargetType
from fulmen.data.reading import column
from fulmen.data.targets import Targets, read_targets
from fulmen.data.text_sources import TextSource
from fulmen.data.tokenization import TextEncoder, Tokens

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Listing:
    """The samples of some files, one after the other.

    Attributes:
        sources: The files.
        texts: Of all samples.
        starts: ``(len(sources) + 1,)`` where each source begins.
        given: ``(N,)`` the split that files and folders say, or ``""``.
    """

    sources: tuple[TextSource, ...]
    texts: pa.Array
    starts: tuple[int, ...]
    given: NDArray[np.str_]

    @classmethod
    def of(cls, read: dict[str, TextSource]) -> Listing:
        """Puts what was read for each split together; what is in ``train`` may be split further."""
        import pyarrow as pa

        sources = tuple(read.values())
        given = [
            source.given if source.given is not None else np.full(len(source), "" if len(read) == 1 else split, "<U7")
            for split, source in read.items()
        ]
        starts = np.cumsum([0, *map(len, sources)]).tolist()
        texts = sources[0].texts if len(sources) == 1 else pa.concat_arrays([s.texts for s in sources])
        parts = (texts[start : start + len(source)] for start, source in zip(starts, sources, strict=False))
        sources = tuple(replace(source, texts=part) for source, part in zip(sources, parts, strict=True))
        return cls(sources, texts, tuple(starts), np.concatenate(given))

    def __len__(self) -> int:
        return self.starts[-1]

    @property
    def labelled(self) -> bool:
        """Whether there are labels."""
        return all(source.labels is not None for source in self.sources)

    @cached_property
    def keys(self) -> list[str] | None:
        """Paths, from the folder that was given; ``None`` for tables."""
        if not any(source.paths for source in self.sources):
            return None
        single = len(self.sources) == 1
        return [
            str(name) if single else f"{source.path.name}/{name}"
            for source in self.sources
            for name in source.paths or range(len(source))
        ]

    def targets(self, target_type: TargetType | None, names: list[str] | None, separator: str | None) -> Targets:
        """See :func:`fulmen.data.targets.read_targets`."""
        cells = [cell for source in self.sources if source.labels is not None for cell in source.labels.to_pylist()]
        return read_targets(cells, target_type, names, separator, self.describe)

    def describe(self, sample: int) -> str:
        """What messages call a sample."""
        number = int(np.searchsorted(self.starts, sample, side="right")) - 1
        return self.sources[number].describe(sample - self.starts[number])

    def column(self, name: str) -> NDArray[Any]:
        """A column of the tables, for splits.

        Raises:
            ConfigError: If the texts are files in folders.
        """
        tables = [source.table for source in self.sources if source.table is not None]
        if len(tables) < len(self.sources):
            raise ConfigError(f"split_by: texts in folders have no columns, and so no {name!r}; write class or random")
        return np.concatenate([column(table, name).to_numpy() for table in tables])


def characters(texts: pa.Array) -> NDArray[np.int64]:
    """How many characters each text has."""
    from pyarrow import compute

    return np.asarray(compute.utf8_length(texts).to_numpy(zero_copy_only=False), np.int64)


class TextRows(Dataset[Batch]):
    """Some of the texts of a listing, tokenized.

    Args:
        listing: The texts.
        rows: ``(N,)`` int64: which of them belong to this data set, in order.
        tokens: Of all texts of the listing.
        targets: ``(M,)`` or ``(M, L)`` of all texts of the listing; ``None``: not known.
        encoder: Makes numbers of texts that were augmented.
    """

    def __init__(
        self, listing: Listing, rows: Tensor, tokens: Tokens, targets: Tensor | None, encoder: TextEncoder
    ) -> None:
        self.listing, self.rows, self.tokens, self.targets, self.encode = listing, rows, tokens, targets, encoder

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> Tensor:
        """``(N,)`` int64: tokens of each text."""
        return self.tokens.lengths[self.rows]

    @property
    def token_counts(self) -> Tensor:
        """``(N,)`` int32: tokens of each text before it was cut; 0 for a text without any."""
        return self.tokens.counts[self.rows]

    @property
    def texts(self) -> list[str]:
        """The texts, in order."""
        return self.listing.texts.take(self.rows.numpy()).to_pylist()  # type: ignore[no-any-return]

    def describe(self, index: int) -> str:
        """What messages call a sample, by its ``Batch.index``: ``file:line``, or a file."""
        return self.listing.describe(index)

    def __getitem__(self, row: int) -> Batch:
        return self.__getitems__([row]).first()

    def __getitems__(self, rows: list[int]) -> Batch:
        index = torch.tensor(rows)
        asked = self.rows[index]  # PADDING, which comes last, gives the last sample
        targets = None if self.targets is None else self.targets[asked]
        return Batch(self.tokens.gather(asked), targets, asked.where(index != PADDING, PADDING))

    def whole(self, rows: list[int]) -> Batch:
        """The texts themselves as inputs, for augmentations."""
        asked = self.rows[rows]
        texts: Any = self.listing.texts.take(asked.numpy()).to_pylist()
        return Batch(texts, None if self.targets is None else self.targets[asked], asked)
