"""The checks of a data module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fulmen.testing import data_batches, data_splits
from fulmen.testing import options as shared
from fulmen.testing.data_subject import DataModule
from fulmen.testing.kit import checks_of, make_test

CHECKS = checks_of("datamodule", shared, data_batches, data_splits)
"""Name -> check."""


def check_datamodule(
    component: Any,
    *,
    options: Mapping[str, Any] | None = None,
    expected_failures: Mapping[str, str] | None = None,
    allowed_skips: Mapping[str, str] | None = None,
) -> Callable[..., None]:
    """A test of a data module, one item for each check of :data:`CHECKS`.

    Args:
        component: The subclass of :class:`fulmen.data.SupervisedDataModule`, another LightningDataModule with its
            four facts, or the dotted path of one.
        options: Its options, as a config gives them; a small set keeps the checks fast.
        expected_failures: Check -> why it fails; a check that passes all the same fails the test.
        allowed_skips: Check -> why it may be skipped.

    Raises:
        ValueError: If a check is not known or has no reason.
    """
    subject = DataModule("datamodule", component, dict(options or {}))
    return make_test(CHECKS, subject, expected_failures, allowed_skips)
