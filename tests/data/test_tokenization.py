"""Tokenizers: what they learn, what they give, and that it is always the same."""

from __future__ import annotations

import os
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers.decoders import ByteLevel

from fulmen.core.errors import ConfigError, DataError
from fulmen.data.tokenization import TextEncoder, read_tokenizer, train_tokenizer

TEXTS = [
    "The film is good, the cast is great.",
    "It's a dull film; the cast isn't.",
    "Good, good, GOOD!",
    "naïve café über",
    "the unbelievable is believable",
]
KINDS = ["word", "bpe", "wordpiece"]


def encoder(kind: str = "word", vocabulary: int = 400, max_tokens: int = 50, **options: Any) -> TextEncoder:
    return TextEncoder(train_tokenizer(TEXTS, kind, vocabulary, **options), max_tokens)


def words(one: TextEncoder, text: str) -> list[str]:
    names = {number: token for token, number in one.vocabulary.items()}
    return [names[number] for number in one([text])[0].tolist()]


@pytest.mark.parametrize("kind", KINDS)
def test_0_is_padding_and_1_is_unknown(kind: str) -> None:
    one = encoder(kind)
    assert list(one.vocabulary.items())[:2] == [("<pad>", 0), ("<unk>", 1)]
    assert sorted(one.vocabulary.values()) == list(range(one.vocabulary_size))
    found = one(["good film", "", "good"])
    assert found.dtype == torch.int64
    assert found[1].tolist() == [1] + [0] * (found.shape[1] - 1)  # an empty text is one unknown token
    assert int((found[2] != 0).sum()) < int((found[0] != 0).sum())


def test_words_are_what_they_look_like() -> None:
    assert words(encoder(), "It's THE film; naïve café? xyzzy") == [
        "it's", "the", "film", ";", "naïve", "café", "<unk>", "<unk>",
    ]  # fmt: skip


def test_the_most_frequent_words_have_the_first_numbers() -> None:
    """Equally frequent ones in the order of the alphabet."""
    text = """the film is good , the cast is great . it's a dull film ; the cast isn't . good , good , good !
    naïve café über the unbelievable is believable"""
    counts = Counter(text.split())
    expected = sorted(counts, key=lambda word: (-counts[word], word))
    assert list(encoder().vocabulary)[2:] == expected
    assert list(encoder(vocabulary=7).vocabulary)[2:] == expected[:5]
    assert list(encoder(min_count=3).vocabulary)[2:] == [word for word in expected if counts[word] >= 3]


def test_pieces_make_up_words() -> None:
    pieces = words(encoder("wordpiece"), "unbelievable")
    assert "".join(piece.removeprefix("##") for piece in pieces) == "unbelievable"
    assert words(encoder("wordpiece"), "xyzzy") == ["<unk>"]
    one = encoder("bpe")
    assert ByteLevel().decode(words(one, "unheard of: 漢字 🙂")).strip() == "unheard of: 漢字 🙂"


@pytest.mark.parametrize("kind", KINDS)
def test_special_names_in_texts_are_text(kind: str) -> None:
    assert 0 not in encoder(kind)(["<pad> <unk> ##e"])[0].tolist()


def test_capital_letters_and_normal_forms() -> None:
    decomposed = "cafe\u0301"
    assert words(encoder(), f"GOOD {decomposed}") == ["good", "café"]
    kept = encoder(lowercase=False, unicode=None)
    assert {"GOOD", "Good", "good"} <= set(kept.vocabulary)
    assert words(kept, decomposed) == ["<unk>"]
    assert words(encoder(unicode="NFKC"), "ｇｏｏｄ") == ["good"]  # noqa: RUF001 (wide letters)


def test_long_texts_are_cut_and_counted() -> None:
    tokens = encoder(max_tokens=3).encode(["good film", "the the the the the the the", "", " "])
    assert tokens.lengths.tolist() == [2, 3, 1, 1]
    assert tokens.counts.tolist() == [2, 7, 0, 0]
    assert tokens.ids.dtype == torch.int32


@settings(deadline=None, max_examples=50)
@given(texts=st.lists(st.text("the film good xyz,.", max_size=30), min_size=1, max_size=8), kind=st.sampled_from(KINDS))
def test_batches_are_the_texts_one_by_one(texts: list[str], kind: str) -> None:
    one = ENCODERS[kind]
    together, tokens = one(texts), one.encode(texts)
    assert together.shape == (len(texts), int(tokens.lengths.max()))
    for row, text in zip(together, texts, strict=True):
        alone = [*one.tokenizer.encode(text).ids] or [1]
        assert row.tolist() == alone + [0] * (len(row) - len(alone))
    rows = torch.arange(len(texts)).flip(0)
    assert torch.equal(tokens.gather(rows), together.flip(0))
    assert torch.equal(one.encode(pa.array(texts)).ids, tokens.ids)


