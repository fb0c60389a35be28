"""What the checks of modules know of a module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fulmen.data import ArrayData
from fulmen.testing.kit import Subject
from fulmen.testing.training import CLASSES

WIDTH = {"multiclass": CLASSES, "binary": 1, "multilabel": 4, "regression": 2}
"""Task -> outputs of the data that it is checked with."""


@dataclass(frozen=True)
class Module(Subject):
    """A module that is checked.

    Attributes:
        input_shape: Shape of its samples.
        tasks: The tasks that it supports.
    """

    input_shape: tuple[int, ...] = (1, 8, 8)
    tasks: tuple[str, ...] = tuple(WIDTH)

    def facts(self, task: str | None = None) -> dict[str, Any]:
        """What it learns from the data, as primitives."""
        task = task or self.tasks[0]
        names = {"multiclass": ["a", "b", "c"], "binary": ["no", "yes"], "multilabel": list("abcd")}.get(task)
        return {
            "input_shape": list(self.input_shape),
            "num_outputs": WIDTH[task],
            "class_names": names,
            "target_type": task,
        }

    @property
    def supplied(self) -> dict[str, Any]:
        """The facts of the first task's data."""
        return self.facts()

    def built(self, task: str | None = None, **more: Any) -> Any:
        """One with the facts of a task's data, always with the same weights."""
        torch.manual_seed(0)
        return self.make(**self.facts(task), **more)

    def sample(self, samples: int = 4) -> Tensor:
        """Inputs ``(N, *input_shape)`` in [0, 1]."""
        return torch.rand(samples, *self.input_shape)

    def data(self, task: str | None = None, **options: Any) -> ArrayData:
        """Samples whose targets can be read from the brightness of their parts."""
        task = task or self.tasks[0]
        generator = torch.Generator().manual_seed(0)
        hidden = torch.rand(24, 4, generator=generator) > 0.5
        inputs = 0.2 * torch.rand(24, *self.input_shape, generator=generator)
        flat = inputs.flatten(1)
        quarter = max(1, flat.shape[1] // 4)
        for part in range(4):
            flat[:, part * quarter : (part + 1) * quarter] += 0.6 * hidden[:, part : part + 1]
        targets = {
            "multiclass": hidden[:, 0].long() + hidden[:, 1].long(),
            "binary": hidden[:, 0].long(),
            "multilabel": hidden.long(),
            "regression": hidden[:, :2].float(),
        }[task]
        facts = self.facts(task)
        settings: dict[str, Any] = {"batch_size": 8, "val_fraction": 0.0, "test_fraction": 0.0, **options}
        return ArrayData(inputs, targets, facts["class_names"], facts["target_type"], standardize=False, **settings)
