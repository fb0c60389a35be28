"""Training samples that are augmented."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from fulmen.augment import ImagePipeline, Pipeline
from fulmen.core.batch import Batch
from fulmen.core.errors import DataError


class Augmented(Dataset[Batch]):
    """A data set whose samples go through augmentations when they are asked for.

    Row ``r`` in epoch ``e`` is asked for as the *draw* ``e * len(self) + r``: the epoch travels with the row, also
    to worker processes, whose copies of the data set live as long as the training.

    Args:
        dataset: The samples as they are. Where it has ``whole(rows)``, that gives images before they are cut to
            one shape, and ``fit(image)`` cuts them, or texts, and ``encode(texts)`` makes the inputs of them; where
            it has ``describe(index)``, messages call samples that.
        pipeline: The augmentations.

    Raises:
        DataError: If images of floats are not in [0, 1], where augmentations would cut them off.

    Attributes:
        draws: Says that samples are asked for by their draws; data sets without it are asked for rows.
    """

    draws = True

    def __init__(self, dataset: Any, pipeline: Pipeline) -> None:
        self.dataset, self.pipeline = dataset, pipeline
        self._samples: Callable[[list[int]], Batch] = getattr(dataset, "whole", dataset.__getitems__)
        self._encode: Callable[[Any], Tensor] | None = getattr(dataset, "encode", None)
        self._options = {name: getattr(dataset, name) for name in ("fit", "describe") if hasattr(dataset, name)}
        if isinstance(pipeline, ImagePipeline):
            _check_range(getattr(dataset, "inputs", None), getattr(dataset, "rows", slice(None)))

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, draw: int) -> Batch:
        return self.__getitems__([draw]).first()

    def __getitems__(self, draws: list[int]) -> Batch:
        epochs, rows = np.divmod(np.asarray(draws), len(self))
        batch = self._samples(rows.tolist())
        inputs = self.pipeline(batch.inputs, batch.index, epochs, **self._options)
        return batch._replace(inputs=inputs if self._encode is None else self._encode(inputs))


def _check_range(inputs: Any, rows: Any) -> None:
    if not (isinstance(inputs, Tensor) and inputs.is_floating_point()):
        return
    low, high = (float(value) for value in inputs[rows].aminmax())
    if low < 0 or high > 1:
        raise DataError(
            f"augment: the images hold values from {low:g} to {high:g}, and augmentations cut floats off at 0 and 1; "
            "scale them to [0, 1], or give uint8 (`standardize: true` standardizes after the augmentation)"
        )
