"""Tables: a row a sample, columns of numbers, categories, dates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_info
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from fulmen.core.batch import Batch
from fulmen.core.errors import ConfigError, DataError, nearest
from fulmen.data.base import BatchedDataset, SupervisedDataModule, TargetType
from fulmen.data.columns import Kind, check_kinds, describe, infer_column
from fulmen.data.preprocessing import cardinality, encode_categories, encode_numbers, learn, width
from fulmen.data.reading import MISSING
from fulmen.data.splits import check_split
from fulmen.data.splitting import Rows, Samples, write_split
from fulmen.data.table_files import TableFiles, TableRows
from fulmen.data.table_targets import TargetRules, missing_targets, stratum

if TYPE_CHECKING:
    import pyarrow as pa

    from fulmen.data.columns import Column


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
        self.rules = TargetRules(target_type, class_names, label_separator)
        self.drop_missing_target, self.id_column = drop_missing_target, id_column
        self.category_encoding = category_encoding
        self.min_frequency, self.max_categories, self.missing = min_frequency, max_categories, list(missing)
        as_text = [name for name, kind in self.types.items() if kind == "category"]
        self.files = TableFiles(
            {"train": train, "val": val, "test": test, "predict": predict},
            {"separator": separator, "quoting": quoting, "encoding": encoding, "header": header, "missing": missing},
            as_text=as_text if id_column is None else [*as_text, id_column],
        )
        self.columns: list[Column] = []
        self._stage = ""
        self._prepare()

    def _prepare(self) -> None:
        """Learns, where nothing is learned yet; states the facts."""
        if not self.learned:
            self.files.read(("train", "val", "test"))
            self._check_columns()
            self.learned = self._learn(self._split()["train"])
        self._state_facts()

    def _state_facts(self) -> None:
        learned = self.learned
        if learned["target"] != self.target:
            raise ConfigError(f"target: {self.target} is given, the checkpoint was trained on {learned['target']}")
        self.target_type, self.class_names = learned["target_type"], learned["class_names"]
        self.num_outputs, self.category_encoding = learned["num_outputs"], learned["category_encoding"]
        codes = [cardinality(column) for column in learned["columns"] if column["kind"] == "category"]
        numbers = sum(width(column) for column in learned["columns"] if column["kind"] != "category")
        embedded = self.category_encoding == "embedding"
        self.categories = (codes or None) if embedded else None
        self.input_shape = [numbers + (len(codes) if embedded else sum(count - 1 for count in codes))]

    # Learning

    def _check_columns(self) -> None:
        table = self.files.table
        for name in self.target if self.id_column is None else [*self.target, self.id_column]:
            self.files.column(name)
        check_kinds(self.types, table.column_names)
        for name in self.target:
            if name in self.types:
                raise ConfigError(f"types: {name!r} is the target; use target_type")

    def _split(self) -> Rows:
        """The rows of each split, without those that have no target."""
        table, targets = self.files.table, self._targets()
        names = None if self.id_column is None else self._names(np.arange(table.num_rows))
        labels = stratum(targets, self.rules)
        rows = self.splitting(Samples(table.num_rows, labels, names, self.files.given(), self._values))
        gaps = missing_targets(targets)
        if gaps.any() and self.rules.label_separator is None:
            if not self.drop_missing_target:
                first = self.files.describe(int(np.flatnonzero(gaps)[0]))
                raise DataError(
                    f"target: {int(gaps.sum())} rows have none, the first is {first}; fill them in, or set "
                    "`drop_missing_target: true`"
                )
            rows = {split: found[~gaps[found]] for split, found in rows.items()}
        check_split(rows, None, [])
        return rows

    def _targets(self) -> dict[str, pa.ChunkedArray]:
        return {name: self.files.column(name) for name in self.target}

    def _values(self, name: str) -> NDArray[Any]:
        """A column to split by."""
        values = self.files.column(name)
        return np.asarray(values.to_numpy())

    def _names(self, rows: NDArray[np.int64]) -> list[str]:
        assert self.id_column is not None
        return [str(value) for value in self.files.column(self.id_column).take(rows).to_pylist()]

    def _unused(self) -> set[str]:
        """Columns that are no inputs: the target, names, and what says who trains."""
        by = self.splitting.by if isinstance(self.splitting.by, dict) else {}
        return {*self.target, *filter(None, (self.id_column, by.get("column"), by.get("group")))}

    def _learn(self, rows: NDArray[np.int64]) -> dict[str, Any]:
        targets = {name: values.take(rows) for name, values in self._targets().items()}
        learned: dict[str, Any] = {"target": self.target, **self.rules.learn(targets)}
        self.columns, columns = [], []
        for name in self.files.table.column_names:
            if name in self._unused():
                continue
            values = self.files.column(name).take(rows)
            column = infer_column(name, values, self.types.get(name))
            self.columns.append(column)
            if column.kind != "ignore":
                columns.append(
                    learn(
                        column,
                        values,
                        self.missing,
                        self.min_frequency,
                        self.max_categories,
                        lambda i: self.files.describe(int(rows[i])),
                    )
                )
        if not columns:
            raise DataError(f"no column is left to learn from:\n{describe(self.columns)}")
        return {**learned, "columns": columns, "category_encoding": self.category_encoding}

    # Data sets

    def setup(self, stage: str) -> None:
        """Reads what the stage needs, and shows at ``fit`` what the columns were taken for."""
        self._stage = stage or self._stage
        needed = self._needed()
        if not set(needed) <= self.files.encoded:
            self.datasets = {}
        super().setup(stage)
        if stage == "fit" and self.columns:
            about = f"target {', '.join(self.target)}: {self.target_type} ({self.learned['why']})"
            rank_zero_info(f"{describe(self.columns)}\n{about}")
            self.columns = []

    def _needed(self) -> list[str]:
        """The files that the stage reads; only one of them where a checkpoint says what was learned."""
        given = list(self.files.paths)
        if self.files.is_read or self.files.encoded:
            return given
        one = {"test": "test", "validate": "val"}.get(self._stage)
        if self._stage == "predict":
            one = self.predict_split or ("predict" if "predict" in given else "test")
        return [one] if one in given else given

    def build_datasets(self) -> dict[str, BatchedDataset]:
        """Encodes the rows, and lets go of the tables."""
        raise NotImplementedError
