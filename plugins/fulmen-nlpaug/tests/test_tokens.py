"""What a word is, and that nothing is lost between words."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulmen_nlpaug.tokens import match_case, split

ODDITIES = [
    "👨‍👩‍👧", "🏳️‍🌈", "1️⃣", "🇩🇪", "\r\n", "\t", "\u00a0", "\u200b",
    "\u3000", "don't", "rock\u2019n\u2019roll", "3.14", "1,000", "½", "Ⅷ", "https://a.org/x?y=1&z=(2)", "me@x.org",
    "@you", "#this", "<br />", "&amp;", ":D", "很好", "2020年", "cafe\u0301",
    "हिन्दी", "\u0645\u06cc\u200c\u062e", "word", "Word", "'", "-", ".", "_", "@", "<", "&", "#", ":", " ", "\ud800",
]  # fmt: skip


@given(st.one_of(st.text(), st.lists(st.sampled_from(ODDITIES)).map("".join), st.text("'-.a1 @:/<&;#")))
def test_joined_pieces_are_the_text_byte_for_byte(text: str) -> None:
    pieces = split(text)
    assert "".join(pieces) == text
    assert len(pieces) % 2 == 1
    assert all(pieces[1::2])  # no empty word


@given(st.lists(st.sampled_from(["word", "don't", "e-mail", "café", "cafe\u0301", "हिन्दी", "Straße", "слово", "מילה"])))
def test_words_between_blanks_are_found(words: list[str]) -> None:
    assert split(" ".join(words))[1::2] == words


@pytest.mark.parametrize(
    "text",
    ["3.14", "1,000", "-5", "10:30", "$5", "1930s", "2nd", "mp3", "x_1", "½", "m²", "Ⅷ", "https://a.org/very/long?q=word",
     "www.example.org", "example.com", "mailto:me@x.org", "me.too@x-y.org", "U.S.", "@someone", "#topic", "<br />",
     "<a href='x'>", "&amp;", ":D", ";-P", "=p", "🎉", "👨‍👩‍👧", "1️⃣", "...", "\r\n", ""],
)  # fmt: skip
def test_these_hold_no_word(text: str) -> None:
    assert split(text) == [text]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("it's", ["it's"]),
        ("rock\u2019n\u2019roll", ["rock\u2019n\u2019roll"]),
        ("state-of-the-art", ["state-of-the-art"]),
        ("'quoted'", ["quoted"]),
        ("it 's wo n't", ["it", "'s", "wo", "n't"]),
        ("dogs' -tail-", ["dogs", "tail"]),
        ("covid-19", ["covid"]),
        ("我很好。", ["我", "很", "好"]),
        ("2020年的film", ["年", "的", "film"]),
        ("see http://a.org, now", ["see", "now"]),
        ("end. Next", ["end", "Next"]),
    ],
)
def test_words_of(text: str, words: list[str]) -> None:
    assert split(text)[1::2] == words


@pytest.mark.parametrize(
    "part", ["a.", "a-", "<a", "'", " ", "@", "a@", "&a", "http:", "a'", "1", "e\u0301", "好", "www."]
)
def test_time_grows_with_the_length_alone(part: str) -> None:
    """Ten times the text may take 10 times as long, not 100 times; 40 leaves room for a busy machine."""

    def seconds(text: str) -> float:
        times = []
        for _ in range(3):
            start = time.perf_counter()
            split(text)
            times.append(time.perf_counter() - start)
        return min(times)

    assert seconds(part * 20_000) < 40 * max(seconds(part * 2_000), 1e-4)


@pytest.mark.parametrize(
    ("word", "like", "written"),
    [
        ("movie", "film", "movie"),
        ("movie", "Film", "Movie"),
        ("movie", "FILM", "MOVIE"),
        ("one", "A", "One"),
        ("b", "iX", "b"),
    ],
)
def test_capitals_are_taken_over(word: str, like: str, written: str) -> None:
    assert match_case(word, like) == written