ENCODERS = {kind: encoder(kind, max_tokens=12) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_texts_teach_the_same(kind: str) -> None:
    """The library breaks ties of WordPiece in an order that changes with each training, unless it is told one."""
    ends = [(i, j) for i in range(40) for j in range(9)]
    texts = ["".join(chr(97 + (i * j * j + k) % 26) for k in range(2 + (i + j) % 7)) + " tie" for i, j in ends]
    assert len({train_tokenizer(texts, kind, 300) for _ in range(5)}) == 1


def test_it_can_be_pickled() -> None:
    one = encoder()
    twin = pickle.loads(pickle.dumps(one))
    assert torch.equal(twin(TEXTS), one(TEXTS))


def test_nothing_stays_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    encoder()(TEXTS)
    assert "TOKENIZERS_PARALLELISM" not in os.environ
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    encoder()(TEXTS[:1])
    assert os.environ["TOKENIZERS_PARALLELISM"] == "true"


# Saved tokenizers


def save(path: Path, special: list[str], unknown: str | None) -> Path:
    """A tokenizer as another library would save it."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordLevel(unk_token=unknown) if unknown else models.WordLevel())
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(["one two three one"], trainers.WordLevelTrainer(special_tokens=special))
    tokenizer.save(str(path))
    return path


def test_a_saved_tokenizer_keeps_its_numbers_where_0_is_padding(tmp_path: Path) -> None:
    one = TextEncoder(read_tokenizer(save(tmp_path / "t.json", ["[PAD]", "[CLS]", "[UNK]"], "[UNK]")), 9)
    assert one(["one three xyzzy", ""]).tolist() == [[3, 4, 2], [2, 0, 0]]
    assert one.vocabulary_size == 6


def test_other_saved_tokenizers_leave_0_to_padding(tmp_path: Path) -> None:
    one = TextEncoder(read_tokenizer(save(tmp_path / "t.json", ["[UNK]"], "[UNK]")), 9)
    assert one.vocabulary == {"[UNK]": 1, "one": 2, "three": 3, "two": 4}
    assert one(["two xyzzy", "", "one one one"]).tolist() == [[4, 1, 0], [1, 0, 0], [2, 2, 2]]
    assert one.vocabulary_size == 5
    without = TextEncoder(read_tokenizer(save(tmp_path / "u.json", [], None)), 9)
    assert without(["two", ""]).tolist() == [[3], [0]]


def test_padding_and_length_of_the_file_do_not_count(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    path = save(tmp_path / "t.json", ["[PAD]", "[UNK]"], "[UNK]")
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.enable_padding(length=20)
    tokenizer.enable_truncation(1)
    tokenizer.save(str(path))
    assert TextEncoder(read_tokenizer(path), 2)(["one two three", "two"]).tolist() == [[2, 4], [4, 0]]


@pytest.mark.parametrize(
    ("kind", "options", "error", "message"),
    [
        ("words", {}, ConfigError, "unknown tokenizer 'words'; did you mean 'word'?"),
        ("word", {"vocabulary": 2}, ConfigError, "vocabulary: 2 is out of range; allowed: at least 3"),
        ("bpe", {"vocabulary": 100}, ConfigError, "vocabulary: 100 is out of range; allowed: at least 258"),
        ("word", {"min_count": 0}, ConfigError, "min_count: 0 is out of range; allowed: at least 1"),
        ("word", {"min_count": 99}, DataError, "no word that occurs 99 times; is this the text column?"),
    ],
)
def test_mistakes(kind: str, options: dict[str, int], error: Any, message: str) -> None:
    with pytest.raises(error, match=message.replace("?", r"\?")):
        train_tokenizer(TEXTS, kind, **{"vocabulary": 400, **options})


@pytest.mark.parametrize("kind", KINDS)
def test_empty_texts_teach_nothing(kind: str) -> None:
    with pytest.raises(DataError, match="the training texts hold no word"):
        train_tokenizer(["", " "], kind, 400)


def test_files_that_are_no_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="tokenizer: there is no file"):
        read_tokenizer(tmp_path / "absent.json")
    (tmp_path / "a.json").write_text('{"a": 1}')
    with pytest.raises(DataError, match=r"a.json is no tokenizer.json of the library `tokenizers`"):
        read_tokenizer(tmp_path / "a.json")
