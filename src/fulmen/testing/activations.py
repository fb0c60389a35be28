"""The checks of an activation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fulmen.core.errors import ConfigError
from fulmen.testing import activation_numbers, activation_use
from fulmen.testing import options as shared
from fulmen.testing.activation_subject import Activation
from fulmen.testing.kit import checks_of, make_test

CHECKS = checks_of("activation", shared, activation_numbers, activation_use)
"""Name -> check."""


def check_activation(
    component: Any,
    *,
    options: Mapping[str, Any] | None = None,
    divides: int = 1,
    stochastic: bool = False,
    expected_failures: Mapping[str, str] | None = None,
    allowed_skips: Mapping[str, str] | None = None,
) -> Callable[..., None]:
    """A test of an activation, one item for each check of :data:`CHECKS`.

    Args:
        component: The class, a function that makes one, or what a config calls it.
        options: Its options, as a config gives them.
        divides: It gives ``1 / divides`` of the features of dimension 1 (2 for gated linear units).
        stochastic: It draws random numbers in training.
        expected_failures: Check -> why it fails; a check that passes all the same fails the test.
        allowed_skips: Check -> why it may be skipped (``onnx`` without onnx installed, say).

    Raises:
        ConfigError: If ``divides`` is below 1.
        ValueError: If a check is not known or has no reason.

    >>> test_relu = check_activation("relu", expected_failures={"onnx": "an example"})
    """
    if divides < 1:
        raise ConfigError(f"divides: {divides} is out of range; allowed: at least 1")
    subject = Activation("activation", component, dict(options or {}), divides, stochastic)
    return make_test(CHECKS, subject, expected_failures, allowed_skips)
