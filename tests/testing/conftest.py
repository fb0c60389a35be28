"""What the tests of the kit share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fulmen.testing import options
from fulmen.testing.kit import Check, Subject, run_check
from fulmen.testing.listed import LISTED

pytest_plugins = ["pytester"]

SHARED = {name for name in LISTED["activation"] if hasattr(options, name)}


@pytest.fixture
def fails() -> Callable[..., None]:
    """Asserts that a subject fails a check, with a message."""

    def run(check: Check, subject: Subject, message: str, error: type[Exception] = AssertionError) -> None:
        with pytest.raises(error, match=message):
            run_check(check, subject)

    return run


@pytest.fixture
def covers() -> Callable[[str, Any], None]:
    """Asserts that a table of broken components has one at least for each check of a kind but the shared ones."""

    def compare(kind: str, cases: Any) -> None:
        assert {case[0] for case in cases} == set(LISTED[kind]) - SHARED

    return compare
