"""Columns of a table that teach nothing, or give the target away; rows that occur twice."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fulmen.data.checks.giveaways import (
    category_tells_class,
    category_tells_number,
    number_tells_class,
    number_tells_number,
    one_to_one,
)
from fulmen.data.checks.listing import Listing, Rows, amount
from fulmen.data.columns import as_dates, as_numbers
from fulmen.data.findings import Finding
from fulmen.data.preprocessing import category_keys

if TYPE_CHECKING:
    import pyarrow as pa

MISSING = 0.8
"""Where a larger share of the training rows has no value, there is little to learn from."""
UNSEEN = 0.05
"""Where a larger share of a split has values that training has not, its scores say less."""
_LEAST = 20
_SAMPLE = 20_000
"""Rows that are looked at for columns that give the target away: enough to tell, at any size of the table."""
_TYPES = "set data.types: {{{name}: ignore}}"


@dataclass(frozen=True)
class Used:
    """A column that a model is given.

    Attributes:
        name: Its name.
        kind: ``number``, ``boolean``, ``date`` or ``category``.
        values: Of all samples, in the order of the listing.
        numeric: Whether a category's values are numbers.
        missing: Words that stand for a missing value.
    """

    name: str
    kind: str
    values: pa.ChunkedArray
    numeric: bool = False
    missing: Collection[str] = ()

    @cached_property
    def numbers(self) -> NDArray[np.float64] | None:
        """``(N,)``, NaN where there is none; ``None`` for categories."""
        if self.kind == "date":
            dates = as_dates(self.values)
            return None if dates is None else np.where(np.isnat(dates), np.nan, dates.astype(np.int64))
        return None if self.kind == "category" else as_numbers(self.values)

    @cached_property
    def codes(self) -> NDArray[np.int64]:
        """``(N,)`` which value each has, by number; -1 where there is none."""
        if self.numbers is None:
            keys, indices = category_keys(self.values, self.numeric, self.missing)
            number: dict[str | None, int] = {None: -1}  # two values may have one key, such as 1 and 1.0
            numbers = [number.setdefault(key, len(number) - 1) for key in keys]
            return np.array([*numbers, -1], np.int64)[indices]
        codes = np.unique(self.numbers, return_inverse=True)[1].ravel().astype(np.int64)
        codes[np.isnan(self.numbers)] = -1
        return codes


def check_columns(listing: Listing, columns: list[Used]) -> Iterator[Finding]:
    """What is to be said of the columns that a model is given.

    Args:
        listing: All samples.
        columns: Of all samples, in the order of the listing.
    """
    train = listing.rows("train")
    if len(train) < _LEAST:
        return
    yield from _constant(columns, train)
    yield from _identifiers(columns, train)
    yield from _missing(listing, columns, train)
    yield from _unseen(listing, columns, train)
    yield from _giveaways(listing, columns, train)


def _constant(columns: list[Used], train: Rows) -> Iterator[Finding]:
    found = tuple(c.name for c in columns if (c.codes[train] == c.codes[train[0]]).all())
    if found:
        what = amount(len(found), "column has", "columns have") + " one value in all training rows"
        fix = "leave it out: " + _TYPES.format(name=found[0])
        yield Finding("constant_columns", "warning", what, found, len(found), fix)


def _identifiers(columns: list[Used], train: Rows) -> Iterator[Finding]:
    """Categories, and whole numbers, of which hardly a value occurs twice."""
    found = []
    for column in columns:
        codes = column.codes[train]
        codes = codes[codes >= 0]
        distinct = len(np.unique(codes))
        if column.kind == "category" and distinct > max(0.9 * len(codes), _LEAST):
            found.append(column.name)
        elif column.kind == "number" and distinct == len(codes) >= _LEAST:
            numbers = _present(column, train)
            whole = (numbers == np.round(numbers)).all()
            if whole and np.ptp(numbers) < 2 * len(numbers):
                found.append(column.name)
    if found:
        what = amount(len(found), "column looks", "columns look") + " like an identifier: hardly a value occurs twice"
        fix = "a name is learned by heart; " + _TYPES.format(name=found[0])
        yield Finding("identifiers", "warning", what, tuple(found), len(found), fix)


def _present(column: Used, rows: Rows) -> NDArray[np.float64]:
    assert column.numbers is not None
    numbers = column.numbers[rows]
    return numbers[~np.isnan(numbers)]


def _missing(listing: Listing, columns: list[Used], train: Rows) -> Iterator[Finding]:
    shares = {c.name: float((c.codes[train] < 0).mean()) for c in columns}
    mostly = {name: share for name, share in shares.items() if share > MISSING}
    if mostly:
        what = (
            amount(len(mostly), "column has", "columns have")
            + f" no value in more than {MISSING:.0%} of the training rows"
        )
        where = tuple(f"{name} ({share:.1%})" for name, share in mostly.items())
        fix = "see whether it helps; else " + _TYPES.format(name=next(iter(mostly)))
        yield Finding("missing_values", "warning", what, where, len(mostly), fix)
    for split in listing.present[1:]:
        rows = listing.rows(split)
        gone = tuple(c.name for c in columns if (c.codes[rows] < 0).all() and shares[c.name] <= MISSING)
        if gone and len(rows) >= _LEAST:
            what = amount(len(gone), "column has", "columns have") + f" values in training, and none in {split}"
            yield Finding("missing_values", "warning", what, gone, len(gone), f"see whether the {split} table is whole")


def _unseen(listing: Listing, columns: list[Used], train: Rows) -> Iterator[Finding]:
    for split in listing.present[1:]:
        rows = listing.rows(split)
        found: dict[str, float] = {}
        for column in columns:
            if column.kind == "category":
                new = ~np.isin(column.codes[rows], column.codes[train]) & (column.codes[rows] >= 0)
                found |= {column.name: float(new.mean())} if new.mean() > UNSEEN else {}
        if found:
            what = amount(len(found), "column has", "columns have") + f" many values in {split} that training has not"
            where = tuple(f"{name} ({share:.1%} of the rows)" for name, share in found.items())
            fix = "they are all treated as one unknown value; see whether the tables are written in the same way"
            yield Finding("unseen_values", "warning", what, where, len(found), fix)


def _giveaways(listing: Listing, columns: list[Used], train: Rows) -> Iterator[Finding]:
    if listing.targets is None:
        return
    rows = train
    if len(rows) > _SAMPLE:
        rows = np.sort(np.random.default_rng(0).choice(rows, _SAMPLE, replace=False))
    labels, targets = listing.labels, listing.targets[rows]
    same: list[str] = []
    tells: list[str] = []
    for column in columns:
        codes = column.codes[rows]
        numbers = None if column.numbers is None else column.numbers[rows]
        if labels is not None:
            told, exact = _tells_class(codes, numbers, labels[rows]), one_to_one(codes, labels[rows])
        else:
            values = targets.reshape(len(rows), -1).T
            told = any(_tells_number(codes, numbers, y.astype(np.float64)) for y in values)
            exact = numbers is not None and any(np.array_equal(numbers.astype(y.dtype), y) for y in values)
        if told:
            (same if exact else tells).append(column.name)
    fix = _TYPES + "; is it known when a prediction is asked for?"
    if same:
        what = amount(len(same), "column is", "columns are") + " the target under another name"
        yield Finding("giveaway", "error", what, tuple(same), len(same), fix.format(name=same[0]))
    if tells:
        what = amount(len(tells), "column alone tells", "columns alone tell") + " the target"
        yield Finding("giveaway", "warning", what, tuple(tells), len(tells), fix.format(name=tells[0]))


def _tells_class(codes: NDArray[np.int64], numbers: NDArray[np.float64] | None, classes: Rows) -> bool:
    if numbers is None:
        return category_tells_class(codes, classes)
    return number_tells_class(numbers, classes)


def _tells_number(codes: NDArray[np.int64], numbers: NDArray[np.float64] | None, targets: NDArray[np.float64]) -> bool:
    if numbers is None:
        return category_tells_number(codes, targets)
    return number_tells_number(numbers, targets)
