"""Classes that are rare, missing from a split, or written in two ways; targets that teach nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fulmen.data.checks.duplicates import SPLIT_NAMES
from fulmen.data.checks.listing import PLACES, Listing, amount
from fulmen.data.findings import Finding

FEW = 5
"""Classes with fewer training samples are worth a word."""
RATIO = 20
"""Where the most frequent class has so many times as many samples as the rarest, that is extreme."""


def check_labels(listing: Listing) -> Iterator[Finding]:
    """What is to be said of the targets alone.

    Args:
        listing: All samples.
    """
    targets = listing.targets
    if targets is None:
        return
    if listing.data.target_type == "regression":
        yield from _constant(targets[listing.rows("train")])
        return
    names = listing.data.class_names or ["0", "1"]
    counts = {split: _counts(targets[listing.rows(split)], len(names)) for split in listing.present}
    yield from _spelling(names)
    yield from _rare(names, counts["train"], sum(counts.values(), np.zeros(len(names), np.int64)))
    yield from _missing(names, counts)
    if targets.ndim == 1 and listing.data.balance is None:
        yield from _imbalance(names, counts["train"])


def _counts(targets: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """How many samples each class or label has; numbers that are no class are an error elsewhere."""
    if targets.ndim > 1:
        columns: NDArray[np.int64] = (targets > 0).sum(axis=0)
        return columns
    numbers = targets.astype(np.int64)
    counts: NDArray[np.int64] = np.bincount(numbers[(numbers >= 0) & (numbers < classes)], minlength=classes)
    return counts


def _constant(targets: NDArray[Any]) -> Iterator[Finding]:
    columns = targets.reshape(len(targets), -1)
    same = np.flatnonzero((columns == columns[:1]).all(axis=0)) if len(columns) > 1 else np.empty(0, np.int64)
    if len(same):
        what = f"all training targets are {columns[0, same[0]]:g}: there is nothing to learn"
        fix = "see whether the right column is the target"
        yield Finding("constant_target", "error", what, tuple(f"target {i}" for i in same), len(same), fix)


def _spelling(names: Sequence[str]) -> Iterator[Finding]:
    written = defaultdict(list)
    for name in names:
        written[" ".join(name.casefold().split())].append(name)
    several = [group for group in written.values() if len(group) > 1]
    if several:
        what = f"{sum(map(len, several))} classes differ only in upper and lower case or blanks"
        where = tuple(" = ".join(map(repr, group)) for group in several)
        fix = "write a class in one way, if they are meant to be one"
        yield Finding("spelling", "warning", what, where, len(several), fix)


def _rare(names: Sequence[str], train: NDArray[np.int64], total: NDArray[np.int64]) -> Iterator[Finding]:
    rare = [i for i in np.argsort(train, kind="stable") if train[i] < FEW]
    if not rare:
        return
    single = int((total[rare] == 1).sum())
    what = amount(len(rare), "class has", "classes have") + f" fewer than {FEW} training samples"
    what += f", {single} of them one sample in all" if single else ""
    where = tuple(f"{names[i]} ({train[i]} training, {total[i]} in all)" for i in rare)
    fix = "correct labels that are mistyped; else add samples, or leave these classes out"
    yield Finding("rare_classes", "warning", what, where[:PLACES], len(rare), fix)


def _missing(names: Sequence[str], counts: dict[str, NDArray[np.int64]]) -> Iterator[Finding]:
    for split in ("val", "test"):
        if split not in counts:
            continue
        absent = np.flatnonzero((counts[split] == 0) & (counts["train"] >= FEW)).tolist()
        if len(absent):
            what = f"the {SPLIT_NAMES[split]} split has no sample of {len(absent)} of {len(names)} classes"
            where = tuple(names[i] for i in absent)
            fix = f"scores say nothing of them; add samples, raise data.{split}_fraction, or change data.split_seed"
            yield Finding("missing_classes", "warning", what, where[:PLACES], len(absent), fix)


def _imbalance(names: Sequence[str], train: NDArray[np.int64]) -> Iterator[Finding]:
    enough = np.flatnonzero(train >= FEW)
    if len(enough) < 2:
        return
    least, most = enough[np.argmin(train[enough])], enough[np.argmax(train[enough])]
    if train[most] < RATIO * train[least]:
        return
    rare = enough[train[enough] * RATIO <= train[most]]
    rare = rare[np.argsort(train[rare], kind="stable")]
    what = (
        f"class {names[most]!r} has {train[most] / train[least]:.0f} times as many training samples as {names[least]!r}"
    )
    where = tuple(f"{names[i]} ({train[i]} of {train.sum()})" for i in rare[:PLACES])
    fix = "watch f1 or average_precision, not accuracy; try data.balance: class_weights, or sampler"
    yield Finding("imbalance", "warning", what, where, len(rare), fix)
