"""Errors of typing, of reading and of spelling, and words torn apart."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import nlpaug.model.char as tables  # type: ignore[import-untyped]
from nlpaug.util import Action, LibraryUtil, ReadUtil  # type: ignore[import-untyped]

from fulmen.core.errors import ConfigError, unknown
from fulmen_nlpaug.base import WordReplacer, probability
from fulmen_nlpaug.tokens import match_case, split

Table = Mapping[str, list[str]]


def _resources(*parts: str) -> Path:
    return Path(LibraryUtil.get_res_dir(), *parts)


@lru_cache
def _keyboard(lang: str, special_char: bool, numeric: bool, upper_case: bool) -> Table:
    folder = _resources("char", "keyboard")
    known = sorted(path.stem for path in folder.glob("*.json"))
    if lang not in known:
        raise ConfigError(f"lang: {unknown('keyboard', lang, known)}")
    path = str(folder / f"{lang}.json")
    model = tables.Keyboard(special_char, numeric, upper_case, lang=lang, model_path=path).model
    # nlpaug 1.1.11 has a blank in front of the English u's neighbour t, which would tear words apart
    return {char: [other.strip() for other in others] for char, others in model.items() if others}


@lru_cache
def _ocr() -> Table:
    model = tables.Ocr(model=ReadUtil.read_json(str(_resources("char", "ocr", "en.json")))).model
    return {char: others for char, others in model.items() if others}


class CharacterNoise(WordReplacer):
    """Replaces characters inside words by a table.

    Args:
        table: Character -> what it is mistaken for.
        p: Probability of each word to be changed, in [0, 1].
        char_p: Probability of each character of such a word to be replaced, in [0, 1]; if none is drawn, one is.
        text_p: Probability that a text is augmented at all, in [0, 1].
        stopwords: Words that are left alone.
        min_char: Shorter words are left alone.
    """

    def __init__(
        self, table: Table, p: float, char_p: float, text_p: float, stopwords: list[str] | None, min_char: int
    ) -> None:
        super().__init__(p, text_p, stopwords)
        if min_char < 1:
            raise ConfigError(f"min_char: {min_char} is out of range; allowed: min_char >= 1")
        self.table, self.char_p, self.min_char = table, probability("char_p", char_p), min_char

    def replace(self, word: str) -> str:
        """The word with errors.

        Args:
            word: A word.
        """
        if len(word) < self.min_char or not self.char_p:
            return word
        places = [i for i, char in enumerate(word) if char in self.table]
        if not places:
            return word
        drawn = [i for i in places if self.random.random() < self.char_p] or [self.random.choice(places)]
        chars = list(word)
        for i in drawn:
            chars[i] = self.random.choice(self.table[chars[i]])
        return "".join(chars)


class Keyboard(CharacterNoise):
    """Hits keys beside the right ones (Belinkov & Bisk 2018, https://arxiv.org/abs/1711.02173).

    Args:
        p: Probability of each word to be changed, in [0, 1].
        char_p: Probability of each character of such a word to be replaced, in [0, 1]; if none is drawn, one is.
        text_p: Probability that a text is augmented at all, in [0, 1].
        stopwords: Words that are left alone.
        min_char: Shorter words are left alone.
        lang: Keyboard of nlpaug: de, en, es, fr, he, it, nl, pl, th, tr or uk.
        include_special_char: Whether keys with signs are hit.
        include_numeric: Whether keys with digits are hit.
        include_upper_case: Whether capitals are hit, and mistyped.

    Raises:
        ConfigError: If a value is out of range, or there is no such keyboard.
    """

    def __init__(
        self,
        p: float = 0.1,
        char_p: float = 0.1,
        text_p: float = 1.0,
        stopwords: list[str] | None = None,
        min_char: int = 4,
        lang: str = "en",
        include_special_char: bool = True,
        include_numeric: bool = True,
        include_upper_case: bool = True,
    ) -> None:
        table = _keyboard(lang, include_special_char, include_numeric, include_upper_case)
        super().__init__(table, p, char_p, text_p, stopwords, min_char)


class Ocr(CharacterNoise):
    """Takes characters for others that look like them, as a text scanner does: o for 0, l for 1.

    Args:
        p: Probability of each word to be changed, in [0, 1]; words without such a character are left alone.
        char_p: Probability of each character of such a word to be replaced, in [0, 1]; if none is drawn, one is.
        text_p: Probability that a text is augmented at all, in [0, 1].
        stopwords: Words that are left alone.
        min_char: Shorter words are left alone.

    Raises:
        ConfigError: If a value is out of range.
    """

    def __init__(
        self,
        p: float = 0.1,
        char_p: float = 0.1,
        text_p: float = 1.0,
        stopwords: list[str] | None = None,
        min_char: int = 1,
    ) -> None:
        super().__init__(_ocr(), p, char_p, text_p, stopwords, min_char)


@lru_cache
def _misspellings(path: Path) -> Table:
    """Word -> how people misspell it, in small letters and sorted: nlpaug's own order changes with each process."""
    found: dict[str, set[str]] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"dict_path: {str(path)!r} cannot be read: {error}") from error
    for line in lines:
        word, *others = line.lower().split(" ")
        if _is_word(word):
            found.setdefault(word, set()).update(other for other in others if other != word and _is_word(other))
    table = {word: sorted(others) for word, others in found.items() if others}
    if not table:
        raise ConfigError(f"dict_path: {str(path)!r} has no misspelling; write one word a line: word wrong1 wrong2")
    return table


