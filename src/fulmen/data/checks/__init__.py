"""Looks at data before a model is trained on them.

What is looked at depends on what the data sets of a datamodule offer: ``targets`` (with ``rows``, if they are those
of all splits); ``paths`` of image files; ``texts``; ``inputs`` in memory; ``places`` in tables.
A datamodule adds checks of its own in :meth:`fulmen.data.SupervisedDataModule.checks`.
"""

from __future__ import annotations

from collections.abc import Iterator

from fulmen.data.base import SupervisedDataModule, TensorRows
from fulmen.data.checks.arrays import check_arrays
from fulmen.data.checks.files import check_images, skipped_files
from fulmen.data.checks.labels import check_labels
from fulmen.data.checks.listing import Listing
from fulmen.data.checks.tables import check_tables
from fulmen.data.checks.texts import check_texts
from fulmen.data.findings import Finding

_ORDER = ("error", "warning", "note")


def check_data(data: SupervisedDataModule) -> list[Finding]:
    """Builds the data sets and looks at them.

    Args:
        data: The datamodule.

    Returns:
        What was found: errors, then warnings, then notes.

    Raises:
        DataError: If the data sets cannot be built.

    >>> from fulmen.data import ArrayData
    >>> import numpy as np
    >>> data = ArrayData(np.arange(200.0).reshape(100, 2), np.repeat([0, 1, 2], [60, 38, 2]))
    >>> [(finding.severity, finding.what, finding.where) for finding in data.check()]
    [('warning', '1 class has fewer than 5 training samples', ('2 (2 training, 2 in all)',))]
    """
    data.prepare_data()
    data.setup("fit")
    return sorted(data.checks(), key=lambda finding: _ORDER.index(finding.severity))


def standard_checks(data: SupervisedDataModule) -> Iterator[Finding]:
    """The checks for what the data sets offer.

    Args:
        data: A datamodule whose data sets are built.
    """
    if "train" not in data.datasets:  # a checkpoint's data, of which only others are there
        return
    listing = Listing.of(data)
    yield from check_labels(listing)
    train = listing.dataset("train")
    if hasattr(train, "paths"):
        yield from skipped_files(data)
        yield from check_images(listing)
    elif hasattr(train, "texts"):
        yield from check_texts(listing)
    elif hasattr(train, "places"):
        yield from check_tables(listing)
    elif isinstance(train, TensorRows):
        yield from check_arrays(listing)
