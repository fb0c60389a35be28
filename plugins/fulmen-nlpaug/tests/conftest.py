"""A WordNet of a dozen words, a corpus, and every short name with options that need nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

LICENCE = "  1 This software and database is being provided to you, the LICENSEE, by  \n  2 a test.  \n"
SYNSETS: dict[str, list[list[str]]] = {
    "noun": [["film", "movie", "moving_picture"], ["photographic_film", "film"], ["man"], ["woman"]],
    "verb": [["love", "enjoy"], ["hate", "detest"], ["film", "shoot"]],
    "adj": [["good"], ["bad", "ill"], ["large", "big", "well-grown"], ["little", "small"], ["asleep(p)"], ["awake(p)"]],
    "adv": [["quickly", "rapidly"], ["slowly", "tardily"]],
}
OPPOSITE = {
    "love": "hate",
    "good": "bad",
    "large": "small",
    "asleep(p)": "awake(p)",
    "quickly": "slowly",
    "man": "woman",
}
LETTER = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}


def _pointers(pos: str, words: list[str], offsets: dict[str, int]) -> list[str]:
    both_ways = {**OPPOSITE, **{b: a for a, b in OPPOSITE.items()}}
    found = []
    for i, word in enumerate(words, 1):
        if opposite := both_ways.get(word):
            home = next(s for s in SYNSETS[pos] if opposite in s)
            link = f"{i:02x}{home.index(opposite) + 1:02x}"
            found.append(f"! {offsets.get(home[0], 0):08d} {LETTER[pos]} {link}")
    return found


def _data(pos: str, offsets: dict[str, int]) -> tuple[str, dict[str, int]]:
    text, starts = LICENCE, {}
    for words in SYNSETS[pos]:
        starts[words[0]] = len(text)
        pointers = _pointers(pos, words, offsets)
        names = " ".join(f"{word} {i:x}" for i, word in enumerate(words))
        frames = "01 + 02 00 " if pos == "verb" else ""
        links = "".join(f"{pointer} " for pointer in pointers)
        text += (
            f"{len(text):08d} 03 {LETTER[pos]} {len(words):02x} {names} {len(pointers):03d} {links}{frames}| gloss  \n"
        )
    return text, starts


def _index(pos: str, starts: dict[str, int]) -> str:
    entries: dict[str, list[int]] = {}
    for words in SYNSETS[pos]:
        for word in words:
            entries.setdefault(word.partition("(")[0], []).append(starts[words[0]])
    lines = [
        f"{lemma} {LETTER[pos]} {len(offsets)} 1 ! {len(offsets)} 0 {' '.join(f'{o:08d}' for o in offsets)}  \n"
        for lemma, offsets in sorted(entries.items())
    ]
    return LICENCE + "".join(lines)


@pytest.fixture(scope="session")
def wordnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wordnet") / "dict"
    folder.mkdir()
    for pos in SYNSETS:
        _, starts = _data(pos, {})
        text, starts = _data(pos, starts)
        (folder / f"data.{pos}").write_text(text, encoding="latin-1")
        (folder / f"index.{pos}").write_text(_index(pos, starts), encoding="latin-1")
    return folder


TEXTS = """\
the film was good and I love it
a bad film , slowly told , with a large dog
we hate the little man who hates the film
Quickly told and good : a film to love
a quiet story about a woman and the sea
the sea is large and the boat is small
"""


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "texts.txt"
    path.write_text(TEXTS, encoding="utf-8")
    return path


NAMES = ("swap", "delete", "crop", "insert", "keyboard", "ocr", "spelling", "split", "synonym", "antonym", "tfidf")


@pytest.fixture(params=NAMES)
def spec(request: pytest.FixtureRequest, wordnet: Path, corpus: Path) -> dict[str, Any]:
    """A spec of each short name."""
    options = {
        "synonym": {"wordnet": str(wordnet)},
        "antonym": {"wordnet": str(wordnet)},
        "tfidf": {"corpus": str(corpus)},
    }
    return {"name": request.param, **options.get(request.param, {})}
