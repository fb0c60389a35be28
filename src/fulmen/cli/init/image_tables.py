"""A table of images' paths and their labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from fulmen.cli.init.columns import Column
from fulmen.cli.init.companions import Tables
from fulmen.cli.init.entries import Entry
from fulmen.cli.init.found import OF_TABLES, Found, name_of, section, shown
from fulmen.cli.init.images import batch_size, image_model, image_size, image_training, look_at, picture_entries
from fulmen.cli.init.options import Options
from fulmen.cli.init.sample import Sample
from fulmen.cli.init.splits import divided
from fulmen.cli.init.table_entries import check_complete, file_entries, reading_entries, target_entries
from fulmen.cli.init.target import Target
from fulmen.cli.init.training import balance
from fulmen.core.errors import DataError

_LOOKED_AT = 64


def path_column(columns: Sequence[Column], options: Options) -> Column | None:
    """The column of paths, if there is one."""
    if options.image is not None:
        return next((c for c in columns if c.name == options.image), None)
    return next((c for c in columns if c.is_path), None)


def table_of_images(
    sample: Sample, paths: Column, target: Target, tables: Tables, options: Options, division: Entry | None
) -> Found:
    """A config for a table of images' paths.

    Raises:
        DataError: If the images are nowhere.
    """
    check_complete(target, tables)
    root = _root(paths, tables.train, options)
    names = paths.examples[:: max(len(paths.examples) // _LOOKED_AT, 1)][:_LOOKED_AT]
    pictures = look_at(root / name.strip() for name in names)
    side = image_size(pictures, options)
    says = [
        f"a table of images: {sample.size}",
        f"  path    {paths.name}, from the folder {shown(root)}; {pictures.says}",
        f"  target  {target.column} ({target.reason}): {target.says}",
        *target.warnings,
        *([f"  {tables.note}"] if tables.note else []),
    ]
    arguments: list[Entry | None] = [
        *file_entries(tables, sample.size, ("table", "val_table", "test_table", "predict_table")),
        *reading_entries(sample),
        Entry("path", paths.name, "column of the paths"),
        Entry("root", shown(root), "folder that the paths start from"),
        *target_entries(target),
        *picture_entries(pictures, side, sample.rows),
        Entry("batch_size", batch_size(sample.rows)),
        *divided(division, sample.rows, tables.splits, "images"),
        balance(target),
    ]
    return Found(
        name_of(tables.train),
        says,
        image_model(sample.rows, side, target, options),
        section("data", "ImageTableData", arguments),
        image_training(sample.rows, target, options),
        "a table of images",
        OF_TABLES | {"image", "root", "weights", "backbone"},
    )


def _root(paths: Column, table: Path, options: Options) -> Path:
    """The folder that the paths start from: the table's, or one in it."""
    if options.root is not None:
        places: Iterable[Path] = [options.root]
    else:
        near = sorted(p for p in table.absolute().parent.iterdir() if p.is_dir() and not p.name.startswith("."))
        places = [table.parent, *(table.parent / p.name for p in near), table.parent / ".."]
    for place in places:
        if sum((place / name.strip()).is_file() for name in paths.examples) > len(paths.examples) / 2:
            return place
    raise DataError(
        f"{table}: column {paths.name!r} holds paths of images, such as {paths.examples[0]!r}, but they are not in "
        f"{', '.join(str(p) for p in places)}; say where with --root FOLDER"
    )
