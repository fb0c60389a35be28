"""Which of several models to take: the simplest of those that cannot be told from the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fulmen.core.errors import ConfigError
from fulmen.workflows.paired_tests import Difference

Rule = Literal["significance", "one_standard_error"]
_SAME_TIME = 1.25
"""Training times that differ by less than this factor count as equal: clocks differ that much between two runs."""


@dataclass(frozen=True)
class Candidate:
    """A model that may be chosen.

    Attributes:
        name: Of the run.
        score: Of the metric.
        parameters: How many; ``None`` where that is not known.
        seconds: Of training; ``None`` where that is not known.
        behind: How far it is behind the best, best minus this one, positive where it is worse; ``None`` for the best.
        p_value: Of that difference, corrected for the number of tests; ``None`` for the best.
    """

    name: str
    score: float
    parameters: int | None
    seconds: float | None
    behind: Difference | None = None
    p_value: float | None = None


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        name: The run.
        best: The run with the best score.
        within_noise: Runs that cannot be told from the best, itself among them.
        reason: In a sentence, with the numbers.
    """

    name: str
    best: str
    within_noise: list[str]
    reason: str


def choose(candidates: Sequence[Candidate], metric: str, rule: Rule = "significance", level: float = 0.95) -> Choice:
    """Chooses the simplest of the models whose difference to the best is within noise.

    What more parameters buy has to show; else the smaller model is cheaper to run, and less likely to have been picked
    for its luck. Of those within noise, the fewest parameters win, then the shortest training (times that differ by
    less than a quarter count as equal), then the score.

    Args:
        candidates: Scored on the same samples. The first without ``behind`` is the best.
        metric: Name of the score, for the reason.
        rule: What "within noise" means. ``significance``: the paired difference to the best is not significant at
            ``1 - level``. ``one_standard_error``: it is at most one standard error of that difference (Breiman et al.
            1984, section 3.4.3), which is stricter: a simpler model must be nearly as good.
        level: Of the tests.

    Raises:
        ConfigError: If there is no candidate, or no best one.
    """
    best = next((c for c in candidates if c.behind is None), None)
    if best is None:
        raise ConfigError("candidates: none is given that is not behind another; the best has behind=None")
    near = [c for c in candidates if c is best or _within_noise(c, rule, level)]
    fewest = min((c.parameters for c in near if c.parameters is not None), default=None)
    if fewest is None or best.parameters is None:
        return Choice(best.name, best.name, [c.name for c in near], _best_reason(best, metric, near, rule, known=False))
    small = [c for c in near if c.parameters == fewest]
    quickest = min((c.seconds for c in small if c.seconds is not None), default=None)
    if quickest is not None:
        small = [c for c in small if c.seconds is not None and c.seconds <= _SAME_TIME * quickest] or small
    order = list(candidates)
    taken = best if best in small else min(small, key=order.index)
    reason = _best_reason(best, metric, near, rule) if taken is best else _simpler_reason(taken, best, metric, level)
    return Choice(taken.name, best.name, [c.name for c in near], reason)


def _within_noise(candidate: Candidate, rule: Rule, level: float) -> bool:
    behind = candidate.behind
    assert behind is not None
    if rule == "one_standard_error":
        return behind.interval.value <= behind.standard_error
    return candidate.p_value is not None and candidate.p_value > 1 - level


def _best_reason(best: Candidate, metric: str, near: Sequence[Candidate], rule: Rule, known: bool = True) -> str:
    noise = "noise" if rule == "significance" else "one standard error"
    said = f"{best.name} has the best {metric}, {best.score:.4g}"
    others = len(near) - 1
    if not others:
        return f"{said}, and every other run is behind it by more than {noise}."
    runs = "one other run is" if others == 1 else f"{others} other runs are"
    if not known:
        return f"{said}; {runs} within {noise} of it, but how many parameters they have was not recorded."
    return f"{said}; {runs} within {noise} of it, but none of them is smaller or trains faster."


def _simpler_reason(taken: Candidate, best: Candidate, metric: str, level: float) -> str:
    behind = taken.behind
    assert behind is not None
    assert taken.parameters is not None
    assert best.parameters is not None
    found = behind.interval
    noise = (
        f"its {metric} of {taken.score:.4g} is within noise of the best, {best.score:.4g} of {best.name} "
        f"(behind by {found.value:.2g}, {level:.0%} interval {found.low:.2g} to {found.high:.2g}"
        + (f", p = {taken.p_value:.2g})" if taken.p_value is not None else ")")
    )
    if taken.parameters < best.parameters:
        times = best.parameters / max(taken.parameters, 1)
        gain = f"it has {taken.parameters:,} parameters instead of {best.parameters:,} ({times:.3g} times fewer)"
    else:
        gain = f"it has as many parameters ({taken.parameters:,}) and trained in {taken.seconds:.3g} s instead of "
        gain += f"{best.seconds:.3g} s" if best.seconds is not None else "an unknown time"
    return f"{taken.name}: {noise}, and {gain}."
