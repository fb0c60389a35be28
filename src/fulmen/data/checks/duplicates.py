"""Samples that occur more than once: in two splits, under two labels, in one split."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from fulmen.data.checks.listing import PLACES, Listing, Rows, amount
from fulmen.data.findings import Finding, Severity
from fulmen.data.splits import SPLITS

Noun = Literal["image", "text", "row"]
MUCH = 0.5
"""Where so much of a split was seen in training, its scores mean nothing: an error."""
FEW = 0.01
"""Copies within a split, and equal rows anywhere, are only noted where they are a smaller share than this."""
SPLIT_NAMES = {"train": "training", "val": "validation", "test": "test"}
NATURAL = 0.3
"""Where so many training rows repeat another, rows of these columns are equal by nature."""
_APART = "remove one of each pair; samples that belong together stay on one side by `split_by: {group: COLUMN}`"


def repeats(
    listing: Listing, first: Rows, noun: Noun, near: bool = False, alike: Rows | None = None
) -> Iterator[Finding]:
    """What is to be said of copies.

    Rows of few different values are equal by nature: where that is so within training, equal rows in other splits are
    to be expected, and no leak.

    Args:
        listing: All samples: those of training first, then validation, then test.
        first: ``(N,)`` the first sample that each is a copy of; its own number if it is none.
        noun: What a sample is called.
        near: Whether they are nearly, not exactly, the same.
        alike: ``(N,)`` the same, whatever the target is; ``None``: as ``first``.
    """
    copies = np.flatnonzero(first != np.arange(len(listing)))
    inside = listing.splits[first[copies]] == listing.splits[copies]
    train = listing.rows("train")
    usual = float(np.isin(train, copies).mean()) if len(train) else 0.0
    for split in ("val", "test"):
        leaked = copies[~inside & (listing.splits[copies] == SPLITS.index(split))]
        yield from _leak(listing, first, leaked, split, noun, near, usual)
    yield from _disputed(listing, first if alike is None else alike, noun, near)
    yield from _within(listing, first, copies[inside], noun, near)


def _leak(
    listing: Listing, first: Rows, leaked: Rows, split: str, noun: Noun, near: bool, usual: float
) -> Iterator[Finding]:
    whole = len(listing.rows(split))
    share = len(leaked) / max(whole, 1)
    by_nature = noun == "row" and usual > NATURAL and share < 2 * usual
    if not len(leaked) or by_nature:
        return
    severity: Severity = "note" if noun == "row" and (share <= FEW or len(leaked) <= 2) else "warning"
    if share >= max(MUCH, 2 * usual) and not near:
        severity = "error"
    trained = (listing.splits[first[leaked]] == 0).all()
    verb = ("nearly " if near else "") + ("repeats" if len(leaked) == 1 else "repeat")
    what = (
        f"{len(leaked):,} of {whole:,} {SPLIT_NAMES[split]} {noun}s ({share:.1%}) {verb} "
        f"{'training' if trained else 'training or validation'} {noun}s"
    )
    yield _finding(listing, first, leaked, "near_leak" if near else "leak", severity, what, _APART)


def _disputed(listing: Listing, first: Rows, noun: Noun, near: bool) -> Iterator[Finding]:
    labels, copies = listing.labels, np.flatnonzero(first != np.arange(len(listing)))
    if labels is None:
        return
    disputed = copies[labels[copies] != labels[first[copies]]]
    if not len(disputed):
        return
    by_nature = len(copies) > NATURAL * len(listing)
    by_chance = noun == "row" and (by_nature or len(disputed) <= max(FEW * len(listing), 2))
    same = f"{'nearly ' if near else ''}the same {noun} elsewhere"
    what = amount(len(disputed), f"{noun} has", f"{noun}s have") + f" another label than {same}"
    where = tuple(
        f"{listing.place(i)} ({listing.label(i)}) = {listing.place(int(first[i]))} ({listing.label(int(first[i]))})"
        for i in disputed[:PLACES].tolist()
    )
    fix = "correct the label that is wrong, or remove both"
    yield Finding("two_labels", "note" if by_chance else "warning", what, where, len(disputed), fix)


def _within(listing: Listing, first: Rows, copies: Rows, noun: Noun, near: bool) -> Iterator[Finding]:
    if not len(copies):
        return
    counts = [(split, int((listing.splits[copies] == SPLITS.index(split)).sum())) for split in listing.present]
    where = ", ".join(f"{count:,} {SPLIT_NAMES[split]}" for split, count in counts if count)
    nouns, repeat = (noun, "repeats") if len(copies) == 1 else (f"{noun}s", "repeat")
    what = f"{where} {nouns} {'nearly ' if near else ''}{repeat} another of the same split"
    severity: Severity = "note" if noun == "row" or len(copies) < FEW * len(listing) else "warning"
    fix = "keep one of each, unless they are meant to count more than once"
    yield _finding(listing, first, copies, "near_duplicates" if near else "duplicates", severity, what, fix)


def _finding(listing: Listing, first: Rows, rows: Rows, check: str, severity: Severity, what: str, fix: str) -> Finding:
    pairs = [(listing.place(i), listing.place(int(first[i]))) for i in rows[:PLACES].tolist()]
    where = tuple(f"{one}, listed twice" if one == other else f"{one} = {other}" for one, other in pairs)
    return Finding(check, severity, what, where, len(rows), fix)
