"""Tables: a row a sample, columns of numbers, categories, dates."""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_info
from numpy.typing import NDArray
from torch import Tensor

from fulmen.core.errors import ConfigError, DataError, unknown
from fulmen.data.base import BatchedDataset, SupervisedDataModule, TargetType
from fulmen.data.columns import KINDS, Column, Kind, check_kinds, describe, infer_column
from fulmen.data.preprocessing import cardinality, learn, width
from fulmen.data.reading import MISSING
from fulmen.data.split_files import write_split
from fulmen.data.splits import SPLITS, check_split
from fulmen.data.splitting import FoldAs, Rows, Samples
from fulmen.data.table_files import StackedTables
from fulmen.data.table_rows import TableRows, encode
from fulmen.data.table_targets import TargetRules, missing_targets, stratum

if TYPE_CHECKING:
    from fulmen.data.findings import Finding

LABELLED = SPLITS
"""The splits whose rows have targets."""


class TabularData(SupervisedDataModule):
    """A table with a row a sample: what each column is, is inferred from the training split, and shown at ``fit``.

    Numbers are standardized, missing ones replaced by the median (with an input of its own that says so); dates become
    days, month and weekday; categories become codes for embeddings, or 0/1 inputs. Rare categories, and those that
    only appear later, share one code. All of it is learned from the training split and travels in the checkpoint.

    Args:
        train: A table: ``.csv``, ``.tsv``, ``.txt``, ``.jsonl``, ``.json`` (each also with ``.gz``) or ``.parquet``.
        target: The column to predict; or several: numbers, or labels of 0 and 1.
        val: A table of validation samples; ``None``: they are split from ``train``.
        test: A table of test samples; ``None``: they are split from ``train``, if there is no ``val`` either.
        predict: A table of samples to predict; it needs no target.
        types: Column -> ``number``, ``category``, ``boolean``, ``date`` or ``ignore``, where it is not what it looks
            like.
        ignore: Columns that are no inputs.
        target_type: ``multiclass``, ``binary``, ``multilabel`` or ``regression``; ``None``: text, and whole numbers of
            at most 20 different values, are classes; other numbers are a regression.
        class_names: The classes in order, as the table has them (or any names for 0, 1, ...); ``None``: those of the
            training split, sorted.
        label_separator: What stands between several labels in a cell, such as ``|``; ``None``: a cell holds one.
        drop_missing_target: Leave out rows without a target; else they are an error.
        id_column: A column that names the samples, in predictions and in ``split.csv``; it is no input. The split then
            depends on the names, so that rows may be inserted anywhere.
        category_encoding: ``embedding``: codes, for a model with embeddings; ``one_hot``: 0/1 inputs.
        min_frequency: Categories of fewer training rows share the code of unknown ones.
        max_categories: So many categories of a column, the most frequent ones, have a code of their own.
        separator: What stands between cells; ``None``: a comma in ``.csv``, a tab in ``.tsv``.
        quoting: Whether ``"`` around a cell keeps separators and line ends in it.
        encoding: Of the files, such as ``latin-1``; ``None``: a byte-order mark, UTF-8, or a guess, which is said.
        header: Whether the first line holds the names; or the names.
        missing: What a cell without a value holds.
        decimal: The decimal point of numbers in text tables.
        **kwargs: Arguments of :class:`SupervisedDataModule`.

    Attributes:
        categories: How many codes each category column has; ``None`` where categories are no codes. These columns are
            the last inputs.
        columns: What each column was taken for; empty where it comes from a checkpoint.

    Raises:
        ConfigError: If an argument cannot work.
        DataError: If a table cannot be used.
    """

    extra_facts: ClassVar[tuple[str, ...]] = ("categories",)
    advice: ClassVar[dict[str, str]] = {
        "categories": "use MLPModule, which embeds them, or set `data.category_encoding: one_hot`"
    }
    categories: list[int] | None

    def __init__(
        self,
        train: str,
        target: str | list[str],
        val: str | None = None,
        test: str | None = None,
        predict: str | None = None,
        types: dict[str, Kind] | None = None,
        ignore: list[str] | None = None,
        target_type: TargetType | None = None,
        class_names: list[str] | None = None,
        label_separator: str | None = None,
        drop_missing_target: bool = False,
        id_column: str | None = None,
        category_encoding: Literal["embedding", "one_hot"] = "embedding",
        min_frequency: int = 2,
        max_categories: int = 10_000,
        separator: str | None = None,
        quoting: bool = True,
        encoding: str | None = None,
        header: bool | list[str] = True,
        missing: Sequence[str] = MISSING,
        decimal: str = ".",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, number in (("min_frequency", min_frequency), ("max_categories", max_categories)):
            if number < 1:
                raise ConfigError(f"{name}: {number} is out of range; allowed: at least 1")
        self.target = [target] if isinstance(target, str) else list(target)
        if not self.target or len(set(self.target)) < len(self.target):
            raise ConfigError(f"target: {target!r} is not allowed; name one column, or several different ones")
        self.types: dict[str, Kind] = {**(types or {}), **dict.fromkeys(ignore or [], "ignore")}
        self.ignore = list(ignore or [])
        self.rules = TargetRules(target_type, class_names, label_separator)
        self.drop_missing_target, self.id_column = drop_missing_target, id_column
        self.category_encoding = category_encoding
        self.min_frequency, self.max_categories, self.missing = min_frequency, max_categories, list(missing)
        as_text = [name for name, kind in self.types.items() if kind == "category"]
        self.paths = {"train": train, "val": val, "test": test, "predict": predict}
        self.reading = {
            "separator": separator,
            "quoting": quoting,
            "encoding": encoding,
            "header": header,
            "missing": missing,
            "decimal": decimal,
            "as_text": as_text if id_column is None else [*as_text, id_column],
        }
        self.columns: list[Column] = []
        self._tables: StackedTables | None = None  # until the rows are encoded
        self._rows: Rows = {}  # as long
        self._kept: StackedTables | None = None  # while the data are checked
        self._starts: dict[str, NDArray[np.int64]] = {}
        self._built: set[str] = set()
        self._stage, self._shown = "", False
        self._prepare()

    def _prepare(self) -> None:
        """Learns, where nothing is learned yet; states the facts."""
        if not self.learned:
            self._tables = self._tables or self._read(LABELLED)
            self._check_names(self._tables)
            self._rows = self._split(self._tables)
            self.learned = self._learn(self._tables, self._rows["train"])
        self._state_facts()

    def _read(self, splits: Collection[str]) -> StackedTables:
        return StackedTables({s: Path(p) for s, p in self.paths.items() if s in splits and p is not None}, self.reading)

    def _state_facts(self) -> None:
        learned, columns = self.learned, self.learned["columns"]
        if learned["target"] != self.target:
            raise ConfigError(f"target: {self.target} is given, the checkpoint was trained on {learned['target']}")
        self.target_type, self.class_names = learned["target_type"], learned["class_names"]
        self.num_outputs = learned["num_outputs"]
        codes = [cardinality(column) for column in columns if column["kind"] == "category"]
        numbers = sum(width(column) for column in columns if column["kind"] != "category")
        embedded = learned["category_encoding"] == "embedding"
        self.categories = (codes or None) if embedded else None
        self._one_hot = [] if embedded else codes
        self.input_shape = [numbers + (len(codes) if embedded else sum(codes) - len(codes))]

    # Learning

    def _check_names(self, tables: StackedTables) -> None:
        tables.require(self.target if self.id_column is None else [*self.target, self.id_column])
        absent = next((name for name in self.ignore if name not in tables.names), None)
        if absent is not None:
            raise ConfigError(f"ignore: {unknown('column', absent, tables.names)}")
        check_kinds(self.types, tables.names)
        twice = next((name for name in self.target if name in self.types), None)
        if twice is not None:
            raise ConfigError(f"types: {twice!r} is the target, whose kind is `target_type`")

    def _split(self, tables: StackedTables) -> Rows:
        """The rows of each split, ascending, without those that have no target."""
        targets = {name: tables.column(name) for name in self.target}
        names = None if self.id_column is None else self._identities(tables, np.arange(len(tables)))
        rows = self.splitting(
            Samples(
                len(tables),
                stratum(targets, self.rules),
                names,
                tables.given(),
                lambda name: np.asarray(tables.column(name).to_numpy()),
            )
        )
        kept = {split: np.sort(found) for split, found in self._with_target(tables, rows).items()}
        check_split(kept, None, [])
        return kept

    def _with_target(self, tables: StackedTables, rows: Rows) -> Rows:
        gaps = missing_targets({name: tables.column(name) for name in self.target})
        if not gaps.any() or self.rules.label_separator is not None:
            return rows
        if not self.drop_missing_target:
            raise DataError(
                f"target: {int(gaps.sum())} rows have no {' or '.join(map(repr, self.target))}, the first is "
                f"{tables.describe(int(gaps.argmax()))}; fill "
                "them in, or set `drop_missing_target: true`"
            )
        return {split: found[~gaps[found]] for split, found in rows.items()}

    def _identities(self, tables: StackedTables, rows: NDArray[np.int64]) -> list[str] | None:
        if self.id_column is None:
            return None
        values = tables.take(self.id_column, rows)
        if values.null_count:
            first = tables.describe(int(rows[values.index(None).as_py()]))
            raise DataError(f"id_column: {values.null_count} rows have no {self.id_column!r}, the first is {first}")
        return [str(value) for value in values.to_pylist()]

    def _learn(self, tables: StackedTables, rows: NDArray[np.int64]) -> dict[str, Any]:
        targets = {name: tables.take(name, rows) for name in self.target}

        def describe_row(i: int) -> str:
            return tables.describe(int(rows[i]))

        found = self.rules.learn(targets)
        if found["target_type"] in ("multiclass", "binary"):
            codes = self.rules.encode(targets, found, describe_row).numpy()
            check_split({"train": np.arange(len(codes))}, codes, found["class_names"])
        self.columns, columns = [], []
        for name in tables.names:
            if name in self._unused():
                continue
            values = tables.take(name, rows)
            column = infer_column(name, values, self.types.get(name))
            self.columns.append(column)
            if column.kind != "ignore":
                limits = self.min_frequency, self.max_categories
                columns.append(learn(column, values, self.missing, *limits, describe_row))
        if not columns:
            raise DataError(f"no column is left to learn from:\n{describe(self.columns)}")
        return {**found, "target": self.target, "columns": columns, "category_encoding": self.category_encoding}

    def _unused(self) -> set[str]:
        """Columns that are no inputs: the target, names, and what says who trains."""
        by = self.splitting.by if isinstance(self.splitting.by, dict) else {}
        return {*self.target, *filter(None, (self.id_column, by.get("column"), by.get("group")))}

    # Data sets

    def setup(self, stage: str) -> None:
        """Reads what the stage needs, and shows at ``fit`` what the columns were taken for."""
        self._stage = stage or self._stage
        if not self._needed() <= self._built:
            self.datasets = {}
        super().setup(stage)
        if stage == "fit" and self.columns and not self._shown:
            about = f"target {', '.join(self.target)}: {self.target_type}, {self.learned['why']}"
            hint = f"(another type: `data.types: {{COLUMN: {' | '.join(KINDS)}}}`)"
            rank_zero_info(f"{describe(self.columns)}\n{about} {hint}")
            self._shown = True

    def _needed(self) -> set[str]:
        """The splits whose files the stage reads: only one where a checkpoint says what was learned."""
        given = {split for split, path in self.paths.items() if path is not None}
        if self._tables is not None:
            return given
        one = {"test": "test", "validate": "val"}.get(self._stage)
        if self._stage == "predict":
            one = self.predict_split or ("predict" if "predict" in given else "test")
        return {one} if one in given else given

    def build_datasets(self) -> dict[str, BatchedDataset]:
        """Encodes the rows, and lets go of the tables."""
        self._state_facts()  # a checkpoint may have brought others
        needed = self._needed()
        made: dict[str, BatchedDataset] = {}
        if needed & {*LABELLED}:
            tables = self._tables or self._read(needed & {*LABELLED})
            tables.require([column["name"] for column in self.learned["columns"]])
            every: Rows = {next(iter(needed)): np.arange(len(tables))}
            rows = self._rows or (self._split(tables) if "train" in needed else self._with_target(tables, every))
            made |= self._encode(tables, rows)
        if "predict" in needed:
            tables = self._read({"predict"})
            made |= self._encode(tables, {"predict": np.arange(len(tables))})
        self._tables, self._rows, self._built = None, {}, needed
        return made

    def _encode(self, tables: StackedTables, rows: Rows) -> dict[str, BatchedDataset]:
        tables.require([] if self.id_column is None else [self.id_column])
        names = {split: self._identities(tables, found) for split, found in rows.items()}
        targets = {split: self._encode_targets(tables, found) for split, found in rows.items() if split != "predict"}
        inputs = encode(tables, self.learned["columns"], self.missing)
        self._starts |= dict.fromkeys(rows, tables.starts)
        return {
            split: TableRows(inputs, torch.from_numpy(found), targets.get(split), self._one_hot, names[split])
            for split, found in rows.items()
        }

    def _encode_targets(self, tables: StackedTables, rows: NDArray[np.int64]) -> Tensor:
        values = {name: tables.take(name, rows) for name in self.target}
        return self.rules.encode(values, self.learned, lambda i: tables.describe(int(rows[i])))

    def tables(self) -> StackedTables:
        """All labelled rows as their files have them; read again where they have been let go of."""
        return self._kept or self._tables or self._read(LABELLED)

    def check(self) -> list[Finding]:
        """As the base class; holds the tables until the columns have been looked at."""
        self._kept = copy.copy(self.tables())  # encoding lets go of columns
        try:
            return super().check()
        finally:
            self._kept = None

    def identity(self, split: str, rows: Tensor) -> Sequence[object]:
        """The value of ``id_column``, or the number of the row in its file, from 0."""
        data: Any = self.datasets[split]
        if data.names is not None:
            return [data.names[row] for row in rows.tolist()]
        places, starts = data.places[rows].numpy(), self._starts[split]
        numbers: list[object] = (places - starts[np.searchsorted(starts, places, side="right") - 1]).tolist()
        return numbers

    def sample_columns(self, split: str) -> list[str]:
        """The columns of the file, also those that are no inputs."""
        return self._stacked(split).names

    def sample_values(self, split: str, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """See the base class; the file is read again."""
        tables = self._stacked(split)
        unknown_name = next((name for name in names if name not in tables.names), None)
        if unknown_name is not None:
            raise ConfigError(f"slices: {unknown('column', unknown_name, tables.names)}")
        dataset: Any = self.datasets[split]
        places = dataset.places.numpy()
        return {name: np.asarray(tables.column(name).take(places).to_numpy()) for name in names}

    def _stacked(self, split: str) -> StackedTables:
        """The tables that the rows of a split are numbered in."""
        return self._read({"predict"} if split == "predict" else self._built & {*LABELLED})

    def write_split(self, path: Path) -> None:
        """As the base class; rows without names are numbered through all files, train, val and test."""
        datasets: list[tuple[str, Any]] = [(split, data) for split, data in self.datasets.items() if split in LABELLED]
        write_split(path, ((split, data.names or data.places.numpy()) for split, data in datasets))

    def view(self, fold: int, folds: int, fold_as: FoldAs = "val", fold_repeat: int = 0) -> Self:
        """As the base class; learns from the fold's training split at once, so that its facts are known.

        Before this datamodule's own ``setup``, the folds share its tables; after it, the files are read again.
        """
        made = super().view(fold, folds, fold_as, fold_repeat)
        made._tables, made._rows, made._built = copy.copy(self._tables), {}, set()
        made._prepare()
        return made