def _is_word(text: str) -> bool:
    return split(text) == ["", text, ""]


class Spelling(WordReplacer):
    """Misspells words as people do, from a dictionary.

    nlpaug's dictionary of mistakes in English is that of Belinkov & Bisk 2018, https://arxiv.org/abs/1711.02173.

    Args:
        p: Probability of each word to be changed, in [0, 1]; words that the dictionary lacks are left alone.
        text_p: Probability that a text is augmented at all, in [0, 1].
        stopwords: Words that are left alone.
        dict_path: Another dictionary: one word a line, followed by its misspellings, with blanks between them.

    Raises:
        ConfigError: If a probability is out of range, or the dictionary cannot be read.
    """

    def __init__(
        self,
        p: float = 0.1,
        text_p: float = 1.0,
        stopwords: list[str] | None = None,
        dict_path: str | Path | None = None,
    ) -> None:
        super().__init__(p, text_p, stopwords)
        self.table = _misspellings(Path(dict_path or _resources("word", "spelling", "spelling_en.txt")))

    def replace(self, word: str) -> str:
        """A misspelling of the word.

        Args:
            word: A word.
        """
        others = self.table.get(word.lower())
        return match_case(self.random.choice(others), like=word) if others else word


class Split(WordReplacer):
    """Tears words apart with a blank (as in TextBugger, Li et al. 2019, https://arxiv.org/abs/1812.05271).

    Args:
        p: Probability of each word to be changed, in [0, 1].
        text_p: Probability that a text is augmented at all, in [0, 1].
        stopwords: Words that are left alone.
        min_char: Shorter words are left alone.

    Raises:
        ConfigError: If a value is out of range.
    """

    operation: ClassVar[str] = Action.SPLIT

    def __init__(
        self, p: float = 0.1, text_p: float = 1.0, stopwords: list[str] | None = None, min_char: int = 4
    ) -> None:
        super().__init__(p, text_p, stopwords)
        if min_char < 2:
            raise ConfigError(f"min_char: {min_char} is out of range; allowed: min_char >= 2")
        self.min_char = min_char

    def replace(self, word: str) -> str:
        """The word in two parts.

        Args:
            word: A word.
        """
        if len(word) < self.min_char:
            return word
        places = [i for i in range(1, len(word)) if word[i - 1].isalpha() and word[i].isalpha()]
        if not places:
            return word
        place = self.random.choice(places)
        return f"{word[:place]} {word[place:]}"
