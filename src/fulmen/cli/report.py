"""`lightning report`: a page on how good a trained model is, and where it fails."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fulmen.core.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from fulmen.callbacks import Report
    from fulmen.evaluation import About, Evaluation, Predictions

PAGE = "report.html"
_PICTURES = "mistakes.png"
_ACROSS = 6


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
    from fulmen.cli.made import make_trained, with_config_of_run
    from fulmen.workflows import evaluate

    invocation = Invocation.read("validate", with_config_of_run(rest))
    which = invocation.option("--ckpt_path") or "best"
    if which == "none":
        raise ConfigError("ckpt_path: none is an untrained model; allowed: best, last, a path, a run's folder")
    checkpoint = runs.find_checkpoint(which, Path(invocation.runs_root), invocation.name)
    model, data = make_trained(command, rest)
    options = {"accelerator": model.device.type, **_precision(invocation)}
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
    from fulmen.evaluation import Evaluation
    from fulmen.evaluation.describing import slice_columns

    columns = slice_columns(data, predictions, asked.slices)
    evaluation = Evaluation.of(predictions, columns, asked.resamples, asked.samples)
    out = Path(asked.folder or folder) / f"report_{predictions.split}"
    place = None if checkpoint is None else Path(os.path.relpath(checkpoint))
    command = f"lightning report --ckpt_path {folder} --split {predictions.split}"
    page = render(evaluation, model, data, out, place, folder, command)
    print(f"{evaluation.answer()}\nreport: {page}")


def render(
    evaluation: Evaluation,
    model: Any,
    data: Any,
    out: Path,
    checkpoint: Path | None,
    folder: Path | None,
    command: str = "",
) -> Path:
    """Writes the report of a run, with all that its folder tells.

    Args:
        evaluation: The numbers.
        model: The model.
        data: Its data, set up.
        out: Folder of the report.
        checkpoint: Where the weights are from.
        folder: The run's.
        command: What was typed.

    Returns:
        The page.

    Raises:
        ConfigError: If it cannot be written.
    """
    from fulmen.evaluation import Curves, describe, write_report

    logged = None if folder is None else folder / "metrics.csv"
    curves = Curves.read(logged) if logged is not None and logged.is_file() else None
    about = describe(model, data, evaluation, curves)
    if folder is not None:
        about = _with_run(about, folder, checkpoint)
    picture = _draw_mistakes(evaluation, data, out)
    return write_report(
        evaluation,
        replace(about, commands=command, mistake_picture=picture),
        out,
        checkpoint=None if checkpoint is None else str(checkpoint),
        run=None if folder is None else str(folder),
    )


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


def _with_run(about: About, folder: Path, checkpoint: Path | None) -> About:
    """What the run's folder knows: config, sources, how long it trained."""
    import yaml

    from fulmen.cli import runs

    text = (folder / "config.yaml").read_text()
    config: dict[str, Any] = yaml.safe_load(text) or {}
    try:
        record = runs.read_record(folder)
    except CheckpointError:  # a run that was stopped; its checkpoints are as good
        record = {}
    model, trained = dict(about.model), _training(record)
    section = config.get("model") or {}
    for name, value in (section.get("init_args") or {}).items():
        if value not in (None, False, [], {}) and name not in _FACTS:
            model[name] = yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("...\n").strip()
    model |= {**trained, "checkpoint": str(checkpoint), "seed": config.get("seed_everything")}
    sources = {f"data.{name}": value for name, value in _sources(config.get("data") or {})}
    counts = {f"{split} samples": n for split, n in (record.get("samples") or {}).items()}
    curves, best = about.curves, about.best
    if curves is not None and record.get("monitor"):
        best = curves.best(record["monitor"], record.get("mode") or "min")
    title = f"{config_title(folder)}: {about.title.rpartition(': ')[2]}"
    return replace(
        about,
        title=title,
        subtitle=f"run {folder}",
        data={**about.data, **counts, **sources},
        model=model,
        config=text,
        best=best,
    )


_FACTS = ("input_shape", "num_outputs", "class_names", "target_type", "vocabulary_size", "categories")
"""Of the data, which the page tells elsewhere."""


def config_title(folder: Path) -> str:
    """What a run is called: its config and version."""
    return f"{folder.parent.name}/{folder.name}"


def _training(record: Mapping[str, Any]) -> dict[str, object]:
    if not record.get("epochs"):
        return {}
    found: dict[str, object] = {"trained for": f"{record['epochs']} epochs in {_time(record['seconds'])}"}
    epoch, monitor = record.get("best_epoch") or {}, record.get("monitor")
    if monitor and epoch.get(monitor) is not None:
        found["weights of"] = f"epoch {int(epoch['epoch']) + 1}, chosen by {monitor} ({epoch[monitor]:.4g})"
    return found


def _time(seconds: float) -> str:
    """A time in words.

    >>> _time(3.24), _time(200), _time(9000)
    ('3.2 s', '3 min 20 s', '2 h 30 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def _sources(section: Mapping[str, Any]) -> list[tuple[str, object]]:
    """Files and folders that the data are read from."""
    given = section.get("init_args") or {}
    return [
        (name, value)
        for name, value in given.items()
        if isinstance(value, str) and len(value) > 1 and Path(value).exists()
    ]


def _draw_mistakes(evaluation: Evaluation, data: Any, out: Path) -> bytes | None:
    """The worst images as a sheet."""
    from fulmen.cli.gradcam import caption
    from fulmen.cli.looking import are_images, pictures
    from fulmen.cli.sheet import Cell, draw_cells
    from fulmen.evaluation.describing import rows_of

    found, split = evaluation.mistakes, evaluation.predictions.split
    if not found or not are_images(data):
        if (out / _PICTURES).is_file():  # of an earlier report
            (out / _PICTURES).unlink()
        return None
    rows = rows_of(data, split)[[mistake.row for mistake in found]].tolist()
    images = pictures(data.datasets[split].__getitems__(rows).inputs)
    cells = [Cell([image], caption(mistake, with_loss=True)) for image, mistake in zip(images, found, strict=True)]
    draw_cells(f"Highest loss, {split} samples", cells, _ACROSS, out / _PICTURES)
    return (out / _PICTURES).read_bytes()


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
