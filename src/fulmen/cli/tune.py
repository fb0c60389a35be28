"""`lightning tune`: a search for the best values of a config's keys."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fulmen.core.errors import ConfigError

if TYPE_CHECKING:
    from fulmen.cli.tuning.settings import Settings
    from fulmen.workflows.tuning import SearchResult, Study, TrialResult


_DESCRIPTION = """Searches for the values of a config's keys that score best. Each trial is a run of `fit`, in a
folder of its own; no trial sees the test set. The space is YAML: `model.activation: [relu, gelu]` are choices,
`model.optimizer.lr: {low: 1e-4, high: 1e-1, log: true}` is a range (also with step: 16). Choices may be whole specs,
with ranges inside: `model.optimizer: [adam, {name: sgd, lr: {low: 0.01, high: 1.0}}]`. Keys such as
--trainer.max_epochs 5 work as with `lightning fit`, and hold for all trials."""


def run(command: str, arguments: list[str]) -> None:
    """Runs `lightning tune`.

    Args:
        command: ``tune``.
        arguments: What follows it.

    Raises:
        FulmenError: For a mistake in the config, the space or the command, or if all trials failed.
    """
    own, rest = _parser(command).parse_known_args(arguments)
    if own.jobs < 1:
        raise ConfigError(f"jobs: {own.jobs} is out of range; allowed: at least 1")
    try:
        if own.worker:
            _work_in(Path(own.study))
        else:
            _run(own, rest)
    except KeyboardInterrupt:
        sys.exit(130)


def _run(own: argparse.Namespace, rest: list[str]) -> None:
    from fulmen.cli.quiet import quiet
    from fulmen.cli.tuning.preparing import prepare
    from fulmen.cli.tuning.workers import run_workers

    quiet()
    settings, folder, study = prepare(own, rest)
    print(_beginning(settings, study, folder), flush=True)
    try:
        if own.jobs > 1:
            run_workers(own.jobs, folder)
        else:
            _work(settings, study, folder)
    except KeyboardInterrupt:
        print(f"\nstopped; what was finished is kept. Go on with: lightning tune --study {folder}", flush=True)
        raise
    _finish(settings, study, folder)


def _work_in(folder: Path) -> None:
    """Works on a study that another process has made."""
    from fulmen.cli.quiet import quiet
    from fulmen.cli.tuning.preparing import open_study
    from fulmen.cli.tuning.settings import read_settings

    quiet()
    settings = read_settings(folder)
    if settings is None:
        raise ConfigError(f"study: {folder} is no folder of a study")
    _work(settings, open_study(settings, folder), folder)


def _work(settings: Settings, study: Study, folder: Path) -> None:
    from fulmen.cli.tuning.objective import FitObjective, describe_trial, forget_checkpoints
    from fulmen.cli.tuning.writing import line
    from fulmen.workflows.tuning import work

    def announce(trial: TrialResult, found: SearchResult) -> None:
        describe_trial(folder, trial, settings)
        if settings.keep == "best":
            forget_checkpoints(folder, found)
        print(line(trial, found, settings), flush=True)

    work(study, FitObjective(settings, folder), announce)


def _beginning(settings: Settings, study: Study, folder: Path) -> str:
    found = study.results()
    finished = found.of("complete", "pruned", "failed")
    total = sum(trial.state != "restarted" for trial in found.trials)
    size = study.space.size
    lines = [f"study: {folder}, {total} trials ({settings.sampler}), score {settings.score} ({settings.mode})"]
    if finished:
        lines.append(f"{len(finished)} of them are finished, and are not repeated")
    if size is not None and settings.sampler != "grid" and size <= total:
        lines.append(f"note: this space has only {size} combinations; --sampler grid tries each once")
    return "\n".join(lines)


def _finish(settings: Settings, study: Study, folder: Path) -> None:
    """Writes and prints what came of the search."""
    from fulmen.cli.tuning.best import write_best
    from fulmen.cli.tuning.writing import table, write_csv, write_page, write_pictures

    found = study.results()
    write_csv(found, folder / "trials.csv")
    others = len(found.of("running", "waiting"))
    if others and not found.ranked:
        print(_elsewhere(others))
        return
    best = write_best(settings, found.best, folder)
    figures = write_pictures(study, settings, folder)
    page = write_page(found, settings, figures, best, folder)
    print(f"\n{table(found, settings)}")
    if others:
        print(f"{_elsewhere(others)}, which will write this anew")
    print(f"\nbest    {best}  (lightning fit --config {best})\ntrials  {folder / 'trials.csv'}\npage    {page}")


def _elsewhere(count: int) -> str:
    trials = "1 trial is" if count == 1 else f"{count} trials are"
    return f"{trials} still at work in other processes"


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"lightning {command}",
        usage=f"lightning {command} --config FILE --space FILE [--KEY VALUE ...] [options]",
        description=_DESCRIPTION,
        allow_abbrev=False,
    )
    parser.add_argument("--space", metavar="FILE", help="what is searched")
    parser.add_argument("--sampler", choices=("tpe", "random", "grid"), help="how (tpe); grid: each combination once")
    parser.add_argument("--trials", type=int, metavar="N", help="how many in all (20; of a grid, all)")
    parser.add_argument(
        "--metric", help="the score, such as val/accuracy (checkpoint.monitor), at each run's best epoch"
    )
    parser.add_argument(
        "--mode", choices=("min", "max"), help="whether less or more of it is better (known of metrics)"
    )
    parser.add_argument(
        "--folds", type=int, metavar="K", help="score the mean of K folds of a cross-validation instead"
    )
    parser.add_argument("--pruner", choices=("median", "halving", "hyperband", "none"),
                        help="stops trials early that do worse than others (median; of a grid, none)")  # fmt: skip
    parser.add_argument("--prune_after", type=int, metavar="EPOCHS", help="epochs before that (3)")
    parser.add_argument("--seed", type=int, help="of the sampler (0); trainings keep the config's seed_everything")
    parser.add_argument("--study", metavar="FOLDER", help="go on with a study, or join it from another "
                        "process; or the name of a new one (study_N)")  # fmt: skip
    parser.add_argument("--storage", help="journal (a file in the study's folder, also for several machines that "
                        "share it), sqlite (the same as a database), journal:FILE, sqlite:///FILE, or a database's "
                        "address (journal)")  # fmt: skip
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes that work on it at once (1)")
    parser.add_argument("--isolated", action="store_true", help="each training in a process of its own: slower to "
                        "start, and what runs out of memory ends alone")  # fmt: skip
    parser.add_argument("--keep", choices=("all", "best"), help="of which trials the checkpoints are kept (all)")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser
