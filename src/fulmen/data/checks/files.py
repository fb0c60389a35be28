"""Image files that cannot be decoded, are huge or tiny, of one colour, or occur twice."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fulmen.data.checks.duplicates import repeats
from fulmen.data.checks.index import look_once
from fulmen.data.checks.listing import PLACES, Listing, Rows, amount
from fulmen.data.checks.pairs import earliest, firsts_of, similar_pictures
from fulmen.data.checks.pictures import Picture, thumbnails
from fulmen.data.findings import Finding
from fulmen.data.image_paths import Paths

HUGE = 50_000_000
"""Pixels of an image that takes long to decode, every time: about half a second."""
SMALL = 0.5
"""Share of ``image_size`` below which a shorter side is small: half of what the network sees is made up."""
COMPARED = 64
"""Shorter side, in pixels, from which images are compared: smaller ones (digits, icons) are alike by nature."""


def check_images(listing: Listing) -> Iterator[Finding]:
    """What is to be said of image files.

    Args:
        listing: All samples; each data set has ``paths``.
    """
    seen = look_once(path for split in listing.present for path in _names(listing.dataset(split).paths))
    pictures = [picture for _, picture in seen]
    good = np.array([not picture.error for picture in pictures], np.bool_)
    yield from _broken(listing, pictures, np.flatnonzero(~good))
    sides = np.array([(picture.width, picture.height) for picture in pictures]).reshape(-1, 2)
    yield from _sizes(listing, sides, good)
    thumbs = thumbnails(pictures)
    blank = good & (np.ptp(thumbs.reshape(len(thumbs), -1), axis=1) == 0) & (sides.min(axis=1) > 1)
    first = firsts_of([digest if good[i] else str(i) for i, (digest, _) in enumerate(seen)])
    yield from _blank(listing, np.flatnonzero(blank & (first == np.arange(len(first)))))
    yield from repeats(listing, first, "image")
    once = good & ~blank & (first == np.arange(len(first))) & (sides.min(axis=1) >= COMPARED)
    yield from repeats(listing, _nearly(thumbs, np.flatnonzero(once)), "image", near=True)


def _names(paths: Iterable[str | Path]) -> Iterator[str]:
    """Paths as text; a million of them are not made into objects first."""
    if isinstance(paths, Paths):
        root = os.path.abspath(paths.root)
        yield from (os.path.join(root, paths.relative(row)) for row in range(len(paths)))
    else:
        yield from (os.path.abspath(path) for path in paths)


def skipped_files(data: Any) -> Iterator[Finding]:
    """Files that are passed over, since they are no images."""
    skipped, root = getattr(data, "skipped", ()), str(getattr(data, "root", ""))
    if len(skipped):
        what = amount(len(skipped), "file is no image, and is passed over", "files are no images, and are passed over")
        where = tuple(str(path).removeprefix(f"{root}/") for path in skipped[:PLACES])
        yield Finding("skipped_files", "note", what, where, len(skipped), "remove them, or save them as JPEG or PNG")


def _nearly(thumbs: NDArray[np.uint8], rows: Rows) -> Rows:
    """The first image that each of these rows is nearly the same as; all others are their own."""
    first = np.arange(len(thumbs))
    first[rows] = rows[earliest(len(rows), similar_pictures(thumbs[rows]))]
    return first


def _broken(listing: Listing, pictures: Sequence[Picture], rows: Rows) -> Iterator[Finding]:
    if not len(rows):
        return
    where = tuple(f"{listing.place(i)}: {pictures[i].error}" for i in rows[:PLACES].tolist())
    what = amount(len(rows), "image file cannot be decoded", "image files cannot be decoded")
    yield Finding("corrupt_files", "error", what, where, len(rows), "repair or remove them")


def _sizes(listing: Listing, sides: NDArray[np.int64], good: NDArray[np.bool_]) -> Iterator[Finding]:
    huge = np.flatnonzero(good & (sides.prod(axis=1) > HUGE))
    if len(huge):
        what = (
            amount(len(huge), "image has", "images have") + f" more than {HUGE // 10**6} million pixels: slow to decode"
        )
        fix = "save them smaller, or set data.cache: disk"
        yield _sized(listing, "huge_images", what, huge, sides, fix)
    size = getattr(listing.data, "image_size", None)
    if not isinstance(size, int):
        return
    small = np.flatnonzero(good & (sides.min(axis=1) < SMALL * size))
    if len(small):
        what = amount(len(small), "image is", "images are") + f" less than half as large as data.image_size ({size})"
        yield _sized(
            listing, "small_images", what, small, sides, "lower data.image_size, or look whether they are meant"
        )


def _sized(listing: Listing, check: str, what: str, rows: Rows, sides: NDArray[np.int64], fix: str) -> Finding:
    where = tuple(f"{listing.place(i)} ({sides[i, 0]} x {sides[i, 1]})" for i in rows[:PLACES].tolist())
    return Finding(check, "warning", what, where, len(rows), fix)


def _blank(listing: Listing, rows: Rows) -> Iterator[Finding]:
    if len(rows):
        what = amount(len(rows), "image is of one colour all over", "images are of one colour all over")
        yield listing.finding(
            "blank_images", "warning", what, rows, "remove them, if that is not what they should show"
        )
