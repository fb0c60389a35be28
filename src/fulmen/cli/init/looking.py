"""What lies at a path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fulmen.cli.init.columns import Column, describe
from fulmen.cli.init.companions import Tables, companions_of, group, tables_in
from fulmen.cli.init.folders import IMAGES, Folder, ending, walk
from fulmen.cli.init.found import Found, shown
from fulmen.cli.init.image_tables import path_column, table_of_images
from fulmen.cli.init.images import find_image_classes
from fulmen.cli.init.options import Options
from fulmen.cli.init.other_tasks import refuse, refuse_boxes
from fulmen.cli.init.question import choose
from fulmen.cli.init.sample import TABLES, Sample, read_sample
from fulmen.cli.init.splits import split_column, split_hint
from fulmen.cli.init.tabular import table_of_columns
from fulmen.cli.init.target import Target, find_target
from fulmen.cli.init.texts import find_text_classes, text_columns, texts_of_table
from fulmen.core.errors import ConfigError, DataError, nearest, unknown

_ARCHIVES = frozenset({".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz"})
_SHEETS = frozenset({".xlsx", ".xls", ".ods"})
_MANY = 50
"""More tables than these in one folder are no splits of one."""
_LAYOUTS = """What works:
  FOLDER/cat/1.jpg, FOLDER/dog/2.jpg            images (or .txt files) in one folder a class
  FOLDER/train/cat/1.jpg, FOLDER/val/cat/2.jpg  the same with folders for the splits
  a table (.csv, .tsv, .parquet, .jsonl) of numbers, of texts, or of images' paths, with a column of labels"""
_ARRAYS = frozenset({".npy", ".npz", ".pt", ".pth", ".h5", ".hdf5", ".mat", ".pkl", ".pickle"})


def look(options: Options) -> Found:
    """Finds out what lies at a path.

    Raises:
        ConfigError: If there is nothing, or something has to be said.
        DataError: If it cannot be trained on.
    """
    path = options.path
    if path.is_dir():
        return _look_at_folder(walk(path), options)
    if not path.is_file():
        there = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        close = nearest(path.name, there)
        hint = f"; did you mean {str(path.parent / close)!r}?" if close else ""
        raise ConfigError(f"there is no file or folder {str(path)!r} (from {Path.cwd()}){hint}")
    _check_kind(path)
    try:
        return _look_at_table(companions_of(path, options), options)
    except OSError as error:
        raise DataError(f"{error.filename or path} cannot be read: {error.strerror}") from error


def _check_kind(path: Path) -> None:
    kind = ending(path.name)
    if kind in TABLES or not kind:
        return
    if kind in IMAGES:
        raise DataError(f"{path} is one image; give the folder of its class folders, or a table of paths and labels")
    if kind in _ARCHIVES:
        raise DataError(f"{path} is an archive; unpack it first, then give the folder")
    if kind in _SHEETS:
        raise DataError(f"{path} is a spreadsheet; save it as CSV first")
    if kind in _ARRAYS:
        raise DataError(f"{path} holds arrays; from Python, fulmen.ArrayData(inputs, targets) trains on them")
    raise DataError(
        f"{path}: the ending {kind!r} is not known; known are {', '.join(sorted(TABLES))}. A text table of another "
        "ending: copy it to a name that ends in .csv or .txt"
    )


def _look_at_folder(folder: Folder, options: Options) -> Found:
    total = folder.total
    if not total:
        raise DataError(f"{folder.path} is empty: it holds no file")
    refuse(folder)
    tables = tables_in(folder, TABLES) or tables_in(folder, frozenset({""}))
    tables = tables if len(tables) <= _MANY else []
    if not (tables and (options.target or options.text or options.image)):  # these are said of a table
        found = find_image_classes(folder, options) or find_text_classes(folder, options)
        if found is not None:
            return found
    if tables:
        return _look_at_table(_chosen(group(tables, options)), options)
    if len(folder.folders) == 1:
        return _look_at_folder(next(iter(folder.folders.values())), options)
    raise DataError(f"{_why_not(folder)}\n{_LAYOUTS}")


def _chosen(groups: Sequence[Tables]) -> Tables:
    if len(groups) == 1:
        return groups[0]
    names = {shown(g.train): g for g in groups}
    return names[choose("Which table is it?", list(names), "one of them as PATH")]


