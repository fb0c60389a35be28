"""MinHash finds what comparing all with all finds."""

from __future__ import annotations

import numpy as np
import pytest

from fulmen.data.checks import wording
from fulmen.data.checks.wording import SIMILAR, normalized, similar_texts

WORDS = [
    f"{first}{last}" for first in ("ba", "ko", "lim", "tra", "zu", "sen") for last in ("nu", "rel", "ti", "ox", "ap")
]


def sentences(count: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(12, 40))) for _ in range(count)]


def jaccard(one: str, other: str) -> float:
    a, b = ({text[i : i + 5] for i in range(len(text) - 4)} for text in (one, other))
    return len(a & b) / len(a | b)


def with_changes(texts: list[str], words: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    changed = []
    for text in texts:
        parts = text.split()
        for place in rng.choice(len(parts), words, replace=False):
            parts[place] = "quite"
        changed.append(" ".join(parts))
    return changed


def test_all_similar_pairs_are_found_and_no_others() -> None:
    texts = sentences(150)
    texts += with_changes(texts[:60], 1, 1) + with_changes(texts[:60], 3, 2)
    expected = {(i, j) for j in range(len(texts)) for i in range(j) if jaccard(texts[i], texts[j]) >= SIMILAR}
    found = {(int(i), int(j)) for i, j in similar_texts(texts)}
    assert len(expected) > 30
    assert found <= expected
    assert len(found) >= 0.95 * len(expected)  # each is missed with a probability of at most 0.02


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = sentences(40, seed=3)
    texts += with_changes(texts[:20], 1, 4)
    whole = similar_texts(texts)
    monkeypatch.setattr(wording, "_BLOCK", 300)
    assert np.array_equal(similar_texts(texts), whole)


def test_short_empty_and_foreign_texts() -> None:
    texts = [
        "",
        "a",
        "abcd",
        "abcde",
        "日本語のテキストです",
        "日本語のテキストです。",
        "\U0001f600" * 6,
        "\ud800lone surrogate",
    ]
    assert {(int(i), int(j)) for i, j in similar_texts(texts)} == {(4, 5)}
    assert similar_texts([]).shape == (0, 2)


@pytest.mark.parametrize(
    ("text", "expected"), [("  A  b\tC!! ", "a b c"), ("?!", "?!"), ("", ""), ("Straße_1", "strasse 1")]
)
def test_normalized(text: str, expected: str) -> None:
    assert normalized(text) == expected
