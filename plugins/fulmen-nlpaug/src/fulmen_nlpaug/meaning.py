"""Words replaced by others that mean the same, or the opposite."""

from __future__ import annotations

from pathlib import Path

from fulmen.core.errors import ConfigError
from fulmen_nlpaug.base import WordReplacer
from fulmen_nlpaug.function_words import FUNCTION_WORDS
from fulmen_nlpaug.tokens import match_case
from fulmen_nlpaug.wordnet import named_wordnet


class Synonym(WordReplacer):
    """Replaces words by synonyms of WordNet (Zhang et al. 2015, https://arxiv.org/abs/1509.01626).

    Args:
        p: Probability of each word to be changed, in [0, 1]; words without a synonym are left alone.
        text_p: Probability that a text is augmented at all, in [0, 1].
        stopwords: Words that are left alone; None: English function words (the, is, on, not, ...).
        wordnet: Folder of WordNet's files; None reads the environment variable FULMEN_WORDNET.
        senses: How many meanings of a word count for each part of speech, the most frequent first; None: all.

    Raises:
        ConfigError: If a value is out of range, or there is no WordNet.
    """

    def __init__(
        self,
        p: float = 0.1,
        text_p: float = 1.0,
        stopwords: list[str] | None = None,
        wordnet: str | Path | None = None,
        senses: int | None = None,
    ) -> None:
        super().__init__(p, text_p, sorted(FUNCTION_WORDS) if stopwords is None else stopwords)
        if senses is not None and senses < 1:
            raise ConfigError(f"senses: {senses} is out of range; allowed: senses >= 1, or null for all")
        self.wordnet, self.senses = named_wordnet(type(self).__name__.lower(), wordnet), senses

    def candidates(self, word: str) -> tuple[str, ...]:
        """What may stand in a word's place, in small letters.

        Args:
            word: A word.
        """
        return self.wordnet.synonyms(word, self.senses)

    def replace(self, word: str) -> str:
        """One of the candidates, with the word's capitals.

        Args:
            word: A word.
        """
        candidates = self.candidates(word)
        return match_case(self.random.choice(candidates), like=word) if candidates else word


class Antonym(Synonym):
    """Replaces verbs, adjectives and adverbs by antonyms of WordNet (Niu & Bansal 2018).

    The paper, https://aclanthology.org/K18-1047, wants a model to notice that a text now says the opposite. Where
    the label depends on that, as in sentiment, the label becomes wrong.

    Args:
        p: Probability of each word to be changed, in [0, 1]; words without an antonym are left alone.
        text_p: Probability that a text is augmented at all, in [0, 1].
        stopwords: Words that are left alone; None: English function words (the, is, on, not, ...).
        wordnet: Folder of WordNet's files; None reads the environment variable FULMEN_WORDNET.
        senses: How many meanings of a word count for each part of speech, the most frequent first; None: all.

    Raises:
        ConfigError: If a value is out of range, or there is no WordNet.
    """

    def candidates(self, word: str) -> tuple[str, ...]:
        """What may stand in a word's place, in small letters.

        Args:
            word: A word.
        """
        return self.wordnet.antonyms(word, self.senses)
