"""The checks of an image augmentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fulmen.testing import image_alignment, image_pixels, image_randomness, probability
from fulmen.testing import options as shared
from fulmen.testing.image_subject import ImageAugmentation
from fulmen.testing.kit import checks_of, make_test

CHECKS = checks_of("image augmentation", shared, probability, image_pixels, image_randomness, image_alignment)
"""Name -> check."""


def check_image_augmentation(
    component: Any,
    *,
    options: Mapping[str, Any] | None = None,
    deterministic: bool = False,
    expected_failures: Mapping[str, str] | None = None,
    allowed_skips: Mapping[str, str] | None = None,
) -> Callable[..., None]:
    """A test of an image augmentation, one item for each check of :data:`CHECKS`.

    Args:
        component: The class or function, declared as an entry point, or what a config calls it.
        options: Its options, as a config gives them.
        deterministic: It draws no random numbers: each image always becomes the same.
        expected_failures: Check -> why it fails; a check that passes all the same fails the test.
        allowed_skips: Check -> why it may be skipped.

    Raises:
        ValueError: If a check is not known or has no reason.
    """
    subject = ImageAugmentation("image augmentation", component, dict(options or {}), deterministic)
    return make_test(CHECKS, subject, expected_failures, allowed_skips)
