"""The search: trial after trial, until the queue is empty."""

from __future__ import annotations

import contextlib
import json
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fulmen.core.errors import ConfigError, FulmenError
from fulmen.workflows.memory import give_back
from fulmen.workflows.tuning.results import Mode, SearchResult, TrialResult
from fulmen.workflows.tuning.space import Space
from fulmen.workflows.tuning.space_reading import read_space
from fulmen.workflows.tuning.study import Study

if TYPE_CHECKING:
    import optuna


class Pruned(Exception):  # noqa: N818  # no error: the trial is as good as done
    """A trial is stopped early."""


class SearchError(ConfigError):
    """A mistake that every trial would make: it ends the search."""


@dataclass
class Attempt:
    """A trial, for the objective.

    Attributes:
        number: Counted from 0.
        values: Key -> value to try.
        facts: What the objective wants kept, of JSON's types.
    """

    number: int
    values: Mapping[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)
    trial: optuna.Trial | None = None

    def report(self, value: float, step: int) -> None:
        """Says how good the trial is so far.

        Args:
            value: The score.
            step: Epochs, or folds, so far; counted from 0.

        Raises:
            Pruned: If others did better by then.
        """
        assert self.trial is not None
        self.trial.report(value, step)
        if self.trial.should_prune():
            raise Pruned


_ALIKE = 3
"""So many trials that fail first, with one and the same message, say that the rest would."""
Objective = Callable[[Attempt], float]


def tune(
    objective: Objective,
    space: Mapping[str, Any] | Space,
    trials: int | None = None,
    sampler: str = "tpe",
    mode: Mode = "max",
    pruner: str = "none",
    storage: str | None = None,
    name: str = "study",
    seed: int = 0,
    announce: Callable[[TrialResult, SearchResult], None] | None = None,
) -> SearchResult:
    """Searches for the values that an objective likes best.

    A trial that raises an error, or scores what is no number, is recorded as failed, and the search goes on. With a
    ``storage`` a search that was stopped goes on where it was, when it is called again.

    Args:
        objective: Given an :class:`Attempt`, returns its score.
        space: See :func:`fulmen.workflows.tuning.read_space`.
        trials: How many in all; ``None``: all cells of a grid, else 20.
        sampler: ``tpe``, ``random`` or ``grid``.
        mode: Whether less (``min``) or more (``max``) is better.
        pruner: ``median``, ``halving``, ``hyperband`` or ``none``; asked by ``attempt.report``.
        storage: ``sqlite:///study.db``, ``journal:study.log``, ...; ``None``: in memory.
        name: Of the study in the storage.
        seed: Of the sampler.
        announce: Called after each trial, with it and all so far.

    Raises:
        ConfigError: If an argument is wrong.

    >>> def parabola(attempt):
    ...     return (attempt.values["x"] - 2) ** 2
    >>> found = tune(parabola, {"x": [0, 1, 2, 3]}, sampler="grid", mode="min")
    >>> found.best.number, found.best.values, found.best.value
    (2, {'x': 2}, 0.0)
    """
    read = space if isinstance(space, Space) else read_space(space)
    study = Study(read, name, storage, sampler, mode, seed, pruner)
    study.agree({})
    study.fill(trials)
    work(study, objective, announce)
    return study.results()


def work(
    study: Study, objective: Objective, announce: Callable[[TrialResult, SearchResult], None] | None = None
) -> None:
    """Runs trials until none waits; other processes may do the same with the same study.

    Raises:
        SearchError: If no trial can succeed, as the objective or the first trials say.
        KeyboardInterrupt: If a person stops it; the trial that ran is queued again.
    """
    with study.alive():
        while True:
            trial = study.claim()
            if trial is None and not study.restart_dead():
                return
            if trial is not None:
                hopeless = _run(study, trial, objective)
                found = study.results()
                if announce is not None:
                    announce(next(t for t in found.trials if t.number == trial.number), found)
                if hopeless:
                    _stop_if_all_alike(found)


def _stop_if_all_alike(found: SearchResult) -> None:
    """Ends a search whose config is wrong, whatever is tried."""
    failed = found.of("failed")
    if len(failed) >= _ALIKE and len({t.reason for t in failed}) == 1 and not found.of("complete", "pruned"):
        raise SearchError(f"the first {len(failed)} trials all failed, and so would the rest: {failed[0].reason}")


def _run(study: Study, trial: optuna.Trial, objective: Objective) -> bool:
    """Runs a trial; tells whether it failed with a message for people, which a wrong config gives."""
    from optuna.trial import TrialState

    began = time.perf_counter()
    attempt = Attempt(trial.number, {}, trial=trial)
    state, value, reason, wrong = TrialState.FAIL, None, "", False
    try:
        with _interruptible():
            attempt.values = study.suggest(trial)
            trial.set_user_attr("values", json.dumps(attempt.values))
            value = _known(study, attempt)
            value = float(objective(attempt)) if value is None else value
        if math.isfinite(value):
            state = TrialState.COMPLETE
        else:
            reason, value = f"the score is {value}, which is no number to compare", None
    except Pruned:
        state = TrialState.PRUNED
    except (KeyboardInterrupt, SystemExit):
        study.release(trial, "stopped by hand")
        raise KeyboardInterrupt from None
    except SearchError:
        study.release(trial, "the search was stopped")
        raise
    except Exception as error:
        reason, wrong = said(error), isinstance(error, FulmenError)
    trial.set_user_attr("seconds", time.perf_counter() - began)
    if attempt.facts:
        trial.set_user_attr("facts", json.dumps(attempt.facts))
    if reason:
        trial.set_user_attr("reason", reason)
        give_back()  # it may have been short of memory
    study.optuna.tell(trial, value, state)
    return wrong


def _known(study: Study, attempt: Attempt) -> float | None:
    """The value of a complete trial of the same values: the same seed would give it again."""
    if study.space.size is None or study.sampler == "grid":
        return None
    for trial in study.results().ranked:
        if trial.values == attempt.values and trial.number != attempt.number:
            attempt.facts.update({**trial.facts, "same_as": trial.number})
            return trial.value
    return None


def said(error: BaseException) -> str:
    """What an error says, on one line."""
    text = " ".join(str(error).split()) or "no message"
    text = text if len(text) <= 300 else f"{text[:297]}..."
    return text if isinstance(error, FulmenError) else f"{type(error).__name__}: {text}"


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Takes back that Lightning ignores Ctrl-C once it has had one."""
    try:
        before = signal.getsignal(signal.SIGINT)
        yield
    finally:
        with contextlib.suppress(ValueError, TypeError):  # in a thread
            signal.signal(signal.SIGINT, before)
