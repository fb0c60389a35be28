"""Synonyms and antonyms from WordNet's own files, without nltk.

The files are read whole and once (22 MB), and processes that are forked later share them. Their format is that
of https://wordnet.princeton.edu/documentation/wndb5wn.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from fulmen.core.errors import ConfigError

POS = ("noun", "verb", "adj", "adv")
"""Parts of speech, as the files are called."""

_WHERE = (
    "WordNet's files come with Debian's and Ubuntu's `apt install wordnet-base` (in /usr/share/wordnet), with "
    "WNdb-3.0.tar.gz from https://wordnet.princeton.edu/download/current-version (its folder `dict`), or with "
    "`python -m nltk.downloader wordnet` (nltk_data/corpora/wordnet, or wordnet.zip there)"
)


def named_wordnet(name: str, path: str | Path | None) -> WordNet:
    """The WordNet that a config or the environment variable FULMEN_WORDNET names.

    Args:
        name: The augmentation that asks for it.
        path: The folder; None reads the environment variable.

    Raises:
        ConfigError: If no folder is named, or it holds no WordNet.
    """
    chosen = path or os.environ.get("FULMEN_WORDNET")
    if not chosen:
        raise ConfigError(
            f"wordnet: {name} needs WordNet, and no folder is named; write {{name: {name}, wordnet: FOLDER}}, or set "
            f"FULMEN_WORDNET=FOLDER. {_WHERE}"
        )
    return open_wordnet(str(chosen))


@lru_cache(maxsize=4)
def open_wordnet(path: str) -> WordNet:
    """Reads WordNet, once for each path.

    Args:
        path: A folder with WordNet's files, or above it one named `dict` or `wordnet`; or such a folder as zip file.

    Raises:
        ConfigError: If there is no WordNet.
    """
    return WordNet(path)


def _files(path: str) -> Any:
    base = zipfile.Path(path) if zipfile.is_zipfile(path) else Path(path)
    for root in (base, base / "dict", base / "wordnet"):
        if all((root / f"{kind}.{pos}").is_file() for kind in ("index", "data") for pos in POS):
            return root
    problem = "holds no WordNet (no index.noun, data.noun, ...)" if base.exists() else "does not exist"
    raise ConfigError(f"wordnet: {path!r} {problem}. {_WHERE}")


class WordNet:
    """Answers which words share a meaning with a word, or have the opposite one.

    A word is looked up as it stands: "movies" is no entry, and nothing is found for it, so that no plural is
    replaced by a singular.

    Args:
        path: A folder or a zip file, see :func:`open_wordnet`.

    Raises:
        ConfigError: If there is no WordNet, or its files do not fit together.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        root = _files(path)
        self._data: dict[str, bytes] = {pos: (root / f"data.{pos}").read_bytes() for pos in POS}
        self._index: dict[str, dict[str, str]] = {}
        for pos in POS:
            lines = (root / f"index.{pos}").read_text(encoding="latin-1").splitlines()
            self._index[pos] = dict(line.split(" ", 1) for line in lines if line[:1] not in ("", " "))  # licence: " "
        self._synonyms: dict[tuple[str, int | None], tuple[str, ...]] = {}
        self._antonyms: dict[tuple[str, int | None], tuple[str, ...]] = {}
        self._check()

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return open_wordnet, (self.path,)

    def __len__(self) -> int:
        """The number of entries of all parts of speech."""
        return sum(map(len, self._index.values()))

    def synonyms(self, word: str, senses: int | None = None) -> tuple[str, ...]:
        """Words that share a meaning with a word, of any part of speech.

        Args:
            word: A word, or several with blanks between them.
            senses: How many meanings of each part of speech count, the most frequent first; None: all.

        Returns:
            In small letters, each once and never the word itself; some are several words.

        Raises:
            ConfigError: If the files are damaged.
        """
        key = (word.lower().replace(" ", "_"), senses)
        if key not in self._synonyms:
            found = (w for pos in POS for synset in self._synsets(*key, pos) for w in words_of(synset))
            self._synonyms[key] = _distinct(key[0], found)
        return self._synonyms[key]

    def antonyms(self, word: str, senses: int | None = None) -> tuple[str, ...]:
        """Words that mean the opposite of a verb, an adjective or an adverb, as WordNet says of just this word.

        Nouns are left out, following Niu & Bansal 2018 (https://aclanthology.org/K18-1047).

        Args:
            word: A word, or several with blanks between them.
            senses: How many meanings of each part of speech count, the most frequent first; None: all.

        Returns:
            In small letters, each once.

        Raises:
            ConfigError: If the files are damaged.
        """
        key = (word.lower().replace(" ", "_"), senses)
        if key not in self._antonyms:
            found = (
                w for pos in POS[1:] for synset in self._synsets(*key, pos) for w in self._opposites(key[0], synset)
            )
            self._antonyms[key] = _distinct(key[0], found)
        return self._antonyms[key]

    def _synsets(self, lemma: str, senses: int | None, pos: str) -> Iterator[list[str]]:
        entry = self._index[pos].get(lemma)
        if entry is None:
            return
        fields = entry.split()  # pos, number of synsets, number of pointers, pointers, 2 counts, offsets
        offsets = fields[-int(fields[1]) :]
        for offset in offsets[:senses]:
            yield self._synset(pos, offset)

    def _synset(self, pos: str, offset: str) -> list[str]:
        """The fields of a line of a data file, without the gloss."""
        data: bytes = self._data[pos]
        start = int(offset)
        line = data[start : data.find(b"\n", start)]
        if not line.startswith(offset.encode()):
            raise ConfigError(
                f"wordnet: data.{pos} in {self.path!r} does not belong to index.{pos} (nothing at {offset}). {_WHERE}"
            )
        return line.partition(b"|")[0].decode("latin-1").split()

    def _opposites(self, lemma: str, synset: list[str]) -> Iterator[str]:
        names = words_of(synset)
        after = 4 + 2 * len(names)
        pointers = synset[after + 1 : after + 1 + 4 * int(synset[after])]
        for symbol, offset, pos, link in zip(*(iter(pointers),) * 4, strict=True):
            source, target = int(link[:2], 16), int(link[2:], 16)  # which word here, which word there, from 1
            if symbol == "!" and names[source - 1].lower() == lemma:
                there = {"n": "noun", "v": "verb", "r": "adv"}.get(pos, "adj")
                yield words_of(self._synset(there, offset))[target - 1]

    def _check(self) -> None:
        for pos in POS:
            if not self._index[pos]:
                raise ConfigError(f"wordnet: index.{pos} in {self.path!r} has no entry. {_WHERE}")
            for _ in self._synsets(next(iter(self._index[pos])), 1, pos):
                pass


def words_of(synset: list[str]) -> list[str]:
    """The words of a synset, from the fields of its line, without the marker that some adjectives have.

    >>> words_of("00002098 00 a 02 unable 0 asleep(p) 0 000".split())
    ['unable', 'asleep']
    """
    return [word.partition("(")[0] for word in synset[4 : 4 + 2 * int(synset[3], 16) : 2]]


def _distinct(word: str, found: Iterator[str]) -> tuple[str, ...]:
    names = (name.lower().replace("_", " ") for name in found)
    return tuple(dict.fromkeys(name for name in names if name != word.replace("_", " ")))
