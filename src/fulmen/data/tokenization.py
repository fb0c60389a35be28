"""Texts as numbers: tokenizers of the library `tokenizers`, trained or read from a file."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fulmen.core.errors import ConfigError, DataError, unknown

if TYPE_CHECKING:
    import pyarrow as pa
    from tokenizers import Tokenizer

    Texts: TypeAlias = Sequence[str] | pa.Array

PAD, UNKNOWN = 0, 1
"""The numbers of padding and of what the vocabulary lacks."""
UnicodeForm = Literal["NFC", "NFD", "NFKC", "NFKD"]
_SPECIAL = ["<pad>", "<unk>"]
_PADDING_NAMES = ("<pad>", "[PAD]", "<|pad|>", "<PAD>")
_WORD = r"\w+(?:['’]\w+)*|[^\w\s]"  # noqa: RUF001 (the apostrophe of typesetters)
"""A run of letters and digits with apostrophes inside, or one other sign."""
_AT_ONCE = 4096
_FEWEST = {"word": 3, "bpe": 258, "wordpiece": 3}
"""Smallest vocabularies: padding, unknown and one more; or one more for each byte."""


class Tokens(NamedTuple):
    """Tokenized texts, one after the other.

    Attributes:
        ids: ``(T,)`` int32: the tokens of all texts.
        offsets: ``(N + 1,)`` int64: text ``i`` is ``ids[offsets[i]:offsets[i + 1]]``, one token at least.
        counts: ``(N,)`` int32: how many tokens each text had before it was cut; 0 for a text without any.
    """

    ids: Tensor
    offsets: Tensor
    counts: Tensor

    @property
    def lengths(self) -> Tensor:
        """``(N,)`` int64: how many tokens each text has."""
        return self.offsets.diff()

    def gather(self, rows: Tensor) -> Tensor:
        """The tokens of some texts, ``(N, L)`` int64, padded with 0 to the longest; all at once.

        Args:
            rows: ``(N,)`` which texts.

        >>> Tokens(torch.tensor([5, 6, 7], dtype=torch.int32), torch.tensor([0, 2, 3]), torch.ones(2)).gather(
        ...     torch.tensor([1, 0]))
        tensor([[7, 0],
                [5, 6]])
        """
        starts, ends = self.offsets[rows, None], self.offsets[rows + 1, None]
        places = starts + torch.arange(int((ends - starts).max()))
        return self.ids[places.clamp_max(len(self.ids) - 1)].masked_fill_(places >= ends, PAD).long()


def train_tokenizer(
    texts: Texts,
    kind: str,
    vocabulary: int,
    min_count: int = 1,
    lowercase: bool = True,
    unicode: UnicodeForm | None = "NFC",
) -> str:
    """Trains a tokenizer; the same texts always give the same one.

    Args:
        texts: What it is trained on.
        kind: ``word`` (words, and one token for each other sign), ``bpe`` (byte-level byte-pair encoding: Radford et
            al. 2019, after Sennrich et al. 2016, https://aclanthology.org/P16-1162/) or ``wordpiece`` (Schuster and
            Nakajima 2012, https://doi.org/10.1109/ICASSP.2012.6289079, as in BERT).
        vocabulary: Most tokens, with 0 for padding and 1 for what is unknown.
        min_count: How often a word, or a pair that is merged, must occur.
        lowercase: Whether capital letters are made small.
        unicode: Normal form that characters are brought to.

    Returns:
        The tokenizer as the JSON of ``tokenizer.json``.

    Raises:
        ConfigError: If an option is out of range.
        DataError: If the texts hold no word.
    """
    from tokenizers import Tokenizer, models, trainers

    if kind not in _FEWEST:
        raise ConfigError(f"tokenizer: {unknown('tokenizer', kind, [*_FEWEST, 'a path such as tokenizer.json'])}")
    for name, value, least in (("vocabulary", vocabulary, _FEWEST[kind]), ("min_count", min_count, 1)):
        if value < least:
            raise ConfigError(f"{name}: {value} is out of range; allowed: at least {least} (tokenizer: {kind})")
    known: dict[str, Any] = {"min_frequency": min_count, "vocab_size": vocabulary, "show_progress": False}
    model: Any
    if kind == "word":
        model = models.WordLevel(unk_token=_SPECIAL[UNKNOWN])
        trainer: Any = trainers.WordLevelTrainer(special_tokens=_SPECIAL, **known)
    elif kind == "bpe":
        from tokenizers.pre_tokenizers import ByteLevel

        model, alphabet = models.BPE(), sorted(ByteLevel.alphabet())
        trainer = trainers.BpeTrainer(special_tokens=_SPECIAL, initial_alphabet=alphabet, **known)
    else:
        model = models.WordPiece(unk_token=_SPECIAL[UNKNOWN])
        inner = [f"##{c}" for c in _inner_characters(texts, lowercase, unicode)]
        # the trainer would number these in an order that changes with each process, and break ties by it
        trainer = trainers.WordPieceTrainer(special_tokens=[*_SPECIAL, *inner], **known)
    tokenizer = Tokenizer(model)
    normalizer = _normalizer(lowercase, unicode)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = _pre_tokenizer(kind)
    with _one_thread():
        tokenizer.train_from_iterator(_parts(texts), trainer)
    if tokenizer.get_vocab_size() < 3 or (
        kind == "bpe" and not any(text.strip() for part in _parts(texts) for text in part)
    ):
        raise DataError(f"the training texts hold no word that occurs {min_count} times; is this the text column?")
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = []  # "<unk>" and "##s" in a text are what they look like
    return json.dumps(state, ensure_ascii=False)


def read_tokenizer(path: Path) -> str:
    """Reads a saved ``tokenizer.json``.

    Raises:
        DataError: If there is no such file, or it is none.
    """
    from tokenizers import Tokenizer

    if not path.is_file():
        raise DataError(f"tokenizer: there is no file {str(path)!r} (from {Path.cwd()})")
    try:
        state: str = Tokenizer.from_file(str(path)).to_str()
    except Exception as error:  # the library raises nothing more special
        raise DataError(f"tokenizer: {path} is no tokenizer.json of the library `tokenizers`: {error}") from error
    return state


class TextEncoder:
    """Makes numbers of texts: 0 is padding, and 1 what is unknown where the tokenizer was trained here.

    A tokenizer from elsewhere keeps its own numbers if its padding is 0; else all are one higher.

    Args:
        state: The JSON of a tokenizer.
        max_tokens: Longer texts are cut.
    """

    def __init__(self, state: str, max_tokens: int) -> None:
        from tokenizers import Tokenizer

        self.tokenizer: Tokenizer = Tokenizer.from_str(state)
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(max_tokens)
        read = json.loads(state)
        names = ((read.get("padding") or {}).get("pad_token"), *_PADDING_NAMES)
        padding = next((i for name in names if name and (i := self.tokenizer.token_to_id(name)) is not None), None)
        self._shift = 0 if padding == PAD else 1
        unknown_one = self.tokenizer.token_to_id(read["model"].get("unk_token") or _SPECIAL[UNKNOWN])
        self._of_empty = PAD - self._shift if unknown_one is None else unknown_one

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        """Token -> its number, in the order of the numbers."""
        found = self.tokenizer.get_vocab(with_added_tokens=True)
        return {token: i + self._shift for token, i in sorted(found.items(), key=lambda item: item[1])}

    @property
    def vocabulary_size(self) -> int:
        """One more than the largest number."""
        return max(self.vocabulary.values()) + 1

    def encode(self, texts: Texts) -> Tokens:
        """Tokenizes texts; one without any token becomes the unknown one."""
        ids: list[NDArray[np.int32]] = []
        lengths: list[int] = []
        counts: list[int] = []
        with _one_thread():
            for part in _parts(texts):
                found = self.tokenizer.encode_batch_fast(part)
                numbers = [one.ids for one in found]
                ids.append(np.fromiter(chain.from_iterable(n or [self._of_empty] for n in numbers), np.int32))
                lengths += [len(n) or 1 for n in numbers]
                counts += [len(one.ids) + sum(len(rest.ids) for rest in one.overflowing) for one in found]
        flat = np.concatenate(ids) if ids else np.empty(0, np.int32)
        flat += self._shift
        offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        return Tokens(torch.from_numpy(flat), torch.from_numpy(offsets), torch.tensor(counts, dtype=torch.int32))

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Texts as ``(N, L)`` int64, padded with 0 to the longest."""
        return self.encode(texts).gather(torch.arange(len(texts)))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keeps the library from starting threads: a process that has them cannot be forked safely, and is told so.

    ``TOKENIZERS_PARALLELISM`` in the environment wins.
    """
    name = "TOKENIZERS_PARALLELISM"
    given = name in os.environ
    os.environ.setdefault(name, "false")
    try:
        yield
    finally:
        if not given:
            del os.environ[name]


def _normalizer(lowercase: bool, unicode: UnicodeForm | None) -> Any:
    from tokenizers import normalizers

    parts = [*([getattr(normalizers, unicode)()] if unicode else []), *([normalizers.Lowercase()] if lowercase else [])]
    return normalizers.Sequence(parts) if parts else None


def _pre_tokenizer(kind: str) -> Any:
    from tokenizers import Regex, pre_tokenizers

    if kind == "bpe":
        return pre_tokenizers.ByteLevel(add_prefix_space=True)
    return pre_tokenizers.Split(Regex(_WORD), "removed", invert=True)


def _parts(texts: Texts) -> Iterator[list[str]]:
    """The texts, some at a time."""
    for start in range(0, len(texts), _AT_ONCE):
        part: Any = texts[start : start + _AT_ONCE]
        yield part.to_pylist() if hasattr(part, "to_pylist") else list(part)


def _inner_characters(texts: Texts, lowercase: bool, unicode: UnicodeForm | None) -> list[str]:
    """Every character that may stand inside of a word: no blank, and no sign but apostrophes and underscores."""
    normalizer = _normalizer(lowercase, unicode)
    found: set[str] = set()
    for part in _parts(texts):
        found.update(*(part if normalizer is None else map(normalizer.normalize_str, part)))
    return sorted(c for c in found if c in "'’_" or unicodedata.category(c)[0] in "LMN")  # noqa: RUF001
