"""Words exchanged, left out, cut out and put in."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import ClassVar, Literal

from nlpaug.util import Action  # type: ignore[import-untyped]

from fulmen.core.errors import ConfigError, unknown
from fulmen_nlpaug.base import TextAugmenter
from fulmen_nlpaug.function_words import FUNCTION_WORDS
from fulmen_nlpaug.tokens import is_capitalized, is_chinese
from fulmen_nlpaug.wordnet import WordNet, named_wordnet


class Swap(TextAugmenter):
    """Exchanges neighbouring words (EDA, Wei & Zou 2019, https://aclanthology.org/D19-1670, takes any two).

    Words with only white space between them are paired with a neighbour; whether the first goes with the second
    or stays alone is drawn. A capital at the beginning of the text stays at the beginning.

    Args:
        p: Probability of each pair to change places, in [0, 1].
        text_p: Probability that a text is augmented at all, in [0, 1].
        stopwords: Words that stay where they are.

    Raises:
        ConfigError: If a probability is out of range.
    """

    operation: ClassVar[str] = Action.SWAP

    def change(self, pieces: list[str]) -> None:
        """Exchanges words.

        Args:
            pieces: The text, from :func:`fulmen_nlpaug.tokens.split`.
        """
        for words in self._runs(pieces):
            start = self.random.randrange(2) if len(words) > 2 else 0
            for i, j in zip(words[start::2], words[start + 1 :: 2], strict=False):
                if self.random.random() < self.p:
                    pieces[i], pieces[j] = _exchanged(pieces[i], pieces[j], begins=i == 1)

    def _runs(self, pieces: list[str]) -> list[list[int]]:
        """Positions of words that follow one another with nothing but white space between them."""
        runs: list[list[int]] = []
        for i in self.eligible(pieces):
            if runs and runs[-1][-1] == i - 2 and not pieces[i - 1].strip():
                runs[-1].append(i)
            else:
                runs.append([i])
        return runs


def _exchanged(first: str, second: str, begins: bool) -> tuple[str, str]:
    if begins and is_capitalized(first) and second.islower():
        second = second[0].upper() + second[1:]
        first = first if first[:2] in ("I", "I'", "I\u2019") else first[0].lower() + first[1:]
    return second, first


def without(pieces: list[str], drop: Collection[int]) -> list[str]:
    """A text without some of its words, each with the blank in front of it or, if there is none, behind it.

    >>> "".join(without(["", "good", " ", "old", " ", "film", "."], {3, 5}))
    'good.'
    """
    result = [pieces[0]]
    for i in range(1, len(pieces), 2):
        after = pieces[i + 1]
        if i not in drop:
            result += pieces[i], after
        elif result[-1].endswith(" "):
            result[-1] = result[-1][:-1] + after
        else:
            result[-1] += after.removeprefix(" ")
    return result


class Delete(TextAugmenter):
    """Leaves words out (EDA, Wei & Zou 2019, https://aclanthology.org/D19-1670), though never all of a text.

    Args:
        p: Probability of each word to be left out, in [0, 1].
        text_p: Probability that a text is augmented at all, in [0, 1].
        stopwords: Words that are never left out, such as "not".

    Raises:
        ConfigError: If a probability is out of range.
    """

    operation: ClassVar[str] = Action.DELETE

    def change(self, pieces: list[str]) -> None:
        """Leaves words out.

        Args:
            pieces: The text, from :func:`fulmen_nlpaug.tokens.split`.
        """
        drop = [i for i in self.eligible(pieces) if self.random.random() < self.p]
        if drop and len(drop) == len(pieces) // 2:
            drop.remove(self.random.choice(drop))
        if drop:
            pieces[:] = without(pieces, set(drop))


class Crop(TextAugmenter):
    """Cuts a run of neighbouring words out of a text, though never all of them.

    What stands between the words (punctuation, numbers) stays.

    Args:
        p: Share of the words that is cut out, in [0, 1].
        text_p: Probability that a text is augmented at all, in [0, 1].
        stopwords: Words that are never cut out, such as "not".

    Raises:
        ConfigError: If a probability is out of range.
    """

    operation: ClassVar[str] = Action.CROP

    def change(self, pieces: list[str]) -> None:
        """Cuts words out.

        Args:
            pieces: The text, from :func:`fulmen_nlpaug.tokens.split`.
        """
        words = self.eligible(pieces)
        length = int(self.p * len(words) + self.random.random())  # p * len(words) on average
        length = min(length, len(pieces) // 2 - 1)
        if length > 0:
            start = self.random.randrange(len(words) - length + 1)
            pieces[:] = without(pieces, set(words[start : start + length]))


PUNCTUATION = (".", ";", "?", ":", "!", ",")
"""What AEDA inserts."""


class Insert(TextAugmenter):
    """Puts words in at random places.

    Args:
        p: Probability of each word that another one is put in front of it, in [0, 1].
        text_p: Probability that a text is augmented at all, in [0, 1].
        source: What is put in: a word of the same "text"; a mark of "punctuation" (AEDA, Karimi et al. 2021,
            https://aclanthology.org/2021.findings-emnlp.234); a "synonym" of a word of the text, which needs
            WordNet (EDA, Wei & Zou 2019, https://aclanthology.org/D19-1670).
        wordnet: Folder of WordNet's files, for synonyms; None reads the environment variable FULMEN_WORDNET.

    Raises:
        ConfigError: If a probability is out of range, or WordNet is needed and not there.
    """

    operation: ClassVar[str] = Action.INSERT

    def __init__(
        self,
        p: float = 0.1,
        text_p: float = 1.0,
        source: Literal["text", "punctuation", "synonym"] = "text",
        wordnet: str | Path | None = None,
    ) -> None:
        super().__init__(p, text_p)
        if source not in ("text", "punctuation", "synonym"):
            raise ConfigError(unknown("source", source, ("text", "punctuation", "synonym"), of="insert"))
        self.source = source
        self.wordnet: WordNet | None = named_wordnet("insert", wordnet) if source == "synonym" else None

    def candidates(self, words: list[str]) -> list[str] | tuple[str, ...]:
        """What may be put into a text.

        Args:
            words: The words of the text.
        """
        if self.source == "punctuation":
            return PUNCTUATION
        if self.wordnet is None:
            return words
        found = [self.wordnet.synonyms(word) for word in words if word.lower() not in FUNCTION_WORDS]
        return self.random.choice(found) if (found := [f for f in found if f]) else ()

    def change(self, pieces: list[str]) -> None:
        """Puts words in.

        Args:
            pieces: The text, from :func:`fulmen_nlpaug.tokens.split`.
        """
        words = pieces[1::2]
        for i, word in enumerate(words):
            if self.random.random() < self.p and (candidates := self.candidates(words)):
                new = self.random.choice(candidates)
                blank = "" if is_chinese(new) and is_chinese(word) else " "
                pieces[2 * i + 1] = new + blank + word
