"""Keys that datamodules of tables have in common."""

from __future__ import annotations

import yaml

from fulmen.cli.init.companions import Tables
from fulmen.cli.init.entries import Entry
from fulmen.cli.init.found import shown
from fulmen.cli.init.sample import Sample
from fulmen.cli.init.target import Target
from fulmen.core.errors import DataError


def file_entries(
    tables: Tables, size: str, keys: tuple[str, str, str, str] = ("train", "val", "test", "predict")
) -> list[Entry]:
    """The files.

    Args:
        tables: The files.
        size: How many rows the first has, in words.
        keys: What the datamodule calls them.
    """
    comments = (size, "", "", "no targets: for `lightning predict`")
    paths = (tables.train, tables.val, tables.test, tables.predict)
    return [
        Entry(key, shown(path), comment)
        for key, path, comment in zip(keys, paths, comments, strict=True)
        if path is not None
    ]


def reading_entries(sample: Sample) -> list[Entry]:
    """What the files are like, where they are not as usual."""
    return [Entry(key, value, sample.reasons[key]) for key, value in sample.reading.items()]


def target_entries(target: Target, several: bool = False) -> list[Entry]:
    """What is to be predicted.

    Args:
        target: What is to be predicted.
        several: Whether the datamodule takes several columns as well.
    """
    name = column_value(target.column) if several else target.column
    found = [Entry("target", name, f"{target.says}; {target.reason}")]
    if target.declared:
        comment = "a number, not classes" if target.type == "regression" else "classes, not numbers"
        found.append(Entry("target_type", target.type, comment))
    if target.separator is not None:
        found.append(Entry("label_separator", target.separator, "what stands between several labels of a row"))
    return found


def column_value(name: str) -> str | list[str]:
    """A column's name as a key takes it that also takes a list; the parser would read ``[a]`` or ``- a`` as one.

    >>> column_value("price"), column_value("[b]")
    ('price', ['[b]'])
    """
    try:
        read = yaml.safe_load(name)
    except yaml.YAMLError:
        return name
    return [name] if isinstance(read, list) else name


def check_complete(target: Target, tables: Tables) -> None:
    """Raises :class:`DataError` if rows have no target."""
    if target.missing and target.type != "multilabel":
        raise DataError(
            f"{tables.train}: {target.missing:,} rows have nothing in the column {target.column!r}, which is to be "
            "predicted; fill it in, or move these rows to another file and give that as --predict"
        )
