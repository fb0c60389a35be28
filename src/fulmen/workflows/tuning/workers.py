"""Processes that work on one study: their names, their signs of life, and a lock."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

_SILENT = 120.0
"""Seconds after which a process that says nothing is taken for dead."""
_PULSE = 20.0


def this_worker() -> str:
    """A name for this process that no other has: host, number, and something drawn."""
    return f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex[:6]}"


def has_ended(worker: str, heard: float) -> bool:
    """Whether a process is gone, or has been silent for so long that it must be.

    Args:
        worker: See :func:`this_worker`.
        heard: When it was heard of last, in seconds since the epoch.
    """
    host, pid, _ = worker.rsplit(" ", 2)
    if host == socket.gethostname() and not _runs(int(pid)):
        return True
    return time.time() - heard > _SILENT


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:  # one that was killed keeps its number until its parent looks
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, IndexError):  # no Linux, or it has just gone
        return True


@contextlib.contextmanager
def beating(beat: Callable[[], None]) -> Iterator[None]:
    """Inside, ``beat`` is called every 20 s, in a thread of its own.

    Args:
        beat: Writes a sign of life to the storage of a study.
    """
    from optuna.exceptions import StorageInternalError

    ended = threading.Event()

    def go_on() -> None:
        while not ended.wait(_PULSE):
            with contextlib.suppress(StorageInternalError):  # a storage that is busy: said again in a while
                beat()

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def open_alone(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Inside, no other process makes or fills the study of this folder."""
    from optuna.storages.journal import JournalFileOpenLock

    @contextlib.contextmanager
    def locked() -> Iterator[None]:
        folder.mkdir(parents=True, exist_ok=True)
        lock = JournalFileOpenLock(str(folder / "queue"))
        lock.acquire()
        try:
            yield
        finally:
            lock.release()

    return locked()
