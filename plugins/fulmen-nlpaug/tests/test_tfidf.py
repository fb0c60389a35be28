"""Replacement by TF-IDF, against the formulas written out."""

from __future__ import annotations

import random
from collections import Counter
from math import log, sqrt
from pathlib import Path

import pytest
from nlpaug.model.word_stats import TfIdf

from fulmen.core.errors import ConfigError
from fulmen_nlpaug.tfidf import TfIdfReplace, _Model
from fulmen_nlpaug.tokens import split


def documents(corpus: Path) -> list[list[str]]:
    return [split(line.lower())[1::2] for line in corpus.read_text(encoding="utf-8").splitlines()]


def test_statistics(corpus: Path) -> None:
    texts = documents(corpus)
    frequency = Counter(word for text in texts for word in set(text))
    idf = {word: log(len(texts) / n) for word, n in frequency.items()}
    tfidf: Counter[str] = Counter()
    for text in texts:
        for word in text:
            tfidf[word] += idf[word] / len(text)
    rest = {word: max(tfidf.values()) - value for word, value in tfidf.items()}
    model = TfIdfReplace(corpus).model
    assert model.w2idf == pytest.approx(idf)
    assert model.w2tfidf == pytest.approx({word: value / sum(rest.values()) for word, value in rest.items()})


def test_draws_follow_the_scores_and_never_give_the_word_itself(corpus: Path) -> None:
    model, stream, tries = TfIdfReplace(corpus).model, random.Random(0), 20_000
    for word in ("film", model.tokens[0], model.tokens[-1], "unknown"):
        drawn = Counter(model.draw(word, stream) for _ in range(tries))
        assert word not in drawn
        rest = 1 - model.w2tfidf.get(word, 0.0)
        for other in set(model.tokens) - {word}:
            p = model.w2tfidf[other] / rest
            assert abs(drawn[other] - tries * p) <= 4.5 * sqrt(tries * p * (1 - p)) + 1e-9, other


def test_words_that_tell_little_go_first(corpus: Path) -> None:
    """Of "film" (in 4 of 6 texts), "large" (in 2) and "quiet" (in 1), the rarest stays while the share allows it."""
    augmenter, tries = TfIdfReplace(corpus, p=1 / 3), 3000
    augmenter.set_random_state(None, random.Random(0))
    before, gone = split("Large: film quiet"), Counter[str]()
    for text in augmenter.augment("Large: film quiet", n=tries):
        after = split(text)
        assert after[0::2] == before[0::2]
        gone.update(a for a, b in zip(before[1::2], after[1::2], strict=True) if a != b)
    assert gone["quiet"] == 0
    for word, weight in (("Large", log(2)), ("film", log(4))):  # log(6/1) - log(6/n)
        share = weight / (log(2) + log(4))
        assert abs(gone[word] - tries * share) <= 4.5 * sqrt(tries * share * (1 - share))


def test_all_known_words_at_p_1_and_capitals(corpus: Path) -> None:
    augmenter = TfIdfReplace(corpus, p=1.0)
    for text in augmenter.augment("Film unheard-of GOOD", n=50):
        first, unknown, last = text.split(" ")
        assert first.istitle()
        assert first.lower() != "film"
        assert unknown == "unheard-of"
        assert last.isupper()


def test_a_model_that_nlpaug_fitted(corpus: Path, tmp_path: Path) -> None:
    theirs = TfIdf()
    theirs.train(documents(corpus))
    theirs.save(str(tmp_path))
    augmenter = TfIdfReplace(tmp_path, p=1.0)
    assert augmenter.model.w2idf == pytest.approx(theirs.w2idf)
    assert augmenter.augment("film") != ["film"]


def test_words_of_equal_weight(tmp_path: Path) -> None:
    """nlpaug's own training raises an IndexError here."""
    path = tmp_path / "equal.txt"
    path.write_text("one two\nthree four\n")
    assert set(TfIdfReplace(path, p=1.0).augment("one", n=200)) == {"two", "three", "four"}


def test_a_new_file_under_the_old_name(tmp_path: Path) -> None:
    import os

    path = tmp_path / "texts.txt"
    path.write_text("one two\n")
    assert TfIdfReplace(path).model is TfIdfReplace(path).model
    first = TfIdfReplace(path).model
    path.write_text("one three\n")
    os.utime(path, ns=(1, 1))
    assert "three" in TfIdfReplace(path).model.w2idf
    assert "three" not in first.w2idf


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^corpus: .*absent' does not exist; name a file with one text a line"):
        TfIdfReplace(tmp_path / "absent")
    with pytest.raises(ConfigError, match=r"^corpus: .* holds no model"):
        TfIdfReplace(tmp_path)
    path = tmp_path / "texts.txt"
    path.write_text("one\n3.14\n")
    with pytest.raises(ConfigError, match=r"^corpus: .* has fewer than 2 words; write one text a line"):
        TfIdfReplace(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"^corpus: .* cannot be read"):
        TfIdfReplace(path)


def test_a_vocabulary_with_one_possible_word() -> None:
    model = _Model()
    model.train([["a", "b"], ["a", "c"], ["a"]])
    frozen, stream = model.freeze(), random.Random(0)
    assert all(frozen.draw(word, stream) != word or frozen.w2tfidf[word] == 1 for word in "abc" for _ in range(50))
