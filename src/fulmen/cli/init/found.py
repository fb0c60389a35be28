"""What `lightning init` finds: words for people, and a config."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fulmen.cli.init.entries import Entry

_GENERIC = frozenset({"train", "training", "data", "dataset", "images", "labels", "table", ""})


OF_TABLES = frozenset({"target", "target_type", "val", "test", "predict", "header", "separator", "encoding"})
"""Options that say something about any table."""


@dataclass(frozen=True)
class Found:
    """What lies at a path.

    Attributes:
        name: What the config is called, where nothing is said.
        says: What it is believed to be, and why, in a few lines.
        model: The model's class and arguments.
        data: The datamodule's class and arguments.
        training: Further keys of the config.
        kind: What it is, in one word or two.
        takes: Names of the options of `lightning init` that say something about such data.
    """

    name: str
    says: Sequence[str]
    model: Entry
    data: Entry
    training: Sequence[Entry]
    kind: str
    takes: frozenset[str]


def section(key: str, class_path: str, arguments: Sequence[Entry | None], comment: str = "") -> Entry:
    """A class with its arguments, as configs write it."""
    given = [entry for entry in arguments if entry is not None]
    return Entry(key, [Entry("class_path", class_path, comment), Entry("init_args", given)])


def shown(path: Path) -> str:
    """A path as the config writes it: from the current folder where it lies below it, else in full."""
    full = Path(os.path.abspath(path))
    try:
        return full.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(full)


def name_of(path: Path) -> str:
    """A short name for what lies at a path.

    >>> name_of(Path("/data/titanic/train.csv")), name_of(Path("/data/My photos!")), name_of(Path("/data/a.csv.gz"))
    ('titanic', 'My_photos', 'a')
    """
    path = Path(os.path.abspath(path))
    parts = [path.name.partition(".")[0] if path.suffix else path.name, *(p.name for p in path.parents)]
    for part in parts:
        name = re.sub(r"\W+", "_", re.sub(r"[_\W]*(train|training)$", "", part, flags=re.IGNORECASE)).strip("_")
        if name.lower() not in _GENERIC:
            return name
    return "config"
