"""Pretrained word vectors, from text files of GloVe and word2vec."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from fulmen.core.errors import DataError


def vector_features(path: Path) -> int:
    """How many numbers a word has in a file of word vectors.

    Args:
        path: See :func:`read_vectors`.

    Raises:
        DataError: If there is no such file, or it is none.
    """
    if not path.is_file():
        raise DataError(f"vectors: there is no file {str(path)!r} (from {Path.cwd()})")
    with _open(path) as file:
        first, second = file.readline().split(), file.readline().split()
    if _is_header(first):
        return int(first[1])
    if len(first) < 2 or (second and len(second) < len(first)) or not _are_numbers(first[1:]):
        raise DataError(
            f"vectors: {path} has no line like `word 0.1 -0.2 ...`; allowed: the text formats of GloVe and word2vec "
            "(also .gz), not the binary one"
        )
    return len(first) - 1


def read_vectors(path: Path, vocabulary: Mapping[str, int]) -> dict[int, Tensor]:
    """The vectors of the words of a vocabulary; the others are not kept.

    Args:
        path: A text file with ``word number number ...`` a line (GloVe), with a first line ``words numbers``
            (word2vec) or without; also ``.gz``.
        vocabulary: Word -> its number.

    Returns:
        Number of a word -> its vector; where a word stands twice, the first one.

    Raises:
        DataError: If a line has another number of numbers than the first one.
    """
    features = vector_features(path)
    wanted = {word.encode(): number for word, number in vocabulary.items()}
    found: dict[int, Tensor] = {}
    with _open(path) as file:
        for line, (word, rest) in enumerate(_lines(file), 1):
            number = wanted.get(word)
            if number is None or number in found:
                continue
            values = rest.split()
            if len(values) == features:
                found[number] = torch.from_numpy(np.array(values, np.float32))
            elif len(values) < features:  # more: a word with blanks in it, as GloVe has some
                raise DataError(
                    f"vectors: {path}, line {line}: {len(values)} numbers, where {features} are expected; the file may "
                    "be cut off"
                )
    return found


def _lines(file: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    for line in file:
        word, _, rest = line.partition(b" ")
        yield word, rest


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def _is_header(parts: list[bytes]) -> bool:
    return len(parts) == 2 and all(part.isdigit() for part in parts)


def _are_numbers(parts: list[bytes]) -> bool:
    try:
        np.array(parts, np.float32)
    except ValueError:
        return False
    return True
