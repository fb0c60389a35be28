"""The report of a run: its numbers, with all that its folder tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fulmen.core.errors import CheckpointError

if TYPE_CHECKING:
    from fulmen.evaluation import About, Evaluation

_PICTURES = "mistakes.png"
_ACROSS = 6


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
