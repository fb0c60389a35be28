"""`lightning report`: a page on how good a trained model is, and where it fails."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fulmen.core.errors import ConfigError

if TYPE_CHECKING:
    from fulmen.callbacks import Report
    from fulmen.evaluation import Evaluation, Predictions


def run(command: str, arguments: list[str]) -> None:
    """Runs `lightning report`.

    Args:
        command: ``report``.
        arguments: What follows it.

    Raises:
        FulmenError: For a mistake in the config or the command.
    """
    own, rest = _parser(command).parse_known_args(arguments)
    for name, least in (("resamples", 1), ("samples", 0)):  # before anything is predicted
        if getattr(own, name) < least:
            raise ConfigError(f"{name}: {getattr(own, name)} is out of range; allowed: at least {least}")

    from fulmen.cli import runs
    from fulmen.cli.invocation import Invocation
    from fulmen.cli.made import make_trained, trained_checkpoint
    from fulmen.cli.run_report import render
    from fulmen.workflows import evaluate

    rest, checkpoint = trained_checkpoint(rest)
    model, data = make_trained(rest)
    options = {"accelerator": model.device.type, **_precision(Invocation.read("validate", rest))}
    slices = _columns(own.slices or "")
    evaluation = evaluate(model, data, own.split, slices, own.resamples, own.samples, options)
    split = evaluation.predictions.split
    folder = run_of(checkpoint)
    out = own.out or (folder or Path.cwd()) / f"report_{split}"
    if split == "test" and folder is not None:
        runs.note_test_use(folder, command)
    page = render(evaluation, model, data, out, checkpoint, folder, _command(command, arguments))
    print(f"{evaluation.answer()}\n")
    print(table(evaluation))
    print(f"\nreport       {page}\nnumbers      {out / 'metrics.json'}")


def _columns(text: str) -> list[str]:
    """Names with commas between them; one that holds a comma stands in quotes, as in a CSV file.

    >>> _columns('Sex, "kind, of"')
    ['Sex', 'kind, of']
    """
    import csv

    return [name.strip() for name in next(csv.reader([text], skipinitialspace=True), []) if name.strip()]


def run_of(checkpoint: Path) -> Path | None:
    """The run folder that a checkpoint lies in; ``None`` where it lies elsewhere."""
    folder = checkpoint.parent.parent
    return folder if (folder / "config.yaml").is_file() else None


def report_after_fit(
    asked: Report, predictions: Predictions, model: Any, data: Any, folder: Path, checkpoint: str | None
) -> None:
    """Writes the report that a config asks of `fit`.

    Args:
        asked: What it asks.
        predictions: Of the best model.
        model: It.
        data: Its data, set up.
        folder: The run's.
        checkpoint: Where the weights are from.
    """
    from fulmen.cli.run_report import render
    from fulmen.evaluation import Evaluation
    from fulmen.evaluation.describing import slice_columns

    columns = slice_columns(data, predictions, asked.slices)
    evaluation = Evaluation.of(predictions, columns, asked.resamples, asked.samples)
    out = Path(asked.folder or folder) / f"report_{predictions.split}"
    place = None if checkpoint is None else Path(os.path.relpath(checkpoint))
    command = f"lightning report --ckpt_path {folder} --split {predictions.split}"
    page = render(evaluation, model, data, out, place, folder, command)
    print(f"{evaluation.answer()}\nreport: {page}")


def table(evaluation: Evaluation) -> str:
    """The headline metrics with their intervals, and what is worse, for the terminal."""
    rows = [(name, f"{i.value:.4f}", f"{i.low:.4f} to {i.high:.4f}") for name, i in evaluation.intervals.items()]
    wide = max(len(name) for name, _, _ in rows)
    most = max(len(value) for _, value, _ in rows)
    lines = [f"{'metric':<{wide}}  {'value':>{most}}  95 % interval"]
    lines += [f"{name:<{wide}}  {value:>{most}}  {ends}" for name, value, ends in rows]
    worse = [f"{s.column}: {s.value} ({evaluation.headline} {s.interval.value:.4f}, {s.samples:,} samples)"
             for s in evaluation.slices if s.worse and s.interval is not None]  # fmt: skip
    if evaluation.slices:
        lines += ["", *([f"clearly worse on  {line}" for line in worse] or ["clearly worse on no slice"])]
    return "\n".join(lines)


def _precision(invocation: Any) -> dict[str, Any]:
    """The precision that the model was trained with."""
    given = [(config.get("trainer") or {}).get("precision") for config in invocation.configs.values()]
    found = next((g for g in [invocation.option("--trainer.precision"), *reversed(given)] if g), None)
    return {} if found is None else {"precision": found}


def _command(command: str, arguments: Sequence[str]) -> str:
    import shlex

    return f"lightning {command} {shlex.join(arguments)}"


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"lightning {command}",
        usage=f"lightning {command} --ckpt_path RUN|FILE|best [--config FILE] [--KEY VALUE ...] [options]",
        description="Writes a page that says how good a trained model is and where it fails: metrics with intervals, "
        "confusion matrix, calibration, parts of the data, worst mistakes, learning curves; with the same in JSON and "
        "CSV. --ckpt_path is the folder of a run (its best), a checkpoint, or best or last of a --config's newest run; "
        "keys such as --data.root FOLDER work as with `lightning test`.",
        allow_abbrev=False,
    )
    parser.add_argument("--split", help="test, val or train (test, or val where there is none)")
    parser.add_argument("--slices", help="columns by which samples are divided: Sex,age (none)")
    parser.add_argument("--out", type=Path, help="folder of the report (RUN/report_SPLIT)")
    parser.add_argument("--resamples", type=int, default=1000, help="of the bootstrap (1000)")
    parser.add_argument("--samples", type=int, default=24, help="how many of the worst mistakes (24)")
    return parser
