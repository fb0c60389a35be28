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
"""So many files of a folder are remembered by name; of the others only the kind is counted."""
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
        first: Names of the first of them.
        folders: The folders in it, by name.
    """

    path: Path
    kinds: Counter[str] = field(default_factory=Counter)
    first: list[str] = field(default_factory=list)
    folders: dict[str, Folder] = field(default_factory=dict)

    def count(self, endings: frozenset[str]) -> int:
        """How many files with one of these endings lie in it, at any depth."""
        return sum(self.kinds[e] for e in endings) + sum(f.count(endings) for f in self.folders.values())

    @property
    def total(self) -> Counter[str]:
        """Files by ending, at any depth."""
        return sum((f.total for f in self.folders.values()), Counter(self.kinds))

    def files(self, endings: frozenset[str]) -> Iterator[Path]:
        """Some of the files with one of these endings, at any depth."""
        yield from (self.path / name for name in self.first if ending(name) in endings)
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
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    for entry in entries:
        if entry.name.startswith(".") or entry.name == "__MACOSX":
            continue
        if entry.is_dir(follow_symlinks=depth < _LINKS):
            inner = walk(path / entry.name, depth + 1)
            if inner.kinds or inner.folders:
                found.folders[entry.name] = inner
        elif entry.is_file() and not _PAPERS.match(entry.name):
            found.kinds[ending(entry.name)] += 1
            if len(found.first) < _FEW:
                found.first.append(entry.name)
    return found
