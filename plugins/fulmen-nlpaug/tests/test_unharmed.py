"""What is not augmented comes out byte for byte, whatever the augmentation."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fulmen.core.spec import build
from fulmen_nlpaug.base import TextAugmenter, WordReplacer
from fulmen_nlpaug.tokens import split

UNTOUCHABLE = [
    "3.14", "1,000", "https://a.org/good?film=1", "www.film.org", "me@good.org", "\r\n", "\t", "\u00a0", "\n\n", "🎉",
    "👨‍👩‍👧", "<br />", "&amp;", "@film", "#good", "1930s", ":D", "!?",
]  # fmt: skip
WORDS = [
    "film",
    "The",
    "good",
    "I",
    "LOVE",
    "don't",
    "I'm",
    "quickly",
    "receive",
    "large",
    "我",
    "很",
    "好",
    "e-mail",
    "Ärger",
]
texts = st.one_of(
    st.lists(st.sampled_from([*UNTOUCHABLE, *WORDS, " ", " ", ", "]), max_size=15).map("".join),
    st.lists(st.sampled_from([*UNTOUCHABLE, *WORDS]), max_size=15).map(" ".join),
    st.text(max_size=40),
)
every_text = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)


def augmented(augmenter: TextAugmenter, text: str, seed: int) -> tuple[list[str], list[str]]:
    """The pieces before and after; :meth:`augment` gives these joined."""
    before = split(text)
    after = list(before)
    augmenter.set_random_state(None, random.Random(seed))
    augmenter.change(after)
    augmenter.set_random_state(None, random.Random(seed))
    assert augmenter.augment(text) == ["".join(after)]
    return before, after


@every_text
@given(text=texts, seed=st.integers(0, 99), p=st.sampled_from([0.1, 0.5, 1.0]))
def test_only_words_change(spec: dict[str, Any], text: str, seed: int, p: float) -> None:
    augmenter = build("text_augmentations", {**spec, "p": p})
    before, after = augmented(augmenter, text, seed)
    words, new = before[1::2], after[1::2]
    if spec["name"] in ("delete", "crop"):
        rest = iter(words)
        assert all(word in rest for word in new)  # the same words in the same order, some missing
        assert bool(new) == bool(words)
        gaps, left = "".join(before[0::2]), "".join(after[0::2])
        assert gaps.replace(" ", "") == left.replace(" ", "")
        assert 0 <= len(gaps) - len(left) <= len(words) - len(new)
        return
    assert after[0::2] == before[0::2]
    if spec["name"] == "swap":
        assert Counter(map(str.lower, new)) == Counter(map(str.lower, words))
    elif spec["name"] == "insert":
        assert all(
            n == w or (n.endswith(w) and n.removesuffix(w).strip() in words) for n, w in zip(new, words, strict=True)
        )
    elif spec["name"] == "split":
        assert all(n == w or n.replace(" ", "", 1) == w for n, w in zip(new, words, strict=True))
    elif spec["name"] in ("keyboard", "ocr"):
        assert all(len(n) == len(w) for n, w in zip(new, words, strict=True))
    else:
        assert all(new)


@every_text
@given(text=texts, seed=st.integers(0, 9))
def test_numbers_urls_and_emoji_survive(spec: dict[str, Any], text: str, seed: int) -> None:
    text = f"film {text} 3.14 https://a.org/x 🎉 \r\n\u00a0good"
    augmenter = build("text_augmentations", {**spec, "p": 1.0})
    augmenter.set_random_state(None, random.Random(seed))
    (result,) = augmenter.augment(text)
    for kept in ("3.14", "https://a.org/x", "🎉", "\r\n\u00a0"):
        assert result.count(kept) >= text.count(kept)


@pytest.mark.parametrize("text", ["", " ", "\n", "3.14", "🎉", "...", "https://a.org"])
def test_texts_without_words_pass(spec: dict[str, Any], text: str) -> None:
    assert build("text_augmentations", {**spec, "p": 1.0}).augment(text) == [text]


@pytest.mark.parametrize("text", ["film", " film\n", "Film!", "'film'"])
def test_one_word_is_never_taken_away(text: str) -> None:
    for name in ("swap", "delete", "crop"):
        assert build("text_augmentations", {"name": name, "p": 1.0}).augment(text) == [text]


@every_text
@given(text=texts, p=st.floats(0, 1))
def test_neither_p_0_nor_text_p_0_changes_anything(spec: dict[str, Any], text: str, p: float) -> None:
    assert build("text_augmentations", {**spec, "p": 0.0}).augment(text) == [text]
    assert build("text_augmentations", {**spec, "p": p, "text_p": 0.0}).augment(text) == [text]


def test_stopwords_are_left_alone(spec: dict[str, Any]) -> None:
    if spec["name"] == "insert":
        return
    words = ["film", "good", "quickly", "love", "large"]
    augmenter = build("text_augmentations", {**spec, "p": 1.0, "stopwords": [w.upper() for w in words]})
    assert augmenter.augment(" ".join(words)) == [" ".join(words)]


def test_nlpaugs_own_way_of_calling_works(spec: dict[str, Any]) -> None:
    """Lists of texts, several results, and nlpaug's flow of augmenters."""
    from nlpaug.flow import Sequential

    augmenter = build("text_augmentations", {**spec, "p": 1.0})
    assert len(augmenter.augment(["the good film", "", "a large dog"])) == 3
    assert len(augmenter.augment("the good film", n=3)) == 3
    assert isinstance(Sequential([augmenter, augmenter]).augment("the good film")[0], str)


def test_replacers_say_which_word(wordnet: Any) -> None:
    synonym: WordReplacer = build("text_augmentations", {"name": "synonym", "wordnet": str(wordnet), "p": 1.0})
    assert synonym.augment("Quickly, LARGE-ish: the enjoy!") == ["Rapidly, LARGE-ish: the love!"]


@pytest.mark.parametrize(
    ("text", "drop", "left"),
    [
        ("one two three", {3}, "one three"),
        ("one two", {1}, "two"),
        ("one two.", {3}, "one."),
        ("one, two three", {3}, "one, three"),
        ("one\ntwo three", {3}, "one\nthree"),
        ("(one) two", {1}, "() two"),
        ("one two three", {1, 3}, "three"),
        ("one two three", {3, 5}, "one"),
        ("我很好", {3}, "我好"),
        ("one  two  three", {3}, "one   three"),
    ],
)
def test_a_word_goes_with_one_blank(text: str, drop: set[int], left: str) -> None:
    from fulmen_nlpaug.order import without

    assert "".join(without(split(text), drop)) == left
