"""Columns of a table that teach nothing, or give the target away; rows that occur twice."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

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
from fulmen.data.checks.rows import count_distinct
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
_SAMPLE = 10_000
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
        return None if self.kind == "category" else as_numbers(self.values)  # yes and no are none

    @cached_property
    def codes(self) -> NDArray[np.int64] | None:
        """``(N,)`` which value a category (or a yes or no in words) has, by number, -1 without; ``None`` for others."""
        if self.kind != "category" and (self.kind != "boolean" or self.numbers is not None):
            return None
        keys, indices = category_keys(self.values, self.numeric, self.missing)
        number: dict[str | None, int] = {None: -1}  # two values may have one key, such as 1 and 1.0
        numbers = [number.setdefault(key, len(number) - 1) for key in keys]
        return np.array([*numbers, -1], np.int64)[indices]

    @cached_property
    def gaps(self) -> NDArray[np.bool_]:
        """``(N,)`` where there is no value."""
        if self.codes is not None:
            return self.codes < 0
        return np.ones(len(self.values), np.bool_) if self.numbers is None else np.isnan(self.numbers)

    def is_constant(self, rows: Rows) -> bool:
        """Whether some rows all have the same value."""
        found = self.numbers if self.codes is None else self.codes
        return found is not None and not self.gaps[rows].any() and bool((found[rows] == found[rows[0]]).all())

    def values_as_codes(self, rows: Rows) -> NDArray[np.int64]:
        """``(len(rows),)`` which value each has, by number; all missing ones have one."""
        if self.codes is not None:
            return self.codes[rows]
        assert self.numbers is not None
        return np.unique(self.numbers[rows], return_inverse=True)[1].ravel().astype(np.int64)


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
    names = _identifiers(columns, train)
    if names:
        what = amount(len(names), "column looks", "columns look") + " like an identifier: hardly a value occurs twice"
        fix = "a name is learned by heart; " + _TYPES.format(name=names[0])
        yield Finding("identifiers", "warning", what, tuple(names), len(names), fix)
    yield from _missing(listing, columns, train)
    yield from _unseen(listing, [column for column in columns if column.name not in names], train)
    yield from _giveaways(listing, columns, train)


def _constant(columns: list[Used], train: Rows) -> Iterator[Finding]:
    found = tuple(c.name for c in columns if c.is_constant(train))
    if found:
        what = amount(len(found), "column has", "columns have") + " one value in all training rows"
        fix = "leave it out: " + _TYPES.format(name=found[0])
        yield Finding("constant_columns", "warning", what, found, len(found), fix)


def _identifiers(columns: list[Used], train: Rows) -> list[str]:
    """Categories, and whole numbers, of which hardly a value occurs twice."""
    found = []
    for column in columns:
        if column.kind == "category":
            assert column.codes is not None
            present = column.codes[train][~column.gaps[train]]
            named = count_distinct(present) > max(0.9 * len(present), _LEAST)
        else:
            named = column.kind == "number" and _counts_rows(column, train)
        found += [column.name] if named else []
    return found


def _counts_rows(column: Used, rows: Rows) -> bool:
    """Whether a column's values are whole numbers without many holes, each of them once."""
    assert column.numbers is not None
    numbers = column.numbers[rows][~column.gaps[rows]]
    if len(numbers) < _LEAST or np.ptp(numbers) >= 2 * len(numbers) or (numbers != np.round(numbers)).any():
        return False
    return count_distinct(numbers) == len(numbers)


def _missing(listing: Listing, columns: list[Used], train: Rows) -> Iterator[Finding]:
    shares = {c.name: float(c.gaps[train].mean()) for c in columns}
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
        gone = tuple(c.name for c in columns if c.gaps[rows].all() and shares[c.name] <= MISSING)
        if gone and len(rows) >= _LEAST:
            what = amount(len(gone), "column has", "columns have") + f" values in training, and none in {split}"
            yield Finding("missing_values", "warning", what, gone, len(gone), f"see whether the {split} table is whole")


def _unseen(listing: Listing, columns: list[Used], train: Rows) -> Iterator[Finding]:
    for split in listing.present[1:]:
        rows = listing.rows(split)
        found: dict[str, float] = {}
        for column in columns:
            if column.codes is None:
                continue
            seen = np.zeros(int(column.codes.max()) + 2, np.bool_)
            seen[column.codes[train]] = True
            seen[-1] = True  # where -1 looks: a missing value is none
            new = float((~seen[column.codes[rows]]).mean())
            found |= {column.name: new} if new > UNSEEN else {}
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
    if listing.labels is not None:
        classes = listing.labels[rows]
        tells = [column for column in columns if _tells_class(column, rows, classes)]
        same = [column.name for column in tells if one_to_one(column.values_as_codes(rows), classes)]
    else:
        targets = listing.targets[rows].reshape(len(rows), -1).T
        tells = [column for column in columns if any(_tells_number(column, rows, target) for target in targets)]
        same = [column.name for column in tells if any(_is_number(column, rows, target) for target in targets)]
    others = [column.name for column in tells if column.name not in same]
    fix = _TYPES + "; is it known when a prediction is asked for?"
    if same:
        what = amount(len(same), "column is", "columns are") + " the target under another name"
        yield Finding("giveaway", "error", what, tuple(same), len(same), fix.format(name=same[0]))
    if others:
        what = amount(len(others), "column alone tells", "columns alone tell") + " the target"
        yield Finding("giveaway", "warning", what, tuple(others), len(others), fix.format(name=others[0]))


def _tells_class(column: Used, rows: Rows, classes: Rows) -> bool:
    if column.numbers is None:
        return category_tells_class(column.values_as_codes(rows), classes)
    return number_tells_class(column.numbers[rows], classes)


def _tells_number(column: Used, rows: Rows, targets: NDArray[Any]) -> bool:
    if column.numbers is None:
        return category_tells_number(column.values_as_codes(rows), targets.astype(np.float64))
    return number_tells_number(column.numbers[rows], targets.astype(np.float64))


def _is_number(column: Used, rows: Rows, targets: NDArray[Any]) -> bool:
    return column.numbers is not None and np.array_equal(column.numbers[rows].astype(targets.dtype), targets)
