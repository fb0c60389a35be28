"""A study: a queue of trials in a storage, which any number of processes work on."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fulmen.callbacks.pruning import make_pruner, open_storage
from fulmen.core.errors import ConfigError, unknown
from fulmen.workflows.config_differences import changes, flat
from fulmen.workflows.tuning.results import Mode, SearchResult, State, TrialResult
from fulmen.workflows.tuning.space import Parameter, Range, Space
from fulmen.workflows.tuning.workers import beating, has_ended, this_worker

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

SAMPLERS = ("tpe", "random", "grid")
_RETRIES = 2
"""How often a trial whose process ended is started again."""
_SLOT, _WORKER, _CLAIM, _FACTS, _ALIVE = "slot", "worker", "claim ", "facts", "alive "


class Study:
    """Trials of a space, in a storage.

    Each trial has a *slot*, a number from 0 to the number of trials: of a grid the cell, else the place in the order.
    All are queued when the study is made, and claimed one by one; the storage sees to it that a trial has one claimant.
    So each is run exactly once, however many processes there are. A trial whose process ended is queued again.

    Args:
        space: What is varied.
        name: Of the study in the storage.
        storage: See :func:`fulmen.callbacks.pruning.open_storage`; ``None``: in memory.
        sampler: ``tpe`` (Bergstra et al. 2011, https://papers.nips.cc/paper/4443), ``random``, or ``grid`` (all
            combinations, each once).
        mode: Whether less (``min``) or more (``max``) is better.
        seed: Of the sampler. What a trial is given depends on this, its number, and (of ``tpe``) the trials before it.
        pruner: See :func:`fulmen.callbacks.pruning.make_pruner`.
        after: Its first steps, in which nothing is pruned.
        most: The most steps a trial has.

    Raises:
        ConfigError: If the sampler is unknown, or the storage cannot be opened.
    """

    def __init__(
        self,
        space: Space,
        name: str = "study",
        storage: str | None = None,
        sampler: str = "tpe",
        mode: Mode = "max",
        seed: int = 0,
        pruner: str = "none",
        after: int = 0,
        most: int = 100,
    ) -> None:
        import optuna

        if sampler not in SAMPLERS:
            raise ConfigError(f"sampler: {unknown('sampler', sampler, SAMPLERS)}")
        logging.getLogger("optuna").setLevel(logging.ERROR)  # it would tell of each trial in words of its own
        self.space, self.name, self.sampler, self.mode, self.seed = space, name, sampler, mode, seed
        self.storage = optuna.storages.InMemoryStorage() if storage is None else open_storage(storage)
        self.optuna = optuna.create_study(
            storage=self.storage,
            study_name=name,
            direction="minimize" if mode == "min" else "maximize",
            pruner=make_pruner(pruner, after, most),
            load_if_exists=True,
        )
        self.worker = this_worker()
        self._cells = space.cells() if sampler == "grid" else None

    # What a study is of

    def agree(self, facts: Mapping[str, Any]) -> None:
        """Notes what the study is of; for one that is older, compares.

        Args:
            facts: Of JSON's types, such as the config and the metric.

        Raises:
            ConfigError: If the study is of something else.
        """
        mine = {"space": self.space.describe(), "sampler": self.sampler, "mode": self.mode, "seed": self.seed, **facts}
        stored = self.optuna.user_attrs.get(_FACTS)
        if stored is None:
            self.optuna.set_user_attr(_FACTS, json.dumps(mine))
            return
        lines = changes(flat(json.loads(stored)), flat(json.loads(json.dumps(mine))))
        if lines:
            raise ConfigError(
                f"study: {self.name} is of something else, and its trials would not compare:\n  "
                + "\n  ".join(lines)
                + "\n"
                "Give what it was made with, or leave --study out, which makes a new one."
            )

    @property
    def facts(self) -> dict[str, Any]:
        """What :meth:`agree` noted."""
        stored = self.optuna.user_attrs.get(_FACTS)
        return json.loads(stored) if stored else {}

    # The queue

    def fill(self, trials: int | None) -> int:
        """Queues what is missing; call it in one process at a time.

        Args:
            trials: How many the study shall have in all; ``None``: all cells of a grid, else 20.

        Returns:
            How many it has in all.
        """
        self.restart_dead()
        slots = self._slots(trials)
        taken = {t.user_attrs.get(_SLOT) for t in self._frozen() if not t.user_attrs.get("superseded")}
        for slot in slots:
            if slot not in taken:
                params = {} if self._cells is None else self._cells[slot]
                self.optuna.enqueue_trial(params, user_attrs={_SLOT: slot})
        return len(taken | set(slots))

    def _slots(self, trials: int | None) -> list[int]:
        if self._cells is None:
            return list(range(20 if trials is None else trials))
        if trials is None or trials >= len(self._cells):
            return list(range(len(self._cells)))
        return np.random.default_rng(self.seed).permutation(len(self._cells))[:trials].tolist()  # type: ignore[no-any-return]

    def claim(self) -> optuna.Trial | None:
        """The next trial of the queue, which is this process's from now on; ``None`` where the queue is empty."""
        from optuna.trial import Trial, TrialState

        trials = self._frozen()
        for waiting in (t for t in trials if t.state == TrialState.WAITING):
            if not self._take(waiting):
                continue
            if _surplus(waiting, trials):
                self.storage.set_trial_user_attr(self._id(waiting), "superseded", True)
                self._move(waiting, TrialState.FAIL)
                continue
            self.optuna.sampler = self._sampler(waiting.number)
            return Trial(self.optuna, self._id(waiting))
        return None

    def _take(self, waiting: FrozenTrial) -> bool:
        """Whether this process is the one that may run a trial.

        Who is about to take it is noted first: a process that is killed before it could say that the trial is its own
        is known all the same.
        """
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        number, mine = self._id(waiting), _CLAIM + self.worker
        try:
            self.storage.set_trial_user_attr(number, mine, True)
            if self.storage.set_trial_state_values(number, TrialState.RUNNING):
                self.storage.set_trial_user_attr(number, _WORKER, self.worker)
                return True
            self.storage.set_trial_user_attr(number, mine, False)
        except UpdateFinishedTrialError:  # claimed and finished by another process
            pass
        return False

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Key -> value of a trial that was claimed."""

        def pick(name: str, parameter: Parameter) -> Any:
            if not isinstance(parameter, Range):
                return trial.suggest_categorical(name, list(parameter.options))
            if parameter.whole:
                step = 1 if parameter.step is None else int(parameter.step)
                return trial.suggest_int(name, int(parameter.low), int(parameter.high), step=step, log=parameter.log)
            return trial.suggest_float(name, parameter.low, parameter.high, step=parameter.step, log=parameter.log)

        return self.space.values(pick)

    def release(self, trial: optuna.Trial, reason: str) -> None:
        """Ends a trial that could not come to its end, and queues it again."""
        frozen = next(t for t in self._frozen() if t.number == trial.number)
        self._restart(frozen, reason, frozen.user_attrs.get("tries", 0))

    def restart_dead(self) -> int:
        """Queues the trials again whose process has ended without a word; tells how many."""
        from optuna.trial import TrialState

        beats = self.optuna.user_attrs
        dead = [t for t in self._frozen(TrialState.RUNNING) if self._is_dead(t, beats)]
        for trial in dead:
            tries = trial.user_attrs.get("tries", 0) + 1
            often = f" {tries} times" if tries > 1 else ""
            reason = f"its process ended without a word{often} (killed, or out of memory?)"
            self._restart(trial, reason, tries if tries <= _RETRIES else None)
        return len(dead)

    def _restart(self, trial: FrozenTrial, reason: str, tries: int | None) -> None:
        """Ends a trial; queues it again unless it was tried too often, which is ``None``."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        number = self._id(trial)
        try:
            self.storage.set_trial_user_attr(number, "reason", reason)
            if tries is not None:
                self.storage.set_trial_user_attr(number, "superseded", True)
            self.storage.set_trial_state_values(number, TrialState.FAIL)
        except UpdateFinishedTrialError:  # another process was faster
            return
        if tries is not None:
            known = {"tries": tries, _SLOT: trial.user_attrs.get(_SLOT)}
            # what it was to take: one that was killed early has not taken all of it
            given = trial.system_attrs.get("fixed_params", {})
            self.optuna.enqueue_trial({**given, **trial.params}, user_attrs=known)

    def _is_dead(self, trial: FrozenTrial, beats: Mapping[str, Any]) -> bool:
        noted = trial.user_attrs
        claims = [key.removeprefix(_CLAIM) for key, holds in noted.items() if key.startswith(_CLAIM) and holds]
        workers = [noted[_WORKER]] if _WORKER in noted else claims
        began = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
        heard = {worker: max(began, float(beats.get(_ALIVE + worker, 0.0))) for worker in workers}
        return bool(heard) and all(worker != self.worker and has_ended(worker, at) for worker, at in heard.items())

    def alive(self) -> contextlib.AbstractContextManager[None]:
        """Inside, other processes are told now and then that this one is at work."""
        return beating(lambda: self.optuna.set_user_attr(_ALIVE + self.worker, time.time()))

    # Results

    def results(self) -> SearchResult:
        """All trials as they stand."""
        return SearchResult(self.space, self.mode, [self._result(trial) for trial in self._frozen()])

    def _result(self, trial: FrozenTrial) -> TrialResult:
        noted = trial.user_attrs
        state: State = "restarted" if noted.get("superseded") else _STATES[trial.state.name]
        values = json.loads(noted["values"]) if "values" in noted else {}
        facts = json.loads(noted["facts"]) if "facts" in noted else {}
        seconds, reason = noted.get("seconds", 0.0), noted.get("reason", "")
        return TrialResult(trial.number, state, trial.value, trial.params, values, seconds, facts, reason)

    # The storage

    def _frozen(self, *states: optuna.trial.TrialState) -> list[FrozenTrial]:
        return self.optuna.get_trials(deepcopy=False, states=states or None)  # what is finished is read once

    @property
    def _study_id(self) -> int:
        return self.storage.get_study_id_from_name(self.name)

    def _id(self, trial: FrozenTrial) -> int:
        return self.storage.get_trial_id_from_study_id_trial_number(self._study_id, trial.number)

    def _move(self, trial: FrozenTrial, state: optuna.trial.TrialState) -> bool:
        from optuna.exceptions import UpdateFinishedTrialError

        try:
            return self.storage.set_trial_state_values(self._id(trial), state)
        except UpdateFinishedTrialError:  # claimed and finished by another process
            return False

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        """One for each trial: a process that goes on later draws what comes next, not the first again."""
        from optuna import samplers

        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        if self.sampler == "tpe":
            return samplers.TPESampler(seed=seed, constant_liar=True)
        return samplers.RandomSampler(seed=seed)


def _surplus(trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> bool:
    """Whether an earlier trial has the same slot: two processes that share no folder filled the queue at once."""
    slot = trial.user_attrs.get(_SLOT)
    same = [t for t in trials if t.number < trial.number and t.user_attrs.get(_SLOT) == slot]
    return not all(t.user_attrs.get("superseded") for t in same)


_STATES: dict[str, State] = {
    "COMPLETE": "complete",
    "PRUNED": "pruned",
    "FAIL": "failed",
    "RUNNING": "running",
    "WAITING": "waiting",
}
