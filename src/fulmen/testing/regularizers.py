"""The checks of a regularizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fulmen.testing import options as shared
from fulmen.testing import regularizer_penalty, regularizer_training, regularizer_use
from fulmen.testing.kit import checks_of, make_test
from fulmen.testing.regularizer_subject import RegularizerSubject

CHECKS = checks_of("regularizer", shared, regularizer_penalty, regularizer_training, regularizer_use)
"""Name -> check."""


def check_regularizer(
    component: Any,
    *,
    options: Mapping[str, Any] | None = None,
    activation: Any = "relu",
    expected_failures: Mapping[str, str] | None = None,
    allowed_skips: Mapping[str, str] | None = None,
) -> Callable[..., None]:
    """A test of a regularizer, one item for each check of :data:`CHECKS`.

    Args:
        component: The subclass of :class:`fulmen.nn.Regularizer`, or what a config calls it.
        options: Its options, as a config gives them.
        activation: Spec of the activation of the networks that it is checked with.
        expected_failures: Check -> why it fails; a check that passes all the same fails the test.
        allowed_skips: Check -> why it may be skipped.

    Raises:
        ValueError: If a check is not known or has no reason.

    >>> test_l1 = check_regularizer("l1", options={"weight": 1e-3})
    """
    subject = RegularizerSubject("regularizer", component, dict(options or {}), activation)
    return make_test(CHECKS, subject, expected_failures, allowed_skips)
