"""Images that a table names, with their labels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from fulmen.core.errors import ConfigError, DataError
from fulmen.data.base import TargetType
from fulmen.data.image_data import ImageData, Listed, existing_folder, path_column
from fulmen.data.image_paths import Paths, is_image
from fulmen.data.reading import column, first_line, read_table
from fulmen.data.targets import Targets, read_targets

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class _Source:
    """A table, and the folder that its paths start from."""

    file: Path
    table: pa.Table
    folder: Path
    header: bool

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def describe(self, row: int) -> str:
        return f"{self.file}:{row + first_line(self.file, self.header)}"

    def names(self, name: str, root: Path) -> Iterator[str]:
        """The paths, from ``root``."""
        for row, value in enumerate(column(self.table, name)):
            path = (value.as_py() or "").strip()
            if not path:
                raise DataError(f"{self.describe(row)}: there is no path in column {name!r}; fill it in, or remove it")
            yield path if self.folder == root else os.path.relpath(self.folder / path, root).replace(os.sep, "/")


class ImageTableData(ImageData):
    """Images and labels that a table names: one class, several labels in a cell, or a number for each image.

    Two classes are a binary task; numbers that are not all whole are a regression (``target_type: regression`` for
    whole ones). Without ``val_table``, validation is split from ``table``; without ``test_table`` too, so is the test.
    ``split_by`` takes any column of the table, or ``re:PATTERN`` for what a regular expression finds in the paths.

    Args:
        table: CSV, TSV, text, JSON lines or Parquet file.
        path: Column of the images' paths.
        target: Column of the labels.
        root: The folder that paths start from; ``None``: the table's own.
        val_table: Table of the validation images.
        test_table: Table of the test images.
        predict_table: Table of images to predict; it needs no labels.
        label_separator: What stands between the labels of a cell, such as ``|``; ``None``: there is one label.
        target_type: What the labels are; ``None``: see above.
        class_names: Name of each class or label, in order; ``None``: those that the table holds, sorted.
        separator: What stands between cells; ``None``: by the file's ending.
        encoding: Of the tables' text; ``None``: found.
        header: Whether the first line holds the names of the columns; or their names.
        **kwargs: Arguments of :class:`~fulmen.data.image_data.ImageData`.

    Raises:
        DataError: If a table, a column, a label or a file is missing or cannot be used.
    """

    def __init__(
        self,
        table: str,
        path: str = "path",
        target: str = "label",
        root: str | None = None,
        val_table: str | None = None,
        test_table: str | None = None,
        predict_table: str | None = None,
        label_separator: str | None = None,
        target_type: TargetType | None = None,
        class_names: list[str] | None = None,
        separator: str | None = None,
        encoding: str | None = None,
        header: bool | list[str] = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if self.predict_root is not None and predict_table is not None:
            raise ConfigError("predict_table: there is a predict_root too; give one of them")
        self.path, self.target, self.predict_table = path, target, predict_table
        self._options: dict[str, Any] = {"separator": separator, "encoding": encoding, "header": header}
        self._targets = (target_type, class_names, label_separator)
        self._root = None if root is None else existing_folder("root", root)
        self.root = self._root or Path(table).parent
        tables = {"train": table, "val": val_table, "test": test_table}
        self._sources: dict[str, _Source] | None = None
        predicts = self.predict_root is not None or predict_table is not None
        if not (self.learned and predicts and not Path(table).is_file()):
            self._sources = {split: self._read(file) for split, file in tables.items() if file is not None}
        if not self.take_over() and self._sources is not None:
            source = self._sources["train"]
            found = self._read_targets([source], source.describe)
            self.set_classes(found.target_type, found.class_names)

    def list_samples(self, bad: list[str]) -> Listed | None:
        """The images of all tables, one after the other."""
        if self._sources is None:
            return None
        sources = list(self._sources.values())
        starts = np.cumsum([0, *map(len, sources)])

        def describe(row: int) -> str:
            number = int(np.searchsorted(starts, row, side="right")) - 1
            return sources[number].describe(row - int(starts[number]))

        self._targets = (self.target_type, self.class_names, self._targets[2])
        targets = self._read_targets(sources, describe).values
        names = Paths(self.root, (name for source in sources for name in source.names(self.path, self.root)))
        good = _good(names, describe, bad)
        paths = names.select(good)
        splits = list(self._sources) if len(sources) > 1 else [""]
        given = np.repeat(np.array(splits, "<U5"), list(map(len, sources)))[good]

        def values(name: str) -> NDArray[Any]:
            if name.startswith("re:"):
                return path_column(paths, name)
            return np.concatenate([column(source.table, name).to_numpy() for source in sources])[good]

        return Listed(paths, targets[torch.from_numpy(good)], given, values)

    def sample_columns(self, split: str) -> list[str]:
        """The columns of the table, and ``folder``; ``re:PATTERN`` is known too."""
        return [*dict.fromkeys([*self._whole()[0].column_names, *super().sample_columns(split)])]

    def sample_values(self, split: str, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """See the base class; the tables are read again."""
        found = super().sample_values(split, names)
        tables, paths = self._whole(), self.datasets[split].paths  # type: ignore[attr-defined]
        for name in names:
            if name in tables[0].column_names:
                found[name] = np.concatenate([column(table, name).to_numpy() for table in tables])[paths.rows]
        return {name: found[name] for name in names}

    def _whole(self) -> list[pa.Table]:
        """The tables with all their columns."""
        names = [self.path, self.target]
        return [read_table(s.file, as_text=names, **self._options) for s in (self._sources or {}).values()]

    def list_unlabelled(self, bad: list[str]) -> Paths | None:
        """The images of ``predict_table`` or below ``predict_root``."""
        if self.predict_table is None:
            return super().list_unlabelled(bad)
        source = self._read(self.predict_table, labelled=False)
        names = Paths(self.root, source.names(self.path, self.root))
        good = _good(names, source.describe, bad)
        if not len(good):
            raise DataError(f"predict_table: {source.file} names no image that can be read")
        return names.select(good)

    def _read(self, file: str, labelled: bool = True) -> _Source:
        by = self.splitting.by if labelled and isinstance(self.splitting.by, dict) else {}
        more = [name for way, name in by.items() if way != "file" and not name.startswith("re:")]
        names = [self.path, self.target] if labelled else [self.path]
        table = read_table(file, columns=list(dict.fromkeys([*names, *more])), as_text=names, **self._options)
        return _Source(Path(file), table, self._root or Path(file).parent, self._options["header"] is True)

    def _read_targets(self, sources: Sequence[_Source], describe: Callable[[int], str]) -> Targets:
        cells = [cell for source in sources for cell in column(source.table, self.target).to_pylist()]
        return read_targets(cells, *self._targets, describe=describe)


def _good(paths: Paths, describe: Callable[[int], str], bad: list[str]) -> NDArray[np.int64]:
    """The rows of images; the paths of other files are added to ``bad``.

    Raises:
        DataError: If files are missing.
    """
    good, missing = [], []
    for row, path in enumerate(paths):
        if is_image(path):
            good.append(row)
        elif path.is_file():
            bad.append(str(path))
        else:
            missing.append(row)
    if missing:
        shown = ", ".join(f"{describe(row)} {paths.name(row)}" for row in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise DataError(
            f"{len(missing)} of {len(paths)} files are not there: {shown}{more}. Paths start from "
            f"{str(paths.root)!r}; set data.root to another folder, or mend the table"
        )
    return np.array(good, np.int64)
