"""Texts that are empty, repeat one word, are cut off, or occur twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from fulmen.data.checks.duplicates import repeats
from fulmen.data.checks.listing import Listing, amount
from fulmen.data.checks.memory import content_key, remembered
from fulmen.data.checks.pairs import earliest, firsts_of
from fulmen.data.checks.wording import VERSION, normalized, similar_texts
from fulmen.data.findings import Finding, Severity

REPEATED = 5
"""So many times the same word, and no other, is no text."""
CUT = 0.05
"""Where a larger share of the texts is cut off, that is worth a word."""


def check_texts(listing: Listing) -> Iterator[Finding]:
    """What is to be said of texts.

    Args:
        listing: All samples; each data set has ``texts``, or gives them by ``whole(rows).inputs``.
    """
    texts = [text for split in listing.present for text in _texts(listing.dataset(split))]
    empty = np.array([not text.strip() for text in texts], np.bool_)
    if empty.any():
        what = amount(int(empty.sum()), "text is empty", "texts are empty")
        fix = "remove these rows, or look whether data.text names the right column"
        severity: Severity = "error" if empty.all() else "warning"
        yield listing.finding("empty_texts", severity, what, np.flatnonzero(empty), fix)
    yield from _repeated(listing, texts)
    yield from _cut(listing)
    same, near = _alike(texts)
    own = np.arange(len(texts))
    yield from repeats(listing, np.where(empty, own, same), "text")
    yield from repeats(listing, near, "text", near=True)


def _texts(dataset: object) -> Sequence[str]:
    found = getattr(dataset, "texts", None)
    if found is None:
        found = dataset.whole(list(range(len(dataset)))).inputs  # type: ignore[attr-defined, arg-type]
    return found  # type: ignore[no-any-return]


def _repeated(listing: Listing, texts: Sequence[str]) -> Iterator[Finding]:
    rows = []
    for row, text in enumerate(texts):
        words = text.split()
        if len(words) >= REPEATED and len(set(words)) == 1:
            rows.append(row)
    if rows:
        what = amount(len(rows), "text is one word again and again", "texts are one word again and again")
        yield listing.finding("repeated_word", "warning", what, rows, "remove them, if they are not meant")


def _cut(listing: Listing) -> Iterator[Finding]:
    most = getattr(listing.data, "max_tokens", None)
    counts = [getattr(listing.dataset(split), "token_counts", None) for split in listing.present]
    if most is None or any(count is None for count in counts):
        return
    lengths = np.concatenate([np.asarray(count) for count in counts])
    rows = np.flatnonzero(lengths > most)
    if len(rows) > CUT * len(lengths):
        share = f"{len(rows) / len(lengths):.0%} of the texts are longer than data.max_tokens ({most})"
        what = f"{share}, and are cut"
        fix = f"set data.max_tokens: {int(np.quantile(lengths, 0.99))} to keep 99 % of them whole"
        order = rows[np.argsort(-lengths[rows], kind="stable")]
        yield listing.finding("cut_texts", "warning", what, order, fix)


def _alike(texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each text, the first that is the same, but for case and punctuation; and the first that is nearly so."""

    def compute() -> NDArray[np.int64]:
        plain = [normalized(text) for text in texts]
        same = firsts_of(plain)
        once = np.flatnonzero(same == np.arange(len(texts)))
        near = np.arange(len(texts))
        near[once] = once[earliest(len(once), similar_texts([plain[i] for i in once]))]
        return np.stack([same, near])

    found = remembered(f"texts-{content_key(texts, VERSION)}", compute)
    return found[0], found[1]
