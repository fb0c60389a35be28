"""The parts of a batch, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from fulmen.core.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Batch", "Ready"]

PADDING = -1
"""The ``index`` of a sample that only fills a batch (see :class:`Batch`)."""


class Batch(NamedTuple):
    """Samples that go through a network together.

    Attributes:
        inputs: ``(N, *input_shape)``.
        targets: ``(N,)`` for classes, ``(N, num_outputs)`` for several labels or numbers;
            ``None`` where nothing is known of them (prediction).
        index: ``(N,)`` int64, the sample's row in its data set. ``PADDING`` (-1) marks a sample that
            was added so that every process of a distributed evaluation runs the same number of
            batches; it counts in no loss, metric or prediction. ``None`` where rows are not known.
    """

    inputs: Tensor
    targets: Tensor | None = None
    index: Tensor | None = None  # type: ignore[assignment]  # hides tuple.index, which nobody needs here

    def first(self) -> Batch:
        """The first sample, without the batch's dimension.

        >>> Batch([7, 8], None, [0, 1]).first()
        Batch(inputs=7, targets=None, index=0)
        """
        inputs, *others = self
        return Batch(inputs[0], *(None if part is None else part[0] for part in others))

    @classmethod
    def of(cls, batch: Any) -> Batch:
        """Reads what a user's own loader gives: a tensor, ``(inputs, targets)``, or a mapping.

        Args:
            batch: A :class:`Batch`, a tensor, a sequence of one to three parts, or a mapping with
                the keys ``inputs``, ``targets`` and ``index``.

        Raises:
            DataError: If it is none of them.

        >>> Batch.of(("x", "y"))
        Batch(inputs='x', targets='y', index=None)
        """
        if isinstance(batch, Batch):
            return batch
        if isinstance(batch, Mapping):
            if "inputs" in batch and set(batch) <= set(cls._fields):
                return cls(**batch)
            raise DataError(
                f"a batch that is a mapping needs the key 'inputs' and may have 'targets' and 'index'; "
                f"got {sorted(map(str, batch))}. Override `step` to read another form."
            )
        if isinstance(batch, Sequence) and not isinstance(batch, str | bytes):
            if 1 <= len(batch) <= 3:
                return cls(*batch)
            raise DataError(
                f"a batch has one to three parts (inputs, targets, index); got {len(batch)}. "
                "Override `step` to read another form."
            )
        if hasattr(batch, "shape"):
            return cls(batch)
        raise DataError(
            "a batch is a tensor, a sequence (inputs, targets, index) or a mapping with these keys; "
            f"got {type(batch).__name__}. Override `step` to read another form."
        )


class Ready(Batch):
    """A batch whose inputs are what the network sees already: the data do not normalize them again."""

    __slots__ = ()
