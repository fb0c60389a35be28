"""`p` means what it says: shares against the binomial distribution, at 4.5 standard deviations."""

from __future__ import annotations

import random
from itertools import pairwise
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulmen.core.errors import ConfigError
from fulmen.core.spec import build
from fulmen_nlpaug.tokens import split

TEXTS, LENGTH = 1500, 20


def binomial(count: int, trials: int, p: float) -> bool:
    return abs(count - p * trials) <= 4.5 * sqrt(trials * p * (1 - p))


def made(name: str, seed: int = 0, **options: Any) -> Any:
    augmenter = build("text_augmentations", {"name": name, **options})
    augmenter.set_random_state(None, random.Random(seed))
    return augmenter


def changed(augmenter: Any, text: str, times: int = TEXTS) -> int:
    """How many words are others, in so many tries."""
    words, count = split(text)[1::2], 0
    for _ in range(times):
        pieces = split(text)
        augmenter.change(pieces)
        count += sum(a != b for a, b in zip(words, pieces[1::2], strict=True))
    return count


DISTINCT = " ".join(f"wor{chr(97 + i)}" for i in range(LENGTH))


@pytest.mark.parametrize("p", [0.02, 0.3, 0.9, 1.0])
@pytest.mark.parametrize(
    ("name", "word"),
    [("keyboard", "house"), ("ocr", "looks"), ("spelling", "receive"), ("split", "house"), ("insert", "x")],
)
def test_share_of_words(name: str, word: str, p: float) -> None:
    assert binomial(changed(made(name, p=p), f"{word} " * LENGTH), TEXTS * LENGTH, p)


@pytest.mark.parametrize("p", [0.02, 0.3, 0.9, 1.0])
@pytest.mark.parametrize(("name", "word"), [("synonym", "film"), ("antonym", "good")])
def test_share_of_words_with_wordnet(name: str, word: str, p: float, wordnet: Path) -> None:
    assert binomial(changed(made(name, p=p, wordnet=str(wordnet)), f"{word} " * LENGTH), TEXTS * LENGTH, p)


@pytest.mark.parametrize("p", [0.02, 0.3, 0.9])
def test_share_of_words_left_out(p: float) -> None:
    delete = made("delete", p=p)
    left = sum(len(split(text)) // 2 for text in delete.augment(DISTINCT, n=TEXTS))
    assert binomial(TEXTS * LENGTH - left, TEXTS * LENGTH, p)


@pytest.mark.parametrize("p", [0.02, 0.33, 0.9])
def test_share_of_words_cut_out(p: float) -> None:
    """The length of the cut is one of two neighbouring whole numbers, and `p` on average."""
    lengths = [LENGTH - len(split(text)) // 2 for text in made("crop", p=p).augment(DISTINCT, n=TEXTS)]
    assert set(lengths) <= {int(p * LENGTH), int(p * LENGTH) + 1}
    assert binomial(sum(lengths) - TEXTS * int(p * LENGTH), TEXTS, p * LENGTH % 1)


def test_each_word_is_cut_out_and_runs_are_unbroken() -> None:
    words, seen = DISTINCT.split(), set()
    for text in made("crop", p=0.25).augment(DISTINCT, n=500):
        gone = [i for i, word in enumerate(words) if word not in text.split()]
        assert gone == list(range(gone[0], gone[0] + 5))
        seen.update(gone)
    assert seen == set(range(LENGTH))


@pytest.mark.parametrize("p", [0.02, 0.3, 0.9])
def test_share_of_pairs_exchanged(p: float) -> None:
    """Of 20 words 10 pairs, or 9 where the first and the last stay alone: 9.5 on average."""
    pairs = changed(made("swap", p=p), DISTINCT) / 2
    assert abs(pairs - p * 9.5 * TEXTS) <= 4.5 * sqrt(TEXTS * (9.5 * p * (1 - p) + 0.25 * p * p))


def test_every_pair_at_p_1() -> None:
    assert set(made("swap", p=1.0).augment("a b c d", n=50)) == {"b a d c", "a c b d"}
    assert made("swap", p=1.0).augment("a b") == ["b a"]
    assert set(made("swap", p=1.0).augment("a b c", n=50)) == {"b a c", "a c b"}


def test_exactly_one_word_is_left_at_p_1() -> None:
    assert set(made("delete", p=1.0).augment("one two three", n=100)) == {"one", "two", "three"}
    assert set(made("crop", p=1.0).augment("one two three", n=100)) == {"one", "three"}


@pytest.mark.parametrize("char_p", [0.05, 0.4, 1.0])
def test_share_of_characters(char_p: float) -> None:
    """Each with `char_p`; where none is drawn (probability (1 - char_p)^n), one."""
    word, length, tries = "abcdefghij", 10, 3000
    keyboard = made("keyboard", p=1.0, char_p=char_p)
    count = sum(a != b for text in keyboard.augment(word, n=tries) for a, b in zip(word, text, strict=True))
    none = (1 - char_p) ** length
    mean, square = length * char_p + none, length * char_p * (1 - char_p) + (length * char_p) ** 2 + none
    assert abs(count - tries * mean) <= 4.5 * sqrt(tries * max(square - mean**2, 0)) + 1e-6


def test_char_p_0_changes_nothing() -> None:
    assert made("keyboard", p=1.0, char_p=0.0).augment("abcdef") == ["abcdef"]


@pytest.mark.parametrize("text_p", [0.1, 0.7])
def test_share_of_texts(text_p: float) -> None:
    results = made("swap", p=1.0, text_p=text_p).augment("one two", n=4000)
    assert binomial(results.count("two one"), 4000, text_p)


def test_nothing_is_capped() -> None:
    """nlpaug stops at 10 words."""
    assert changed(made("split", p=1.0), "house " * 200, times=1) == 200


@pytest.mark.parametrize("name", ["swap", "delete", "crop", "insert", "keyboard", "ocr", "spelling", "split"])
@pytest.mark.parametrize("option", ["p", "text_p"])
@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_no_probability(name: str, option: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"^{option}: .* is out of range; allowed: 0 <= {option} <= 1"):
        build("text_augmentations", {"name": name, option: value})


@given(st.lists(st.floats(0, 10), min_size=1, max_size=12), st.floats(0, 1))
def test_shares_have_the_mean_p_and_the_order_of_the_weights(weights: list[float], p: float) -> None:
    from fulmen_nlpaug.tfidf import shares

    result = shares(weights, p)
    assert sum(result) == pytest.approx(p * len(weights), abs=1e-9)
    assert all(0 <= share <= 1 for share in result)
    in_order = [share for _, share in sorted(zip(weights, result, strict=True))]
    assert all(b >= a - 1e-9 for a, b in pairwise(in_order))
