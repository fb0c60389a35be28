"""What came of a search."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fulmen.core.errors import ConfigError
from fulmen.workflows.tuning.space import Space

Mode = Literal["min", "max"]
State = Literal["complete", "pruned", "failed", "running", "waiting", "restarted"]


@dataclass(frozen=True)
class TrialResult:
    """One trial.

    Attributes:
        number: Counted from 0.
        state: ``complete``, ``pruned`` (stopped early), ``failed``, ``running``, ``waiting`` (in the queue), or
            ``restarted`` (its process ended, and another trial took its place).
        value: The score; ``None`` where it has none. That of a pruned trial is the last it reported.
        params: Name of a parameter -> number or label.
        values: Key of a config -> value.
        seconds: How long it took.
        facts: What the objective noted, such as ``epochs``.
        reason: Why it failed.
    """

    number: int
    state: State
    value: float | None
    params: Mapping[str, Any]
    values: Mapping[str, Any]
    seconds: float
    facts: Mapping[str, Any]
    reason: str = ""


@dataclass(frozen=True)
class SearchResult:
    """All trials of a study.

    Attributes:
        space: What was varied.
        mode: Whether less (``min``) or more (``max``) is better.
        trials: In order of their numbers.
    """

    space: Space
    mode: Mode
    trials: Sequence[TrialResult]

    def of(self, *states: State) -> list[TrialResult]:
        """The trials in these states."""
        return [trial for trial in self.trials if trial.state in states]

    @property
    def ranked(self) -> list[TrialResult]:
        """Complete trials, the best first; of equals the first."""
        sign = -1 if self.mode == "max" else 1
        complete = [t for t in self.trials if t.state == "complete" and t.value is not None]
        return sorted(complete, key=lambda t: (sign * (t.value or 0.0), t.number))

    @property
    def best(self) -> TrialResult:
        """The best trial.

        Raises:
            ConfigError: If none came to its end; the message has the commonest reason.
        """
        if self.ranked:
            return self.ranked[0]
        failed = self.of("failed")
        if not failed:
            raise ConfigError("no trial of this study has come to its end")
        (reason, count), *_ = Counter(trial.reason for trial in failed).most_common(1)
        how_many = f"all {len(failed)} trials failed" if len(failed) > 1 else "the only trial failed"
        often = "" if count == len(failed) else f"; {count} of them"
        raise ConfigError(f"{how_many}{often}: {reason}")
