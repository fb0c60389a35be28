"""A folder, counted: which kinds of files lie where."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fulmen.core.errors import DataError

IMAGES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
_FEW = 200
"""So many files of each kind are remembered by name in a folder; the others are only counted."""
_PAPERS = re.compile(r"^(readme|licen[cs]e|copying|changelog|citation|notice|requirements)\b", re.IGNORECASE)
"""Files that are about the data, and no part of them."""
_LINKS = 2
"""So many levels deep links to folders are followed; deeper ones may lead in a circle."""


@dataclass
class Folder:
    """What lies in a folder. Nothing that begins with a dot counts, no README and the like, no empty folder.

    Attributes:
        path: The folder.
        kinds: How many files lie directly in it, by their ending in lower case.
        first: Names of some of each kind.
        folders: The folders in it, by name.
    """

    path: Path
    kinds: Counter[str] = field(default_factory=Counter)
    first: dict[str, list[str]] = field(default_factory=dict)
    folders: dict[str, Folder] = field(default_factory=dict)

    def count(self, endings: frozenset[str]) -> int:
        """How many files with one of these endings lie in it, at any depth."""
        return sum(self.kinds[e] for e in endings) + sum(f.count(endings) for f in self.folders.values())

    @property
    def total(self) -> Counter[str]:
        """Files by ending, at any depth."""
        return sum((f.total for f in self.folders.values()), Counter(self.kinds))

    def named(self, endings: frozenset[str]) -> list[str]:
        """Names of some of the files with one of these endings that lie directly in it, sorted."""
        return sorted(name for kind in endings for name in self.first.get(kind, ()))

    def files(self, endings: frozenset[str]) -> Iterator[Path]:
        """Some of the files with one of these endings, at any depth."""
        yield from (self.path / name for name in self.named(endings))
        for folder in self.folders.values():
            yield from folder.files(endings)

    @property
    def names(self) -> dict[str, Folder]:
        """The folders in it, by their names in lower case."""
        return {name.lower(): folder for name, folder in self.folders.items()}


def ending(name: str) -> str:
    """The ending of a file's name in lower case, ``.gz`` with what stands before it.

    >>> ending("A.JPG"), ending("a.csv.gz"), ending("README")
    ('.jpg', '.csv.gz', '')
    """
    stem, last = os.path.splitext(name.lower())
    return os.path.splitext(stem)[1] + last if last == ".gz" else last


def walk(path: Path, depth: int = 0) -> Folder:
    """Counts what lies in a folder; a million files take some seconds.

    Args:
        path: The folder.
        depth: How deep it lies below the first one.

    Raises:
        DataError: If a folder may not be read.
    """
    found = Folder(path)
    try:
        with os.scandir(path) as entries:
            folders = sorted(entry.name for entry in entries if _is_folder(entry, found, depth))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    for name in folders:
        inner = walk(path / name, depth + 1)
        if inner.kinds or inner.folders:
            found.folders[name] = inner
    return found


def _is_folder(entry: os.DirEntry[str], found: Folder, depth: int) -> bool:
    """Whether it is a folder to look into; a file is counted."""
    if entry.name.startswith(".") or entry.name == "__MACOSX":
        return False
    if entry.is_dir(follow_symlinks=depth < _LINKS):
        return True
    if entry.is_file() and not _PAPERS.match(entry.name):
        kind = ending(entry.name)
        found.kinds[kind] += 1
        if found.kinds[kind] <= _FEW:
            found.first.setdefault(kind, []).append(entry.name)
    return False
