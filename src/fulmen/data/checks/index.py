"""What was seen of image files is kept, so that a file is read again only when it has changed."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from lightning.pytorch.utilities import rank_zero_info

from fulmen.data import cache
from fulmen.data.checks.pictures import Picture, Seen, look_at

VERSION = 1
"""Another number for another way of looking: what older ones kept is not read."""
_RACY = 2 * 10**9
"""A file may change again within one tick of its clock; so what was just written is read once more (git does so)."""
_CHUNK = 2048
_TABLES = """
CREATE TABLE IF NOT EXISTS files (folder TEXT, name TEXT, size INTEGER, mtime INTEGER, inode INTEGER, digest BLOB,
    PRIMARY KEY (folder, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pictures (digest BLOB PRIMARY KEY, error TEXT, width INTEGER, height INTEGER,
    thumbnail BLOB);
"""
_MANY = 2000
_Stat = tuple[int, int, int]
"""Size, time of change and inode of a file; zeros where there is none."""


def look_once(paths: Iterable[str | Path], file: Path | None = None) -> list[Seen]:
    """Looks at image files; only at those that have changed since the last time.

    A file is known by its path, size, time of change and inode, as in git's index, and else by its contents: a
    copied or touched file is read, but not decoded again. A cache that is broken is made anew; where there can be
    none, all files are looked at.

    Args:
        paths: The files.
        file: The cache; ``None``: in Fulmen's folder for caches.
    """
    file = file or cache.folder() / "checks" / f"pictures-{VERSION}.sqlite"
    folders: dict[str, str] = {}
    places = [(folders.setdefault(folder, folder), name) for folder, name in map(_place, paths)]
    for attempt in (1, 2):
        try:
            with _opened(file) as index:
                return _through(index, places)
        except (OSError, sqlite3.OperationalError):  # a folder that cannot be written, a full disk
            break
        except sqlite3.DatabaseError:
            if attempt == 1:
                file.unlink(missing_ok=True)
    return look_at([os.sep.join(place) for place in places])


def _place(path: str | Path) -> tuple[str, str]:
    """Folder and name of a file."""
    path = os.fspath(path)
    folder, _, name = (path if os.path.isabs(path) else os.path.abspath(path)).rpartition(os.sep)
    return folder, name


@contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection]:
    file.parent.mkdir(parents=True, exist_ok=True)
    index = sqlite3.connect(file, timeout=60, check_same_thread=False)  # threads take turns, see `_by_digest`
    try:
        index.execute("PRAGMA synchronous = OFF")  # a cache that a power cut breaks is made anew
        index.executescript(_TABLES)
        yield index
    finally:
        index.close()


def _through(index: sqlite3.Connection, places: list[tuple[str, str]]) -> list[Seen]:
    """What was seen of each file, from the cache where it is still so."""
    rows = {place: row for row, place in enumerate(places)}  # a file that is listed twice is looked at once
    stats = {row: _stat(os.sep.join(place)) for place, row in rows.items()}
    seen: dict[int, Seen] = {}
    for *place, size, mtime, inode, digest, error, width, height, thumbnail in _kept(index, {p[0] for p in places}):
        row = rows.get(tuple(place), -1)
        if stats.get(row) == (size, mtime, inode):
            seen[row] = digest, Picture(error, width, height, thumbnail)
    absent = [row for row in stats if row not in seen]
    if len(absent) >= _MANY:
        rank_zero_info(f"Looking at {len(absent):,} images; later runs look only at those that have changed")
    for start in range(0, len(absent), _CHUNK):  # kept chunk by chunk: who stops it half-way loses little
        some, now = absent[start : start + _CHUNK], time.time_ns()
        looked = look_at([os.sep.join(places[row]) for row in some], _by_digest(index))
        seen.update(zip(some, looked, strict=True))
        _keep(index, [(*places[row], *stats[row]) for row in some], looked, now)
    return [seen[rows[place]] for place in places]


def _stat(path: str) -> _Stat:
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0, 0
    return found.st_size, found.st_mtime_ns, found.st_ino


def _kept(index: sqlite3.Connection, folders: Iterable[str]) -> Iterator[tuple[Any, ...]]:
    columns = "folder, name, size, mtime, inode, digest, error, width, height, thumbnail"
    for folder in sorted(folders):
        yield from index.execute(f"SELECT {columns} FROM files JOIN pictures USING (digest) WHERE folder = ?", [folder])


def _by_digest(index: sqlite3.Connection) -> Callable[[bytes], Picture | None]:
    lock = Lock()

    def find(digest: bytes) -> Picture | None:
        with lock:
            query = index.execute("SELECT error, width, height, thumbnail FROM pictures WHERE digest = ?", [digest])
            row = query.fetchone()
        return None if row is None else Picture(*row)

    return find


def _keep(index: sqlite3.Connection, files: list[tuple[str, str, int, int, int]], seen: list[Seen], now: int) -> None:
    good = [(file, *pair) for file, pair in zip(files, seen, strict=True) if pair[0]]
    with index:
        index.executemany(
            "INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?, ?)",
            [(digest, p.error, p.width, p.height, p.thumbnail) for _, digest, p in good],
        )
        index.executemany(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)",
            [(*file, digest) for file, digest, _ in good if now - file[3] > _RACY],
        )
