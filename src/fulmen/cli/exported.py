"""`lightning predict --model FILE`: predictions of an exported model, without config, run or plugins."""

from __future__ import annotations

import argparse
import glob
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fulmen.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from fulmen.workflows.exporting.running import Exported

ENDINGS = (".onnx", ".pt2", ".safetensors")
_OUT = Path("predictions.csv")
_WRITTEN = (".csv", ".parquet")


class Found(NamedTuple):
    """What is to be predicted.

    Attributes:
        names: What each sample is called.
        samples: What :meth:`fulmen.workflows.Exported.predict` takes.
    """

    names: Sequence[object]
    samples: Any


def model_of(arguments: Sequence[str]) -> str | None:
    """The exported model that a command line of `predict` names; ``None``: it means a config's model.

    >>> model_of(["--model", "a.onnx", "--data", "x.csv"]), model_of(["--model", "MLPModule"])
    ('a.onnx', None)
    """
    for i, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        value = value if equals else (arguments[i + 1] if i + 1 < len(arguments) else "")
        if option == "--model" and value.endswith(ENDINGS):
            return value
    return None


def predict(command: str, arguments: list[str]) -> None:
    """Runs `lightning predict`: with an exported model, if one is named, else with a config's.

    Args:
        command: ``predict``.
        arguments: What follows it.

    Raises:
        FulmenError: For a mistake in the config or the command.
    """
    if model_of(arguments) is not None:
        run(command, arguments)
        return
    from fulmen.cli.run import run as run_config

    run_config(command, arguments)


def run(command: str, arguments: list[str]) -> None:
    """Runs `lightning predict --model FILE --data ...`.

    Args:
        command: ``predict``.
        arguments: What follows it.

    Raises:
        FulmenError: For a mistake in the command, or if samples are not what the model takes.
    """
    own = _parser(command).parse_args(arguments)
    if own.output.suffix not in _WRITTEN:
        raise ConfigError(f"output: {str(own.output)!r} must end in {' or '.join(_WRITTEN)}")
    if own.batch_size < 1:
        raise ConfigError(f"batch_size: {own.batch_size} is out of range; allowed: at least 1")

    from fulmen.workflows.exporting.running import load_exported

    model = load_exported(own.model)
    names, samples = find_samples(model, own.data, own.column)
    answers = model.predict(samples, own.batch_size)
    write(own.output, answers.columns(names))
    print(f"predictions: {own.output} ({len(names):,} samples)")


def find_samples(model: Exported, data: str, column: str | None = None) -> Found:
    """What files hold, as the model takes it.

    Args:
        model: The model.
        data: A folder, a file, or a pattern of files.
        column: Of a table of images: which column has the paths.

    Raises:
        DataError: If there is nothing that the model takes.
    """
    facts = model.about["input"]
    if facts["kind"] == "images":
        return _images(data, column)
    if column is not None:
        raise ConfigError("column: only a table of images has a column of paths; leave it out")
    if facts["kind"] == "texts":
        return _texts(facts, Path(data))
    if facts["kind"] == "table":
        return _rows(facts, data)
    return _arrays(facts, Path(data))


