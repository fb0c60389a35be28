"""What the checks of text augmentations know of an augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from fulmen.augment import TextPipeline
from fulmen.core.errors import FulmenError
from fulmen.testing.kit import CheckError, Subject

SENTENCES = (
    "The old house by the river was sold to a happy young family last week.",
    "A good film with a bad end: the actors are great, but the story is slow and long.",
    "She quickly opened the small door and walked into the dark room without a light.",
    "Our big dog likes to run, jump and swim in the cold water near the green hill.",
)
"""Plain English, in which every augmentation finds something to change."""
WRITTEN = (
    "Two  blanks,\ta tab and\na new line.\n\nA paragraph follows here.",
    "See https://example.org/a-b?c=1&d=2 or write to me@example.org before 9:30 today, please!",
    "It's 3.14, isn't it? Don't pay $1,000.50 for state-of-the-art e-mail.",
    "Ça va très bien à Zürich 🙂 ❤️ today.",
    "東京で会いましょう。 안녕하세요, 세계!",
    "  leading and trailing blanks  ",
)
"""What people write, and tokenizers break."""


@dataclass(frozen=True)
class TextAugmentation(Subject):
    """A text augmentation that is checked.

    Attributes:
        deterministic: It draws no random numbers.
    """

    deterministic: bool = False

    def pipeline(self, seed: int = 0, **more: Any) -> TextPipeline:
        """It alone, as a data module uses it.

        Raises:
            CheckError: If it is refused.
        """
        try:
            return TextPipeline([self.make(**more)], seed)
        except FulmenError as error:
            raise CheckError(f"a data module refuses it: {error}") from error

    def augmented(
        self, texts: Sequence[str], pipeline: TextPipeline | None = None, first: int = 0, epoch: int = 0, **more: Any
    ) -> list[str]:
        """Texts through it.

        Raises:
            CheckError: If it cannot take them.
        """
        pipeline = pipeline or self.pipeline(**more)
        try:
            return pipeline(texts, torch.arange(first, first + len(texts)), epoch, lambda i: repr(texts[i - first]))
        except FulmenError as error:
            raise CheckError(str(error)) from error
