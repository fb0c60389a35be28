"""What may be said to `lightning init`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from fulmen.cli.init.found import Found
from fulmen.core.errors import ConfigError

TargetType = Literal["multiclass", "binary", "multilabel", "regression"]


@dataclass(frozen=True)
class Options:
    """A command line.

    Attributes:
        path: The folder or file to look at.
        out: File of the config; ``None``: named after the data.
        target: Column that is to be predicted.
        text: Columns of the texts.
        image: Column of the images' paths.
        root: Folder that these paths start from.
        target_type: What the target is.
        val: Table of the validation split.
        test: Table of the test split.
        predict: Table or folder without targets, to predict.
        header: Whether the first line of a table holds the names of its columns.
        separator: What stands between two cells.
        encoding: Encoding of a table.
        weights: Local weights of a pretrained backbone.
        backbone: Its name in timm.
    """

    path: Path
    out: Path | None = None
    target: str | None = None
    text: tuple[str, ...] = ()
    image: str | None = None
    root: Path | None = None
    target_type: TargetType | None = None
    val: Path | None = None
    test: Path | None = None
    predict: Path | None = None
    header: bool | None = None
    separator: str | None = None
    encoding: str | None = None
    weights: Path | None = None
    backbone: str | None = None


def parse(command: str, arguments: list[str]) -> Options:
    """Reads a command line.

    Args:
        command: ``init``.
        arguments: What follows it.

    Raises:
        ConfigError: If a file that is named does not exist.
    """
    parser = argparse.ArgumentParser(
        prog=f"lightning {command}",
        usage=f"lightning {command} PATH [--target COLUMN] [options]",
        description="Looks at a folder or a file, says what it holds, and writes a config that trains on it: images in "
        "class folders or listed in a table, texts in a table or in class folders, tables. A file that exists is never "
        "overwritten.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("path", type=Path, metavar="PATH", help="folder, or file (.csv, .tsv, .txt, .parquet, .jsonl)")
    add("--out", type=Path, metavar="FILE", help="the config (named after the data)")
    add("--target", metavar="COLUMN", help="column that is to be predicted")
    add("--text", metavar="COLUMN", nargs="+", default=(), help="column of the texts, or several")
    add("--path", dest="image", metavar="COLUMN", help="column of the images' paths")
    add("--root", type=Path, metavar="FOLDER", help="folder that these paths start from")
    types = ("multiclass", "binary", "multilabel", "regression")
    add("--target_type", choices=types, help="what the target is, where the values do not show it")
    add("--val", type=Path, metavar="FILE", help="table for validation")
    add("--test", type=Path, metavar="FILE", help="table for the test")
    add("--predict", type=Path, metavar="PATH", help="samples without a target, to predict")
    add("--header", action=argparse.BooleanOptionalAction, help="whether the first line names the columns")
    add("--separator", metavar="CHARACTER", help="what stands between two cells, such as ';'")
    add("--encoding", help="encoding of the table, such as latin-1")
    add("--weights", type=Path, metavar="FILE", help="pretrained weights of an image backbone")
    add("--backbone", metavar="NAME", help="name of the backbone in timm (mobilenetv2_100)")
    given = vars(parser.parse_args(arguments))
    given["text"] = tuple(given["text"])
    given["separator"] = "\t" if given["separator"] in ("\\t", "tab") else given["separator"]
    for name in ("val", "test", "predict", "weights", "root"):
        if given[name] is not None and not given[name].exists():
            raise ConfigError(f"{name}: there is no file or folder {str(given[name])!r} (from {Path.cwd()})")
    return Options(**given)


def check_used(options: Options, found: Found) -> None:
    """Raises :class:`ConfigError` for an option that says nothing about what was found."""
    for field in fields(options):
        if field.name in ("path", "out") or field.name in found.takes or getattr(options, field.name) in (None, ()):
            continue
        name = {"image": "path"}.get(field.name, field.name)
        raise ConfigError(
            f"{name}: {options.path} is taken for {found.kind}, for which --{name} means nothing; leave it out"
        )
