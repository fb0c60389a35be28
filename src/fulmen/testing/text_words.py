"""Checks of the texts that come out of an augmentation."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from fulmen.testing.kit import require
from fulmen.testing.text_subject import SENTENCES, WRITTEN, TextAugmentation

_WHOLE = ("https://example.org/a-b?c=1&d=2", "me@example.org", "3.14", "$1,000.50", "state-of-the-art", "Zürich")
_DRAWS = 40


def makes_augmenter(augmentation: TextAugmentation) -> None:
    """It makes something like an augmenter of nlpaug, a new one each time."""
    made = augmentation.make()
    require(callable(getattr(made, "augment", None)), f"it makes a {type(made).__name__} without augment(text)")
    require(made is not augmentation.make(), "it gives the same object twice; pipelines would share its random numbers")


def gives_text(augmentation: TextAugmentation) -> None:
    """A text becomes a text, and one with words keeps some."""
    for text, out in zip((*SENTENCES, *WRITTEN), augmentation.augmented((*SENTENCES, *WRITTEN)), strict=True):
        require(out.strip(), f"{text!r} becomes empty; leave one word at least")


def short_texts(augmentation: TextAugmentation) -> None:
    """Empty texts, blanks, and texts of a word or two pass; an empty one stays empty."""
    for text in ("", " ", "\n", "word", "a", "two words", "...", "🙂"):
        for draw, out in enumerate(augmentation.augmented([text] * 5)):
            require(bool(out.strip()) == bool(text.strip()), f"{text!r} becomes {out!r} (draw {draw})")


def p_zero(augmentation: TextAugmentation) -> str | None:
    """With ``p: 0`` every text stays as it is, byte for byte."""
    if "p" not in augmentation.parameters:
        return "it has no `p`"
    for text, out in zip((*SENTENCES, *WRITTEN), augmentation.augmented((*SENTENCES, *WRITTEN), p=0.0), strict=True):
        require(out == text, f"p=0 makes {out!r} of {text!r}")
    return None


def whitespace_kept(augmentation: TextAugmentation) -> None:
    """Blanks, tabs and new lines between words that are not changed stay as they are."""
    for text in WRITTEN:
        words, blanks = _words(text)
        for out in augmentation.augmented([text] * _DRAWS):
            new_words, new_blanks = _words(out)
            for i, j, size in SequenceMatcher(None, words, new_words, autojunk=False).get_matching_blocks():
                for k in range(1, size):
                    pair = words[i + k - 1 : i + k + 1]
                    sure = all(word == "" or words.count(word) == new_words.count(word) == 1 for word in pair)
                    kept = blanks[i + k] == new_blanks[j + k]
                    require(kept or not sure, f"{text!r} becomes {out!r}; keep the white space between words")


def _words(text: str) -> tuple[list[str], list[str]]:
    """The words of a text, and what stands before each; both ends of the text count as words."""
    words = ["", *text.split(), ""]
    return words, ["", *re.split(r"\S+", text)]


def words_whole(augmentation: TextAugmentation) -> None:
    """Addresses, amounts and words with marks are words: in some draws of many, each comes out as it went in."""
    outs = {text: augmentation.augmented([text] * _DRAWS) for text in WRITTEN}
    for text, found in outs.items():
        for word in (word for word in _WHOLE if word in text):
            require(any(word in out for out in found), f"{word!r} never survives: {found[0]!r}; split at blanks alone")