def _why_not(folder: Folder) -> str:
    """What is in a folder that cannot be trained on."""
    images, texts = folder.count(IMAGES), folder.count(frozenset({".txt"}))
    kinds = ", ".join(f"{count:,} {kind or 'without ending'}" for kind, count in folder.total.most_common(5))
    if not images and not texts:
        return f"{folder.path} holds no images, texts or tables that are known (files: {kinds})"
    what, endings = ("images", IMAGES) if images else ("texts", frozenset({".txt"}))
    direct = sum(folder.kinds[kind] for kind in endings)
    empty = [name for name, inner in folder.folders.items() if not inner.count(endings)]
    full = [name for name in folder.folders if name not in empty]
    if len(full) >= 2 and empty:
        return (
            f"{folder.path} has folders of {what} ({', '.join(full[:5])}), and folders without any "
            f"({', '.join(empty[:5])}); move those away, or give the folder of the classes"
        )
    if direct or not full:
        return f"{folder.path} holds {images or texts:,} {what}, but nothing says what they are"
    inside = ", ".join(full[:5])
    return f"{folder.path} holds {images or texts:,} {what}, but no class folders of {what} (its folders: {inside})"


def _look_at_table(tables: Tables, options: Options) -> Found:
    sample = read_sample(tables.train, options)
    columns = describe(sample.table)
    _check_columns(columns, tables.train, options)
    tables, absent = _without_target(tables, columns, options)
    division = split_column(columns, options.target)
    aside = [division.value["column"]] if division is not None else []
    usable = [c for c in columns if c.name not in aside]
    paths = path_column(usable, options)
    texts = [] if paths is not None else text_columns(usable, options)
    inputs = [paths] if paths is not None else texts
    target = find_target(columns, options, [*(c.name for c in inputs), *aside], absent)
    target = target if sample.whole else target.scaled(sample.rows / len(sample.table))
    division = division or split_hint(columns, target.column)
    if paths is not None:
        sample, [paths], target = _named(sample, inputs, target, "path")
        return table_of_images(sample, paths, target, tables, options, division)
    if texts:
        ignored = [c.name for c in usable if c not in texts and c.name != target.column]
        sample, texts, target = _named(sample, texts, target, "text")
        return texts_of_table(sample, texts, target, tables, ignored, division)
    sample, columns, target = _named(sample, columns, target)
    return table_of_columns(sample, columns, target, tables, division)


def _check_columns(columns: Sequence[Column], path: Path, options: Options) -> None:
    names = [column.name for column in columns]
    for option, given in (("text", options.text), ("path", (options.image,) if options.image else ())):
        for name in given:
            if name not in names:
                raise ConfigError(f"{option}: {unknown('column', name, names)}")
    if len(columns) < 2:
        raise DataError(
            f"{path} has one column ({names[0]!r}); there must be one more to predict. If cells are separated by "
            "another character, give --separator"
        )
    if options.target is None:
        refuse_boxes(names, path)


def _without_target(tables: Tables, columns: Sequence[Column], options: Options) -> tuple[Tables, frozenset[str]]:
    """A test table that lacks just one column is there to predict; which column that is."""
    if tables.test is None:
        return tables, frozenset()
    names = frozenset(read_sample(tables.test, options).table.column_names)
    absent = frozenset(column.name for column in columns) - names
    lacks = len(absent) == 1 if options.target is None else options.target in absent
    if not lacks:
        return tables, frozenset()
    if options.test is not None:
        raise DataError(f"test: {tables.test} lacks the column {min(absent)!r}; give it as --predict")
    note = f"{tables.note}; {tables.test.name} lacks {min(absent)!r}, and is there to predict"
    return replace(tables, test=None, predict=tables.predict or tables.test, note=note), absent


def _named(
    sample: Sample, inputs: Sequence[Column], target: Target, name: str = ""
) -> tuple[Sample, list[Column], Target]:
    """The same with names of columns where the file has none."""
    if "header" not in sample.reading:
        return sample, list(inputs), target
    new = {target.column: "label"}
    if name and len(inputs) == 1:
        new[inputs[0].name] = name
    names = [new.get(n, n) for n in sample.table.column_names]
    found = replace(sample, table=sample.table.rename_columns(names), reading={**sample.reading, "header": names})
    columns = [replace(c, name=new.get(c.name, c.name)) for c in inputs]
    return found, columns, replace(target, column="label")
