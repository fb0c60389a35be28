"""Where Fulmen keeps what it can make again."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def folder() -> Path:
    """The folder for caches: ``FULMEN_CACHE``, else ``fulmen`` in the platform's cache folder of this user.

    On Linux that is ``$XDG_CACHE_HOME`` or ``~/.cache``, on macOS ``~/Library/Caches``, on Windows
    ``%LOCALAPPDATA%``. It need not exist; everything in it may be deleted at any time when nothing runs.

    >>> import os
    >>> from unittest import mock
    >>> with mock.patch.dict(os.environ, {"FULMEN_CACHE": "caches"}):
    ...     folder().as_posix()
    'caches'
    """
    chosen = os.environ.get("FULMEN_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return _platform_folder() / "fulmen"


def _platform_folder() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
