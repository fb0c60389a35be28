"""Classes that are rare, missing from a split, or written in two ways; targets that teach nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from fulmen.data.checks.duplicates import SPLIT_NAMES
from fulmen.data.checks.listing import Listing
from fulmen.data.findings import Finding

FEW = 5
"""Classes with fewer training samples are worth a word."""
RATIO = 20
"""So many times as many samples in the most frequent class as in the rarest are extreme."""


def check_labels(listing: Listing) -> Iterator[Finding]:
    """What is to be said of the targets alone.

    Args:
        listing: All samples.
    """
    if listing.targets is None:
        return
    if listing.data.target_type == "regression":
        yield from _constant(listing)
        return
    names = listing.data.class_names or ["0", "1"]
    counts = {split: _counts(listing.targets[listing.rows(split)], len(names)) for split in listing.present}
    yield from chain(
        same_spelling(names),
        _rare(names, counts["train"], sum(counts.values()), listing.targets.ndim > 1),
        _missing(names, counts),
        _imbalance(names, counts["train"], listing),
    )
