"""The search itself, with objectives that cost nothing."""

from __future__ import annotations

import json
import math
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import optuna
import pytest

from fulmen.callbacks.pruning import open_storage
from fulmen.core.errors import ConfigError
from fulmen.workflows.tuning import Attempt, SearchError, Study, TrialResult, open_alone, read_space, tune, work
from fulmen.workflows.tuning.figures import draw_history, draw_importance, draw_parallel, draw_slices, importances

SPACE = {"x": [0, 1, 2, 3], "y": {"low": 0, "high": 4, "step": 2}}
CELLS = set(product([0, 1, 2, 3], [0, 2, 4]))


def distance(attempt: Attempt) -> float:
    return (attempt.values["x"] - 2) ** 2 + (attempt.values["y"] - 4) ** 2


def cell(trial: TrialResult) -> tuple[int, int]:
    return trial.values["x"], trial.values["y"]


@pytest.fixture(params=["sqlite", "journal"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/s.db" if request.param == "sqlite" else f"journal:{tmp_path}/s.log"


def test_a_grid_is_the_cartesian_product_once_each() -> None:
    found = tune(distance, SPACE, sampler="grid", mode="min")
    assert [cell(trial) for trial in found.trials] == sorted(CELLS)
    assert found.best.value == 0
    assert cell(found.best) == (2, 4)
    assert [t.value for t in found.ranked] == sorted(distance(Attempt(0, t.values)) for t in found.trials)


def test_part_of_a_grid_is_extended_by_what_is_missing(storage: str) -> None:
    part = tune(distance, SPACE, trials=5, sampler="grid", storage=storage)
    assert len({cell(t) for t in part.trials}) == 5
    whole = tune(distance, SPACE, sampler="grid", storage=storage)
    assert whole.trials[:5] == part.trials
    assert Counter(cell(t) for t in whole.trials) == Counter(CELLS)


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_search_that_goes_on_is_the_one_that_never_stopped(sampler: str, storage: str) -> None:
    space = {"x": {"low": -3.0, "high": 3.0}, "y": {"low": 1e-3, "high": 10.0, "log": True}}

    def objective(attempt: Attempt) -> float:
        return (attempt.values["x"] - 1) ** 2 + math.log(attempt.values["y"]) ** 2

    once = tune(objective, space, trials=16, sampler=sampler, mode="min", seed=3)
    tune(objective, space, trials=6, sampler=sampler, mode="min", seed=3, storage=storage)
    twice = tune(objective, space, trials=16, sampler=sampler, mode="min", seed=3, storage=storage)
    assert [dict(t.values) for t in twice.trials] == [dict(t.values) for t in once.trials]
    assert len({t.values["x"] for t in once.trials}) == 16
    other = tune(objective, space, trials=3, sampler=sampler, mode="min", seed=4)
    assert other.trials[0].values != once.trials[0].values


def test_tpe_finds_what_chance_does_not() -> None:
    """Of 60 trials, those of TPE come nearer to the optimum in most of five seeds."""
    space = {f"x{i}": {"low": -5.0, "high": 5.0} for i in range(3)}

    def bowl(attempt: Attempt) -> float:
        return sum(value**2 for value in attempt.values.values())

    wins = 0
    for seed in range(5):
        best = [tune(bowl, space, trials=60, sampler=s, mode="min", seed=seed).best.value for s in ("tpe", "random")]
        wins += (best[0] or 0) < (best[1] or 0)
    assert wins >= 4


def test_a_failed_trial_is_recorded_and_the_search_goes_on() -> None:
    def objective(attempt: Attempt) -> float:
        if attempt.values["x"] == 1:
            raise MemoryError("no more")
        if attempt.values["x"] == 2:
            return math.nan
        return float(attempt.values["x"])

    found = tune(objective, {"x": [0, 1, 2, 3]}, sampler="grid")
    assert [t.state for t in found.trials] == ["complete", "failed", "failed", "complete"]
    assert [t.reason for t in found.of("failed")] == [
        "MemoryError: no more",
        "the score is nan, which is no number to compare",
    ]
    assert found.best.number == 3


def test_if_all_fail_the_commonest_reason_is_said() -> None:
    def objective(attempt: Attempt) -> float:
        raise ValueError("bad" if attempt.values["x"] else "worse")

    with pytest.raises(ConfigError, match="all 3 trials failed; 2 of them: ValueError: bad"):
        _ = tune(objective, {"x": [0, 1, 2]}, sampler="grid").best


def test_a_message_for_people_that_comes_three_times_first_ends_the_search() -> None:
    tried = []

    def objective(attempt: Attempt) -> float:
        tried.append(attempt.number)
        raise ConfigError("schedule: wrong")

    with pytest.raises(SearchError, match="the first 3 trials all failed, and so would the rest: schedule: wrong"):
        tune(objective, SPACE, sampler="grid")
    assert len(tried) == 3


def test_what_was_tried_is_not_trained_again() -> None:
    trained = []

    def objective(attempt: Attempt) -> float:
        trained.append(cell_of := tuple(attempt.values.values()))
        return float(sum(cell_of))

    found = tune(objective, {"x": [0, 1], "y": [0, 1]}, trials=12, sampler="random")
    assert len(found.ranked) == 12
    assert len(trained) == len(set(trained)) <= 4
    assert all(t.value == sum(t.values.values()) for t in found.trials)
    assert sum("same_as" in t.facts for t in found.trials) == 12 - len(trained)


def test_interrupted_trials_run_again(storage: str) -> None:
    calls: list[int] = []

    def objective(attempt: Attempt) -> float:
        calls.append(attempt.values["x"])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return float(attempt.values["x"])

    with pytest.raises(KeyboardInterrupt):
        tune(objective, {"x": [5, 6, 7]}, sampler="grid", storage=storage)
    found = tune(objective, {"x": [5, 6, 7]}, sampler="grid", storage=storage)
    assert sorted(calls) == [5, 6, 6, 7]
    assert [t.state for t in found.trials] == ["complete", "restarted", "complete", "complete"]
    assert sorted(t.value for t in found.ranked) == [5, 6, 7]  # type: ignore[type-var]


WORKER = """
import os, sys
from fulmen.workflows.tuning import Study, read_space, work

def objective(attempt):
    if attempt.number == 3:
        os._exit(9)  # as if it was killed
    x, y = attempt.values["x"], attempt.values["y"]
    print(x, y, flush=True)
    return (x - 2) ** 2 + (y - 4) ** 2

space = read_space({"x": [0, 1, 2, 3], "y": {"low": 0, "high": 4, "step": 2}})
work(Study(space, storage=sys.argv[1], sampler="grid", mode="min"), objective)
"""


@pytest.mark.slow
def test_a_grid_by_several_processes_one_of_which_dies(storage: str, tmp_path: Path) -> None:
    """Each cell is finished exactly once: the other process sees that one is gone, and runs its trial again."""
    with open_alone(tmp_path):
        study = Study(read_space(SPACE), storage=storage, sampler="grid", mode="min")
        assert study.fill(None) == 12
    command = [sys.executable, "-c", WORKER, storage]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    done = [line for worker in workers for line in worker.communicate(timeout=120)[0].splitlines()]
    assert sorted(worker.returncode for worker in workers) == [0, 9]
    assert Counter(done) == Counter(f"{x} {y}" for x, y in CELLS)
    found = study.results()
    assert Counter(cell(t) for t in found.ranked) == Counter(CELLS)
    assert [t.number for t in found.of("restarted")] == [3]
    assert "killed" in found.trials[3].reason
    assert study.fill(None) == 12
    assert study.claim() is None


@pytest.mark.parametrize("writes", range(1, 8))
def test_a_process_that_is_killed_as_it_begins(storage: str, writes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it is killed, the next process runs its trial once, with the same values."""
    space = {"x": [0, 1, 2], "y": [0, 1, 2]}
    study = Study(read_space(space), storage=storage, sampler="grid")
    study.fill(None)
    gone = Study(read_space(space), storage=storage, sampler="grid")
    gone.worker = f"{socket.gethostname()} {ended_process()} a"
    with monkeypatch.context() as patch:
        left = iter(range(writes))
        for name in ("set_trial_user_attr", "set_trial_state_values", "set_trial_param"):
            patch.setattr(gone.storage, name, until_killed(getattr(gone.storage, name), left))
        with pytest.raises(KeyboardInterrupt):
            begin_all(gone)
    assert study.results().of("running") or writes == 1
    work(study, lambda attempt: float(attempt.values["x"]))
    tried = Counter(cell(trial) for trial in study.results().ranked)
    assert tried == Counter(product([0, 1, 2], [0, 1, 2]))


def begin_all(study: Study) -> None:
    while (trial := study.claim()) is not None:
        study.suggest(trial)


def until_killed(write: Callable[..., Any], left: Iterator[int]) -> Callable[..., Any]:
    def killed(*args: Any) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return write(*args)

    return killed


def ended_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid


def test_a_trial_that_kills_its_process_is_given_up() -> None:
    study = Study(read_space({"x": [0, 1]}), sampler="grid")
    study.fill(None)
    for _ in range(3):
        while (trial := study.claim()) is not None:
            values = study.suggest(trial)
            if values["x"]:
                study.optuna.tell(trial, 1.0)
            else:  # its process is gone
                trial.set_user_attr("worker", "elsewhere 1 a")
                study.storage.set_trial_user_attr(trial._trial_id, "worker", "elsewhere 1 a")
                mute(trial)
        study.restart_dead()
    found = study.results()
    assert [t.state for t in found.trials] == ["restarted", "complete", "restarted", "failed"]
    assert "its process ended without a word 3 times" in found.trials[-1].reason
    assert study.claim() is None


def mute(trial: optuna.Trial) -> None:
    """Makes a trial of another machine an old one."""
    from datetime import timedelta

    frozen: Any = trial.storage._get_trial(trial._trial_id)  # type: ignore[attr-defined]
    frozen.datetime_start -= timedelta(hours=1)


def test_a_process_that_says_it_is_alive_keeps_its_trial() -> None:
    import time

    study = Study(read_space({"x": [0, 1]}), sampler="grid")
    study.fill(None)
    trial = study.claim()
    assert trial is not None
    trial.set_user_attr("worker", "elsewhere 1 a")
    mute(trial)
    study.optuna.set_user_attr("alive elsewhere 1 a", time.time())
    assert study.restart_dead() == 0
    study.optuna.set_user_attr("alive elsewhere 1 a", time.time() - 1000)
    assert study.restart_dead() == 1


def test_a_queue_that_was_filled_twice_at_once_runs_each_cell_once(storage: str) -> None:
    """As two machines do that share a database, but no folder."""
    studies = [Study(read_space(SPACE), storage=storage, sampler="grid", mode="min") for _ in range(2)]
    for study in studies:  # each thinks that the queue is empty
        for slot, params in enumerate(read_space(SPACE).cells()):
            study.optuna.enqueue_trial(params, user_attrs={"slot": slot})
    work(studies[0], distance)
    assert Counter(cell(t) for t in studies[0].results().ranked) == Counter(CELLS)


def test_a_journal_that_a_process_was_killed_in_the_middle_of(tmp_path: Path) -> None:
    tune(distance, SPACE, trials=5, sampler="grid", mode="min", storage=f"journal:{tmp_path}/s.log")
    whole, torn = (tmp_path / "s.log").read_bytes(), tmp_path / "torn.log"
    torn.write_bytes(whole[:-20])  # of its last line
    found = tune(distance, SPACE, sampler="grid", mode="min", storage=f"journal:{torn}")
    assert [t.number for t in found.of("running")] == [4]  # its end is lost, and this process, which had it, lives
    assert Counter(cell(t) for t in found.trials) == Counter(CELLS)
    assert torn.read_bytes().startswith(whole[: whole.rstrip().rindex(b"\n") + 1])
    assert all(json.loads(line) for line in torn.read_text().splitlines())


def test_a_study_of_something_else_is_refused(storage: str) -> None:
    tune(distance, SPACE, trials=1, sampler="random", storage=storage)
    with pytest.raises(ConfigError) as error:
        tune(distance, {**SPACE, "x": [0, 1]}, trials=1, sampler="random", seed=1, storage=storage)
    assert "space.x: '0, 1, 2, 3', now '0, 1'" in str(error.value)
    assert "seed: 0, now 1" in str(error.value)


def test_pruning_by_reports() -> None:
    def objective(attempt: Attempt) -> float:
        for step in range(4):
            attempt.report(attempt.values["x"] + step / 10, step)
        return float(attempt.values["x"])

    found = tune(objective, {"x": [9, 8, 7, 6, 1]}, sampler="grid", pruner="median")
    assert [t.state for t in found.trials] == ["complete"] * 4 + ["pruned"]
    assert found.trials[-1].value == 1  # the last that it reported


def test_the_heart_beats_while_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fulmen.workflows.tuning.workers._PULSE", 0.01)
    study = Study(read_space({"x": [0, 1]}), sampler="grid")
    study.fill(None)
    beaten = threading.Event()

    def objective(attempt: Attempt) -> float:
        for _ in range(500):
            if any(key.startswith("alive ") for key in study.optuna.user_attrs):
                beaten.set()
                break
            beaten.wait(0.01)
        return 0.0

    work(study, objective)
    assert beaten.is_set()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("study.db", "allowed: journal, sqlite, journal:FILE, sqlite:///FILE"),
        ("sqlite:////nowhere/at/all.db", "cannot be opened: (sqlite3.OperationalError) unable to open database file"),
        ("journal:/nowhere/at/all.log", "cannot be opened"),
        ("nosuch://host/name", "cannot be opened"),
    ],
)
def test_storages_that_cannot_be_opened(url: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        open_storage(url)
    assert said in str(error.value)


@pytest.mark.parametrize(("name", "given"), [("sampler", "gird"), ("pruner", "meidan")])
def test_unknown_names(name: str, given: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown {name} '{given}'; did you mean"):
        tune(distance, SPACE, **{name: given})  # type: ignore[arg-type]


def test_importance_says_what_mattered() -> None:
    """Of `10 a + b` almost all of the variance is `a`'s."""
    study = Study(read_space({"a": {"low": 0.0, "high": 1.0}, "b": {"low": 0.0, "high": 1.0}}), sampler="random")
    study.fill(40)
    work(study, lambda attempt: 10 * attempt.values["a"] + attempt.values["b"])
    shares = importances(study)
    assert shares is not None
    assert list(shares) == ["a", "b"]
    assert shares["a"] > 0.9
    assert sum(shares.values()) == pytest.approx(1)
    assert draw_importance(shares).axes


def test_too_few_trials_say_nothing() -> None:
    study = Study(read_space({"a": [1, 2, 3], "b": [1, 2]}), sampler="grid")
    study.fill(7)
    work(study, lambda attempt: float(attempt.values["a"]))
    assert importances(study) is None


def test_pictures_of_conditions_failures_and_outliers(tmp_path: Path) -> None:
    space = {
        "optimizer": [{"name": "adam", "lr": {"low": 1e-4, "high": 0.1, "log": True}}, "sgd"],
        "size": {"low": 1, "high": 9},
    }

    def objective(attempt: Attempt) -> float:
        if attempt.number == 2:
            raise RuntimeError("out of memory")
        return 1e6 if attempt.number == 3 else float(attempt.values["size"])

    found = tune(objective, space, trials=12, sampler="random", mode="min")
    figures = [draw(found, "val/loss") for draw in (draw_history, draw_parallel, draw_slices)]
    history, parallel, slices = (figure.axes for figure in figures)
    assert history[0].get_ylim()[1] < 100  # the trial that diverged does not press the others flat
    assert [text.get_text() for text in history[0].texts] == ["1 outside"]
    ticks = [text.get_text() for text in parallel[0].get_xticklabels()]
    assert ticks == ["optimizer", "optimizer=\nadam:\nlr", "size", "val/loss"]
    assert len(parallel[0].lines) >= 11
    assert [axes.get_title() for axes in slices] == ["optimizer", "optimizer=adam: lr", "size"]
    for i, figure in enumerate(figures):
        figure.savefig(tmp_path / f"{i}.png")
