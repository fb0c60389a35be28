"""`lightning compare`: ranks runs, tests their differences, and chooses one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fulmen.core.errors import ConfigError

if TYPE_CHECKING:
    from fulmen.cli.comparing.finding import Found

_RULES = {"significance": "significance", "one-standard-error": "one_standard_error"}


def run(command: str, arguments: list[str]) -> None:
    """Runs `lightning compare`.

    Args:
        command: ``compare``.
        arguments: What follows it.

    Raises:
        FulmenError: For a mistake in the command, or runs that cannot be compared.
    """
    own = _parser(command).parse_args(arguments)
    _check(own)

    from fulmen.cli import runs
    from fulmen.cli.comparing import finding, wording

    found = finding.find(own.runs)
    _check_enough(found, own.runs)
    if own.out is not None and own.out.exists() and not own.out.is_dir():
        raise ConfigError(f"out: {str(own.out)!r} is a file; give a folder")

    from fulmen.workflows.comparison import compare

    entries = finding.read_entries(found, own.split)
    _check_enough(found, own.runs)
    comparison = compare(entries, own.metric, own.resamples, own.seed, own.level, _RULES[own.rule])  # type: ignore[arg-type]
    if own.split == "test":
        for folder in found.runs:
            runs.note_test_use(folder, command)
    print(wording.terminal(comparison, found.left_out, own.split == "test"))
    if own.out is not None:
        from fulmen.cli.comparing import page

        page.write(comparison, found.left_out, own.split == "test", own.out)
        print(f"\npage          {own.out / page.PAGE}\ntable         {own.out / page.TABLE}")


def _check(own: argparse.Namespace) -> None:
    if own.split == "test" and not own.use_test_set:
        raise ConfigError(
            "split: runs are not compared on their test sets unless you insist: the run that is chosen by the test set "
            "is fitted to it, and its score there no longer says how good it will be. Compare on val, then test the "
            "one that you chose; or add --use_test_set, which every run's record will keep"
        )
    if own.use_test_set and own.split != "test":
        raise ConfigError("use_test_set: it goes with --split test; the split is val")
    if own.resamples < 1:
        raise ConfigError(f"resamples: {own.resamples} is out of range; allowed: at least 1")
    if not 0 < own.level < 1:
        raise ConfigError(f"level: {own.level} is out of range; allowed: above 0 and below 1, such as 0.95")


def _check_enough(found: Found, given: list[Path]) -> None:
    """At least two runs, or it says why not."""
    if len(found.runs) > 1:
        return
    why = "".join(f"\n  {folder} is left out: {reason}" for folder, reason in found.left_out.items())
    here = f"one, {found.runs[0]}" if found.runs else "none"
    advice = ""
    if found.runs and (found.runs[0] / "config.yaml").is_file():
        advice = f"\nOf one run, `lightning report --ckpt_path {found.runs[0]}` tells more"
    elif found.runs:  # a cross-validation counts as one
        advice = f"\nIts folds are told apart in {found.runs[0] / 'cross_validation.html'}"
    raise ConfigError(
        f"compare takes at least two runs that came to their end; in {', '.join(map(str, given))} is {here}"
        f"{why}{advice}"
    )


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"lightning {command}",
        usage=f"lightning {command} RUN RUN ... [options]",
        description="Ranks runs by a metric with intervals, tests the best against the others on the same samples "
        "(paired bootstrap, McNemar), shows what they cost and in what their configs differ, and chooses the simplest "
        "of those within noise of the best.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "runs",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="folder of a run, of several runs (runs/digits_mlp, runs), of a study, or of a cross-validation",
    )
    parser.add_argument("--metric", help="what is compared (accuracy for classes, f1 for labels, mae for numbers)")
    parser.add_argument("--split", choices=["val", "test"], default="val", help="which samples (val)")
    parser.add_argument(
        "--use_test_set", action="store_true", help="needed with --split test: a test set is meant to be used once"
    )
    parser.add_argument(
        "--rule", choices=list(_RULES), default="significance", help="what is within noise (significance)"
    )
    parser.add_argument("--level", type=float, default=0.95, help="of intervals and tests (0.95)")
    parser.add_argument("--resamples", type=int, default=1000, help="of the bootstrap (1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (0)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="writes comparison.html, leaderboard.csv and JSON")
    return parser
