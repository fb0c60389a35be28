"""Words exchanged and put in, on texts small enough to write down all results."""

from __future__ import annotations

from pathlib import Path

import pytest

from fulmen.core.errors import ConfigError
from fulmen.core.spec import build
from fulmen_nlpaug.order import PUNCTUATION, Insert


@pytest.mark.parametrize(
    ("text", "swapped"),
    [
        ("The cat", "Cat the"),
        ("the cat", "cat the"),
        ("I am", "Am I"),
        ("I'm here", "Here I'm"),
        ("NASA flies", "flies NASA"),
        ("The UK", "UK The"),
        (" good\r\nbad! ", " bad\r\ngood! "),
        ("eat 3 apples", "eat 3 apples"),
        ("good, bad one", "good, one bad"),
        ("很好", "好很"),
    ],
)
def test_capitals_stay_in_front(text: str, swapped: str) -> None:
    assert build("text_augmentations", {"name": "swap", "p": 1.0}).augment(text) == [swapped]


def test_what_is_put_in(wordnet: Path) -> None:
    assert set(Insert(p=1.0).augment("one two", n=200)) == {
        f"{a} one {b} two" for a in ("one", "two") for b in ("one", "two")
    }
    assert set(Insert(p=1.0, source="punctuation").augment("one!", n=200)) == {f"{mark} one!" for mark in PUNCTUATION}
    synonyms = set(Insert(p=1.0, source="synonym", wordnet=wordnet).augment("love", n=200))
    assert synonyms == {"enjoy love"}
    assert Insert(p=1.0, source="synonym", wordnet=wordnet).augment("the nonsense") == ["the nonsense"]


def test_chinese_gets_no_blanks() -> None:
    assert Insert(p=1.0).augment("好") == ["好好"]


def test_unknown_source() -> None:
    with pytest.raises(ConfigError, match=r"^source: 'model' is not a valid value"):
        build("text_augmentations", {"name": "insert", "source": "model"})  # refused by its annotation
    with pytest.raises(ConfigError, match="unknown source 'model'"):
        Insert(source="model")  # type: ignore[arg-type]