def write(path: Path, columns: dict[str, Sequence[Any]]) -> None:
    """Writes a table as CSV or Parquet, by the ending of the path."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    made = pa.table({**columns})
    if path.suffix == ".csv":
        csv.write_csv(made, path)
    else:
        parquet.write_table(made, path)


def _images(data: str, column: str | None) -> Found:
    from fulmen.data.image_paths import ENDINGS as IMAGES
    from fulmen.data.image_paths import is_image, scan
    from fulmen.data.reading import read_table

    path = Path(data)
    if path.is_dir():
        names = [name for name in scan(path) if is_image(path / name)]
        root = path
    elif path.is_file() and not is_image(path):
        column = column or "path"
        names = [str(name).strip() for name in read_table(path, columns=[column], as_text=[column])[column].to_pylist()]
        root = path.parent
    else:
        names, root = sorted(glob.glob(data, recursive=True)), Path()
        if not names and not path.exists():
            raise DataError(f"data: there is no file, folder or match of a pattern {data!r} (from {Path.cwd()})")
    if not names:
        raise DataError(f"data: {data!r} holds no image ({', '.join(IMAGES)}) (from {Path.cwd()})")
    missing = [name for name in names if not is_image(root / name)]
    if missing:
        what = "is no image" if (root / missing[0]).is_file() else "is not there"
        raise DataError(f"data: {str(root / missing[0])!r} {what} ({len(missing)} of {len(names)} files)")
    return Found(names, [root / name for name in names])


def _texts(facts: dict[str, Any], path: Path) -> Found:
    if path.suffix.lower() == ".txt" and path.is_file():
        from fulmen.data.encoding import find_encoding, open_text

        with open_text(path, find_encoding(path)) as file:
            lines = file.read().splitlines()
        if not lines:
            raise DataError(f"data: {path} is empty")
        return Found(range(len(lines)), lines)
    from fulmen.data.text_sources import TextFormat, read_source

    if not path.exists():
        raise DataError(f"data: there is no file or folder {str(path)!r} (from {Path.cwd()})")
    form = TextFormat(tuple(facts["columns"]), **facts["reading"])
    source = read_source(path, form, labelled=False)
    return Found(source.paths or range(len(source)), source.texts.to_pylist())


def _rows(facts: dict[str, Any], data: str) -> Found:
    from fulmen.data.reading import column, read_table

    table = read_table(data, missing=facts["missing"], **facts["reading"])
    name = facts["id_column"]
    known = name is not None and name in table.column_names
    return Found(list(map(str, column(table, name).to_pylist())) if known else range(table.num_rows), table)


def _arrays(facts: dict[str, Any], path: Path) -> Found:
    """An array of numpy's, or a table of numbers."""
    import numpy as np

    if path.suffix == ".npy":
        if not path.is_file():
            raise DataError(f"data: there is no file {str(path)!r} (from {Path.cwd()})")
        try:
            array = np.load(path, allow_pickle=False)
        except ValueError as error:
            raise DataError(f"data: {path} is no array of numbers: {error}") from error
        one = array.shape == tuple(facts["shape"])
        return Found(range(1 if one else len(array)), array)
    from fulmen.data.columns import as_numbers
    from fulmen.data.reading import read_table

    table, count = read_table(path), int(np.prod(facts["shape"]))
    if table.num_columns != count:
        raise DataError(
            f"data: {path} has {table.num_columns} columns; the model takes {count} numbers a row, or an array of "
            f"shape (N, {', '.join(map(str, facts['shape']))}) in a .npy file"
        )
    columns = {name: as_numbers(table[name]) for name in table.column_names}
    wrong = next((name for name, values in columns.items() if values is None or np.isnan(values).any()), None)
    if wrong is not None:
        raise DataError(f"data: {path}: column {wrong!r} holds cells that are no numbers")
    return Found(range(table.num_rows), np.stack([v for v in columns.values() if v is not None], 1))


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"lightning {command}",
        usage=f"lightning {command} --model FILE --data FOLDER|FILE [options]",
        description="Writes a table of predictions of a model that `lightning export` wrote.",
        allow_abbrev=False,
    )
    parser.add_argument("--model", required=True, help=f"the exported model ({', '.join(ENDINGS)})")
    parser.add_argument(
        "--data",
        required=True,
        help="images: a folder, a file, a pattern in quotes, or a table of paths; texts: a table, a .txt file with one "
        "a line, or a folder of .txt files; rows: a table with the columns of the training; numbers: .npy or a table",
    )
    parser.add_argument("--output", type=Path, default=_OUT, help=f"file of the table, .csv or .parquet ({_OUT})")
    parser.add_argument("--column", help="of a table of images: the column of the paths (path)")
    parser.add_argument("--batch_size", type=int, default=64, help="samples at once (64)")
    return parser
