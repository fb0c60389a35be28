"""How the bytes of a text file are read as characters."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import IO

from fulmen.core.errors import DataError

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_CHUNK = 1 << 24
_LINES = 2000
"""So many lines that are not ASCII tell the encoding; more would only take longer."""
_NOT_ASCII = re.compile(rb"[^\r\n]*[\x80-\xff][^\r\n]*")
_NO_WORD = re.compile(
    r"[^\W\d_][\u00a1-\u00bf\u00d7\u00f7\u20ac\u2020-\u203a][^\W\d_]"  # a sign between two letters
    r"|[\u00a4-\u00a6\u00a8\u00ac\u00af\u00b2-\u00b4\u00b6\u00b8\u00b9\u00bc-\u00be][^\W\d_]"  # or before one
    r"|[a-z][\u00c0-\u00de\u0152\u0160\u0178\u017d]"  # a capital letter inside
)
"""What nobody writes in a western language: another encoding's letters, seen through cp1252."""
_WESTERN = 0.4
"""No western language writes more of its letters with accents."""


def open_bytes(path: Path) -> IO[bytes]:
    """Opens a file to read, unpacked where it ends in ``.gz``."""
    if path.suffix.lower() == ".gz":
        import gzip

        return gzip.open(path)  # type: ignore[return-value]
    return path.open("rb")


def open_text(path: Path, encoding: str, errors: str = "strict") -> io.TextIOWrapper:
    """Opens a text file to read, line ends as they are; unpacked where it ends in ``.gz``.

    Raises:
        LookupError: If there is no such encoding.
    """
    codecs.lookup(encoding)  # before a file is open
    return io.TextIOWrapper(open_bytes(path), encoding, errors=errors, newline="")


def find_encoding(path: Path) -> str:
    """The encoding of a text file: by its byte-order mark, else UTF-8, else a guess, which is said once.

    Files that are not UTF-8 are mostly cp1252 (Windows, western languages); where that gives no sensible words,
    `charset-normalizer <https://charset-normalizer.readthedocs.io>`_ guesses.

    Args:
        path: The file; ``.gz`` is unpacked.

    Raises:
        DataError: If some lines are UTF-8 and some are not, or nothing is known that fits.
    """
    status = path.stat()
    return _find(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _find(path: Path, _size: int, _modified: int) -> str:
    """As :func:`find_encoding`; a file that has changed is looked at again."""
    with open_bytes(path) as file:
        start = file.read(4)
    for mark, name in _MARKS:
        if start.startswith(mark):
            return name
    wrong = _not_utf8(path)
    if wrong is None:
        return "utf-8"
    guess = guess_encoding(wrong, str(path))
    from lightning.pytorch.utilities import rank_zero_info

    rank_zero_info(f"{path} is not UTF-8; it is read as {guess} (if letters look wrong, set `encoding`)")
    return guess


def _not_utf8(path: Path) -> list[bytes] | None:
    """Lines that are not ASCII, from the first part of the file that is not UTF-8; ``None`` if all is UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with open_bytes(path) as file:
        for chunk, last in _chunks(file):
            try:
                if not (chunk.isascii() and decoder.getstate() == (b"", 0)):
                    decoder.decode(chunk, final=last)
            except UnicodeDecodeError:
                return [match.group() for match, _ in zip(_NOT_ASCII.finditer(chunk), range(_LINES), strict=False)]
    return None


def _chunks(file: IO[bytes]) -> Iterator[tuple[bytes, bool]]:
    """The file in parts that end at line ends, where there are any; and whether a part is the last."""
    rest = b""
    while block := file.read(_CHUNK):
        whole, newline, rest = (rest + block).rpartition(b"\n")
        yield whole + newline, False
    yield rest, True


def guess_encoding(lines: list[bytes], name: str) -> str:
    """The encoding of lines that are not all UTF-8.

    Args:
        lines: Lines that hold bytes above 127.
        name: What messages call the file.

    Raises:
        DataError: If some lines are UTF-8 and some are not, or nothing is known that fits.

    >>> guess_encoding(["Zürich".encode("latin-1")], "a.csv")
    'cp1252'
    """
    if _is_western(lines):
        good = [line for line in lines if _decodes(line, "utf-8")]
        if good:
            bad = next(line for line in lines if not _decodes(line, "utf-8"))
            raise DataError(
                f"{name} mixes encodings: {_show(good[0], 'utf-8')} is UTF-8, {_show(bad, 'cp1252')} is not; save it "
                "as UTF-8, or set `encoding: cp1252` to read it as it is, with the wrong letters in some lines"
            )
        return "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(b"\n".join(lines)).best()
    if best is None:
        raise DataError(f"{name} is no text in an encoding that is known; save it as UTF-8, or set `encoding`")
    return str(best.encoding)


def _is_western(lines: list[bytes]) -> bool:
    """Whether cp1252 makes words of these lines."""
    if not all(_decodes(line, "cp1252") for line in lines):
        return False
    text = "".join(line.decode("cp1252") for line in lines if not _decodes(line, "utf-8"))
    letters = sum(map(str.isalpha, text))
    accents = sum(c > "\x7f" and c.isalpha() for c in text)
    words = text.replace("\u2019", "'").replace("\u00b7", "")  # it's, and a dot that Catalan has in words
    strange = _NO_WORD.search(words) or "\x00" in text
    return not strange and accents <= max(_WESTERN * letters, 2)


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _show(line: bytes, encoding: str) -> str:
    text = line.decode(encoding)
    place = next((i for i, c in enumerate(text) if c > "\x7f"), 0)
    return repr(text[max(place - 20, 0) : place + 20])
