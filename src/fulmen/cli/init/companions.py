"""Files that lie side by side: one to train, one to validate, one to test."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fulmen.cli.init.folders import Folder
from fulmen.cli.init.options import Options

_ROLES = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val", "eval": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_SUBMISSION = re.compile(r"submission", re.IGNORECASE)
"""A competition's example of an answer."""


@dataclass(frozen=True)
class Tables:
    """Tables of one data set.

    Attributes:
        train: The table to train on.
        val: The table to validate on.
        test: The table to test on.
        predict: A table without targets.
        note: How they were found; empty where there is one alone.
    """

    train: Path
    val: Path | None = None
    test: Path | None = None
    predict: Path | None = None
    note: str = ""

    @property
    def splits(self) -> frozenset[str]:
        """Which splits have a file, beside the training split."""
        return frozenset(name for name, path in (("val", self.val), ("test", self.test)) if path is not None)


def role(name: str) -> tuple[str, str]:
    """What a file's name says it is for, and the rest of the name.

    >>> role("adult_train.csv"), role("dev.tsv"), role("TestSet.csv"), role("trainers.csv")
    (('train', 'adult_.csv'), ('val', '.tsv'), ('test', 'Set.csv'), ('', 'trainers.csv'))
    """
    for found in re.finditer(r"[A-Z]?[a-z]+|[A-Z]+", name):
        if found.group().lower() in _ROLES:
            return _ROLES[found.group().lower()], name[: found.start()] + name[found.end() :]
    return "", name


def tables_in(folder: Folder, endings: frozenset[str]) -> list[Path]:
    """The files in a folder that may be tables of data."""
    return [folder.path / name for name in folder.named(endings) if not _SUBMISSION.search(name)]


def companions_of(path: Path, options: Options) -> Tables:
    """What lies beside a training table."""
    kind, rest = role(path.name)
    near = path.parent.iterdir() if kind == "train" and path.parent.is_dir() else ()
    found = {role(p.name)[0]: p for p in sorted(near) if role(p.name)[1] == rest and p.is_file()}
    return _tables(path, found, options)


def group(paths: Iterable[Path], options: Options) -> list[Tables]:
    """Tables that belong together, by their names.

    Args:
        paths: Tables in one folder.
        options: What was said.
    """
    groups: dict[str, dict[str, Path]] = defaultdict(dict)
    for path in paths:
        kind, rest = role(path.name)
        groups[rest if kind else path.name][kind or "train"] = path
    with_train = [g for g in groups.values() if "train" in g]
    named = [g for g in with_train if role(g["train"].name)[0]]
    return [_tables(g["train"], g, options) for g in named or with_train]


def _tables(train: Path, found: dict[str, Path], options: Options) -> Tables:
    given = {"val": options.val, "test": options.test, "predict": options.predict}
    beside = {name: found[name] for name in ("val", "test") if name in found and found[name] != train}
    used = [f"{path.name} ({name})" for name, path in beside.items() if given[name] is None]
    note = f"beside {train.name}: {', '.join(used)}, by their names" if used else ""
    return Tables(train, given["val"] or beside.get("val"), given["test"] or beside.get("test"), given["predict"], note)
