"""What all our augmenters share: which words are changed, from which random numbers, and how the text comes out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from random import Random
from typing import Any, ClassVar

from nlpaug.base_augmenter import Augmenter  # type: ignore[import-untyped]
from nlpaug.util import Action, Method  # type: ignore[import-untyped]

from fulmen.core.errors import ConfigError
from fulmen_nlpaug.tokens import split


def probability(name: str, value: float) -> float:
    """Checks a probability.

    Raises:
        ConfigError: If it is outside [0, 1].
    """
    if not 0 <= value <= 1:
        raise ConfigError(f"{name}: {value} is out of range; allowed: 0 <= {name} <= 1")
    return value


class TextAugmenter(Augmenter, ABC):  # type: ignore[misc]
    """An augmenter of nlpaug that changes words and leaves everything else as it is, byte for byte.

    nlpaug takes at least one word and at most ten, joins words with blanks, and reads the global random state.
    Here each word is drawn on its own, the text is put together from what it was split into, and the random
    numbers come from a stream of its own.

    Args:
        p: Probability of each word to be changed, in [0, 1].
        text_p: Probability that a text is augmented at all, in [0, 1].
        stopwords: Words that are left alone, in small letters or capitals alike.

    Raises:
        ConfigError: If a probability is out of range.
    """

    operation: ClassVar[str] = Action.SUBSTITUTE
    """What nlpaug calls it."""

    def __init__(self, p: float = 0.1, text_p: float = 1.0, stopwords: list[str] | None = None) -> None:
        self.p, self.text_p = probability("p", p), probability("text_p", text_p)
        self.stopwords = frozenset(word.lower() for word in stopwords or ())
        self.random = Random()
        self.tokenizer, self.reverse_tokenizer = split, "".join
        super().__init__(
            name=type(self).__name__, method=Method.WORD, action=self.operation, aug_min=None, aug_max=None, aug_p=p
        )

    def set_random_state(self, numpy_generator: object, python_random: Random) -> None:
        """Says where random numbers come from.

        Args:
            numpy_generator: Not needed.
            python_random: The stream to draw from.
        """
        self.random = python_random

    @abstractmethod
    def change(self, pieces: list[str]) -> None:
        """Changes a text in place.

        Args:
            pieces: The text, from :func:`fulmen_nlpaug.tokens.split`.
        """

    def substitute(self, data: str) -> str:
        """Augments one text; nlpaug calls it, by the name that the action has.

        Args:
            data: The text.
        """
        if self.text_p < 1 and self.random.random() >= self.text_p:
            return data
        pieces = self.tokenizer(data)
        self.change(pieces)
        return self.reverse_tokenizer(pieces)

    insert = swap = delete = crop = split = substitute

    def eligible(self, pieces: Sequence[str]) -> list[int]:
        """Positions of the words that are not to be left alone."""
        if not self.stopwords:
            return list(range(1, len(pieces), 2))
        return [i for i in range(1, len(pieces), 2) if pieces[i].lower() not in self.stopwords]

    @classmethod
    def clean(cls, data: Any) -> Any:
        """Nothing to clean: nlpaug would strip white space."""
        return data

    @classmethod
    def is_duplicate(cls, dataset: Collection[str], data: str) -> bool:
        """Whether a result was there before; nlpaug's flows ask."""
        return data in dataset

    @classmethod
    def _validate_augment(cls, data: Any) -> list[Any]:
        return []  # nlpaug would answer an empty text with an empty list


class WordReplacer(TextAugmenter):
    """Replaces words one by one, each with probability `p` if there is something to replace it with."""

    @abstractmethod
    def replace(self, word: str) -> str:
        """Another word in its place, or the word itself where there is none."""

    def change(self, pieces: list[str]) -> None:
        """Replaces words.

        Args:
            pieces: The text, from :func:`fulmen_nlpaug.tokens.split`.
        """
        draw, p, stopwords = self.random.random, self.p, self.stopwords
        for i in range(1, len(pieces), 2):
            if draw() < p and not (stopwords and pieces[i].lower() in stopwords):
                pieces[i] = self.replace(pieces[i])
