"""Words replaced by how much they tell about their text."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from nlpaug.model.word_stats import TfIdf  # type: ignore[import-untyped]
from numpy.typing import NDArray

from fulmen.core.errors import ConfigError
from fulmen_nlpaug.base import TextAugmenter
from fulmen_nlpaug.tokens import match_case, split


def shares(weights: Sequence[float], p: float) -> list[float]:
    """Probabilities with mean ``p``, in proportion to weights as far as 1 allows.

    Args:
        weights: Numbers >= 0, one for each word.
        p: The mean, in [0, 1].

    Returns:
        One probability for each word. Those that would pass 1 are 1, and the others take what is left over.

    >>> shares([1.0, 3.0, 0.0], 1 / 3)
    [0.25, 0.75, 0.0]
    """
    result, left = [0.0] * len(weights), p * len(weights)
    free = list(range(len(weights)))
    while free and left > 0:
        total = sum(weights[i] for i in free)
        wanted = {i: left * (weights[i] / total) if total > 0 else left / len(free) for i in free}
        full = [i for i in free if wanted[i] >= 1]
        for i in full or free:
            result[i] = min(wanted[i], 1.0)
        if not full:
            break
        left -= len(full)
        free = [i for i in free if wanted[i] < 1]
    return result


class _Model(TfIdf):  # type: ignore[misc]
    """nlpaug's statistics, with draws from a given stream.

    Corrected: a word counts once a text in the inverse document frequency, and texts whose words all weigh the
    same do not raise.
    """

    cumulated: list[float]
    position: dict[str, int]

    @classmethod
    def _normalize(cls, data: NDArray[np.float64]) -> NDArray[np.float64]:
        rest = data.max() - data
        return rest / rest.sum() if rest.sum() > 0 else np.full(len(data), 1 / len(data))

    def cal_idf(self, docs_tokens: Sequence[Sequence[str]]) -> Any:
        return super().cal_idf([dict.fromkeys(tokens) for tokens in docs_tokens])

    def freeze(self) -> _Model:
        self.cumulated = list(accumulate(map(float, self.tfidf_scores)))
        self.position = {token: i for i, token in enumerate(self.tokens)}
        return self

    def draw(self, other_than: str, random: Random) -> str:
        """A word drawn by its score, or the given one where there is no other."""
        i = self.position.get(other_than)
        start, end = (0.0, 0.0) if i is None else (self.cumulated[i - 1] if i else 0.0, self.cumulated[i])
        rest = self.cumulated[-1] - (end - start)
        if rest <= 0:
            return other_than
        mark = random.random() * rest
        place = bisect_right(self.cumulated, mark if mark < start else max(mark + (end - start), end))
        word: str = self.tokens[min(place, len(self.tokens) - 1)]
        return word


def _read_texts(path: Path) -> list[list[str]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"corpus: {str(path)!r} cannot be read: {error}") from error
    texts = [words for line in lines if (words := split(line.lower())[1::2])]
    if len({word for words in texts for word in words}) < 2:
        raise ConfigError(f"corpus: {str(path)!r} has fewer than 2 words; write one text a line")
    return texts


@lru_cache(maxsize=4)
def _model(path: Path, changed: int) -> _Model:
    model = _Model()
    if not path.is_dir():
        model.train(_read_texts(path))
        return model.freeze()
    try:
        model.read(str(path))
    except (OSError, ValueError) as error:
        raise ConfigError(f"corpus: {str(path)!r} holds no model that nlpaug's TfIdf.save wrote: {error}") from error
    return model.freeze()


class TfIdfReplace(TextAugmenter):
    """Replaces words that tell little about their text by others that tell little, by TF-IDF.

    From UDA (Xie et al. 2020, https://arxiv.org/abs/1904.12848, appendix): a word of a text is replaced the more
    readily, the lower its inverse document frequency is among the words there; what replaces it is drawn by
    nlpaug's score of the corpus.

    Args:
        corpus: A file with one text a line, from which the statistics are learned, best the training texts; or the
            folder of a model that nlpaug's ``TfIdf.save`` wrote.
        p: Share of the words to be changed on average, in [0, 1]; words that the corpus lacks are left alone.
        text_p: Probability that a text is augmented at all, in [0, 1].
        stopwords: Words that are left alone.

    Raises:
        ConfigError: If a probability is out of range, or the corpus cannot be used.
    """

    def __init__(
        self, corpus: str | Path, p: float = 0.1, text_p: float = 1.0, stopwords: list[str] | None = None
    ) -> None:
        super().__init__(p, text_p, stopwords)
        path = Path(corpus).absolute()
        if not path.exists():
            raise ConfigError(f"corpus: {str(corpus)!r} does not exist; name a file with one text a line")
        self.model = _model(path, path.stat().st_mtime_ns)

    def change(self, pieces: list[str]) -> None:
        """Replaces words.

        Args:
            pieces: The text, from :func:`fulmen_nlpaug.tokens.split`.
        """
        known = self.model.w2idf
        entries = [(i, self._entry(pieces[i])) for i in self.eligible(pieces)]
        entries = [(i, word) for i, word in entries if word in known]
        if not entries or not self.p:
            return
        top = max(known[word] for _, word in entries)
        for (i, word), share in zip(entries, shares([top - known[w] for _, w in entries], self.p), strict=True):
            if self.random.random() < share:
                pieces[i] = match_case(self.model.draw(word, self.random), like=pieces[i])

    def _entry(self, word: str) -> str:
        return word if word in self.model.w2idf else word.lower()
