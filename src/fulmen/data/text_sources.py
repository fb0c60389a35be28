"""Texts and their labels as files hold them: a table, or one file a text in class folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fulmen.core.errors import DataError
from fulmen.data.reading import column, first_line, read_table
from fulmen.data.splits import SPLITS

if TYPE_CHECKING:
    import pyarrow as pa

_SPLIT_FOLDERS = {"training": "train", "valid": "val", "validation": "val", "dev": "val", "testing": "test"}
_TABLES = (".csv", ".tsv", ".jsonl", ".parquet")


@dataclass(frozen=True)
class TextFormat:
    """Where a table has its texts and labels, and how it is read.

    Attributes:
        text: Columns whose texts are joined by a blank.
        target: The column of labels.
        header: Whether the first line holds the names; or the names.
        separator: What stands between cells; ``None``: by the file's ending.
        quoting: Whether ``"`` around a cell keeps separators and line ends in it.
        encoding: Of text files; ``None``: found.
    """

    text: tuple[str, ...]
    target: str
    header: bool | Sequence[str] = True
    separator: str | None = None
    quoting: bool = True
    encoding: str | None = None


@dataclass(frozen=True)
class TextSource:
    """The texts of one file or folder.

    Attributes:
        path: The file or folder.
        texts: One a sample; what is missing is an empty text.
        labels: ``(N,)`` as they are written; ``None`` where there are none.
        paths: Of the file of each text, from ``path``; ``None`` for a table.
        given: The split that a folder says, or ``""``.
        table: The further columns that were read; ``None`` for a folder.
        first_line: The line of the first sample in a table, from 1.
    """

    path: Path
    texts: pa.Array
    labels: pa.ChunkedArray | None = None
    paths: list[str] | None = None
    given: NDArray[np.str_] | None = None
    table: pa.Table | None = None
    first_line: int = 1

    def __len__(self) -> int:
        return len(self.texts)

    def describe(self, row: int) -> str:
        """What messages call a sample: ``file:line``, with one line a row, or its path."""
        return str(self.path / self.paths[row]) if self.paths else f"{self.path}:{row + self.first_line}"


def read_source(path: Path, format: TextFormat, labelled: bool = True, more: Sequence[str] = ()) -> TextSource:
    """Reads the texts of a table or a folder.

    Args:
        path: A table (see :func:`fulmen.data.reading.read_table`), or a folder with a folder of ``.txt`` files for
            each class, or with folders ``train``, ``val`` and ``test`` of such; without labels, of ``.txt`` files.
        format: Where a table has its texts and labels.
        labelled: Whether labels are read.
        more: Further columns of a table.

    Raises:
        DataError: If there is no such file, or it holds no texts.
    """
    if path.is_dir():
        return _read_folder(path, format.encoding) if labelled else _read_files(path, format.encoding)
    return _read_table(path, format, labelled, more)


# Tables


def _read_table(path: Path, format: TextFormat, labelled: bool, more: Sequence[str]) -> TextSource:
    names = [*format.text, *([format.target] if labelled else [])]
    options: dict[str, Any] = {
        "separator": format.separator,
        "quoting": format.quoting,
        "encoding": format.encoding,
        "columns": list(dict.fromkeys([*names, *more])),
        "as_text": names,
    }
    try:
        table = read_table(path, header=format.header, **options)
    except DataError:
        if labelled or isinstance(format.header, bool) or not path.is_file():
            raise
        texts_alone = [name for name in format.header if name != format.target]  # to predict, no labels are needed
        try:
            table = read_table(path, header=texts_alone, **options)
        except DataError:
            table = None
        if table is None:
            raise
    labels = column(table, format.target) if labelled else None
    first = first_line(path, format.header)
    return TextSource(path, _joined(table, format.text), labels, table=table.select(more), first_line=first)


def _joined(table: pa.Table, names: Sequence[str]) -> pa.Array:
    """The texts of some columns, joined by a blank."""
    import pyarrow as pa
    from pyarrow import compute

    columns = [compute.fill_null(column(table, name).cast(pa.large_string()), "") for name in names]
    joined = (
        columns[0]
        if len(columns) == 1
        else compute.binary_join_element_wise(*columns, pa.scalar(" ", pa.large_string()))
    )
    return joined.combine_chunks()


# Folders


def _read_folder(path: Path, encoding: str | None) -> TextSource:
    """Texts in class folders, those in folders for the splits."""
    import pyarrow as pa

    splits = {sub: split for sub in _folders(path) if (split := _split_of(sub.name))}
    if splits and "train" not in splits.values():
        raise DataError(f"{str(path)!r} has {', '.join(sorted(s.name for s in splits))} but no folder 'train'")
    files: list[Path] = []
    labels: list[str] = []
    given: list[str] = []
    for folder, split in splits.items() if splits else [(path, "")]:
        for name, found in _class_files(folder):
            files += found
            labels += [name] * len(found)
            given += [split] * len(found)
    source = _read_paths(path, files, encoding)
    return replace(source, labels=pa.chunked_array([pa.array(labels, pa.string())]), given=np.array(given, dtype="<U5"))


def _split_of(name: str) -> str:
    lower = name.lower()
    return lower if lower in SPLITS else _SPLIT_FOLDERS.get(lower, "")


def _folders(path: Path) -> list[Path]:
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))


def _texts_below(path: Path) -> list[Path]:
    return sorted(p for p in path.rglob("*") if p.suffix.lower() == ".txt" and p.is_file())


def _class_files(folder: Path) -> list[tuple[str, list[Path]]]:
    classes = _folders(folder)
    if not classes:
        tables = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in _TABLES)
        hint = f"; it holds the table {tables[0]!r}: give that file" if tables else ""
        raise DataError(f"{str(folder)!r} needs a folder of .txt files for each class; found none{hint}")
    found = [(sub.name, _texts_below(sub)) for sub in classes]
    empty = next((name for name, files in found if not files), None)
    if empty is not None:
        raise DataError(f"the class folder {str(folder / empty)!r} holds no .txt file; add some, or remove the folder")
    return found


def _read_files(path: Path, encoding: str | None) -> TextSource:
    """All texts below a folder, without labels."""
    files = _texts_below(path)
    if not files:
        raise DataError(f"{str(path)!r} holds no .txt file")
    return _read_paths(path, files, encoding)


def _read_paths(path: Path, files: list[Path], encoding: str | None) -> TextSource:
    import pyarrow as pa

    texts = _decoded([file.read_bytes() for file in files], files, encoding)
    return TextSource(path, pa.array(texts, pa.large_string()), paths=[f.relative_to(path).as_posix() for f in files])


def _decoded(contents: list[bytes], files: list[Path], encoding: str | None) -> list[str]:
    """Each file's text: by its byte-order mark, as UTF-8, or in the one encoding that suits those that are not."""
    from lightning.pytorch.utilities import rank_zero_info

    from fulmen.data.encoding import guess_encoding

    texts = [_try(content, encoding) for content in contents]
    bad = [i for i, text in enumerate(texts) if text is None]
    if bad and encoding is not None:
        raise DataError(f"{files[bad[0]]} cannot be read as {encoding}; leave `encoding` out to have it found")
    if bad:
        lines = [line for i in bad for line in contents[i].splitlines() if not line.isascii()][:2000]
        guess = guess_encoding(lines, f"{files[bad[0]]} and others" if len(bad) > 1 else str(files[bad[0]]))
        rank_zero_info(f"{len(bad)} files are not UTF-8 ({files[bad[0]]}); they are read as {guess}")
        for i in bad:
            texts[i] = _strict(contents[i], guess, files[i])
    return [text or "" for text in texts]


def _try(content: bytes, encoding: str | None) -> str | None:
    marked = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return content.decode(encoding or ("utf-16" if marked else "utf-8-sig"))
    except UnicodeDecodeError:
        return None
    except LookupError as error:
        raise DataError(f"encoding: {encoding!r} is not known; write utf-8, cp1252, latin-1 or the like") from error


def _strict(content: bytes, encoding: str, file: Path) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"{file} cannot be read as {encoding}: {error}; save it as UTF-8, or set `encoding`") from error
