"""Arrays in memory: equal rows, and a feature that is the target."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fulmen.data.checks.duplicates import repeats
from fulmen.data.checks.listing import PLACES, Listing, Rows, amount
from fulmen.data.checks.pairs import firsts
from fulmen.data.checks.rows import row_keys, with_targets
from fulmen.data.findings import Finding

_SOME = 1000
_LEAST = 20
"""Fewer rows than this may agree by chance."""


def check_arrays(listing: Listing) -> Iterator[Finding]:
    """What is to be said of tensors in memory. None of them is copied.

    Args:
        listing: All samples; each data set has ``inputs`` and ``rows``.
    """
    keys = _keys(listing)
    yield from repeats(listing, firsts(with_targets(keys, listing.targets)), "row", alike=firsts(keys))
    train = listing.dataset("train")
    inputs, rows = np.asarray(train.inputs), np.asarray(train.rows)
    if inputs.ndim == 2 and len(rows) >= _LEAST:
        yield from _constant(inputs, rows)
        if listing.targets is not None and listing.targets.ndim == 1:
            yield from _target(inputs, rows, listing.targets[listing.rows("train")])


def _keys(listing: Listing) -> NDArray[np.uint64]:
    """A number for the values of each sample; splits share one tensor, as a rule."""
    datasets = [listing.dataset(split) for split in listing.present]
    of = {id(dataset.inputs): dataset.inputs for dataset in datasets}
    keys = {name: row_keys(np.asarray(inputs)) for name, inputs in of.items()}
    return np.concatenate([keys[id(dataset.inputs)][np.asarray(dataset.rows)] for dataset in datasets])


def _constant(inputs: NDArray[Any], rows: Rows) -> Iterator[Finding]:
    def same(columns: Rows, some: Rows) -> NDArray[np.bool_]:
        part = inputs[np.ix_(some, columns)]
        return np.asarray((part == part[:1]).all(axis=0))

    found = _columns(inputs, rows, same)
    if len(found):
        what = amount(len(found), "feature has", "features have") + " one value in all training rows"
        where = tuple(f"feature {i}" for i in found[:PLACES])
        yield Finding("constant_features", "note", what, where, len(found), "leave them out: they teach nothing")


def _target(inputs: NDArray[Any], rows: Rows, targets: NDArray[Any]) -> Iterator[Finding]:
    """Features that are a straight line of the target, exact to rounding."""
    y = np.zeros(len(inputs))
    y[rows] = targets

    def straight(columns: Rows, some: Rows) -> NDArray[np.bool_]:
        x = inputs[np.ix_(some, columns)].astype(np.float64)
        x -= x.mean(axis=0)
        z = y[some] - y[some].mean()
        norm = np.sqrt((x * x).sum(axis=0) * (z @ z))
        return np.asarray(np.abs(z @ x) >= (1 - 1e-9) * np.where(norm > 0, norm, np.inf))

    found = _columns(inputs, rows, straight)
    if len(found):
        what = amount(len(found), "feature is", "features are") + " the target itself, but for scale and sign"
        where = tuple(f"feature {i}" for i in found[:PLACES])
        yield Finding("giveaway", "error", what, where, len(found), "leave them out")


def _columns(inputs: NDArray[Any], rows: Rows, holds: Callable[[Rows, Rows], NDArray[np.bool_]]) -> Rows:
    """The features that something holds for: first in some rows, then each of these in all."""
    columns = np.arange(inputs.shape[1])
    columns = columns[holds(columns, rows[:: max(len(rows) // _SOME, 1)])]
    kept = [i for i in columns.tolist() if holds(np.array([i]), rows)[0]]
    return np.array(kept, np.int64)
