"""Which model is taken."""

from __future__ import annotations

import pytest

from fulmen.core.errors import ConfigError
from fulmen.evaluation import Interval
from fulmen.workflows.choice import Candidate, choose
from fulmen.workflows.paired_tests import Difference


def behind(value: float, error: float = 0.01) -> Difference:
    return Difference(Interval(value, value - 2 * error, value + 2 * error), error, 0.5)


def worse(name: str, by: float, p: float, parameters: int | None = 10, seconds: float = 1.0) -> Candidate:
    return Candidate(name, 0.9 - by, parameters, seconds, behind(by), p)


BEST = Candidate("best", 0.9, 1000, 10.0)


def test_the_simplest_within_noise_is_taken_and_the_reason_has_its_numbers() -> None:
    found = choose([BEST, worse("small", 0.012, 0.4, 100), worse("bad", 0.2, 0.001, 1)], "accuracy")
    assert (found.name, found.best, found.within_noise) == ("small", "best", ["best", "small"])
    for part in ("0.888", "0.9", "0.012", "p = 0.4", "100 parameters instead of 1,000 (10 times fewer)"):
        assert part in found.reason, found.reason


def test_one_standard_error_is_stricter() -> None:
    candidates = [BEST, worse("small", 0.012, 0.4, 100), worse("close", 0.009, 0.8, 500)]
    assert choose(candidates, "accuracy").name == "small"
    assert choose(candidates, "accuracy", "one_standard_error").name == "close"


def test_the_best_stays_where_the_others_are_worse() -> None:
    found = choose([BEST, worse("bad", 0.2, 0.001)], "accuracy")
    assert found.name == "best"
    assert "more than noise" in found.reason


def test_of_one_size_the_quicker_is_taken_but_clocks_are_not_trusted_to_the_second() -> None:
    assert choose([BEST, worse("quick", 0.01, 0.5, 1000, 2.0)], "accuracy").name == "quick"
    assert choose([BEST, worse("as quick", 0.01, 0.5, 1000, 9.0)], "accuracy").name == "best"


def test_a_larger_one_is_not_taken() -> None:
    found = choose([BEST, worse("large", 0.001, 0.9, 5000, 1.0)], "accuracy")
    assert found.name == "best"
    assert "none of them is smaller" in found.reason


def test_unknown_sizes_leave_the_best() -> None:
    found = choose([Candidate("best", 0.9, None, None), worse("x", 0.01, 0.5, None)], "accuracy")
    assert found.name == "best"
    assert "not recorded" in found.reason


def test_somebody_must_lead() -> None:
    with pytest.raises(ConfigError, match="behind=None"):
        choose([worse("x", 0.1, 0.1)], "accuracy")
