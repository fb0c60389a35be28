"""Predictions that lie in a run's folder, or are made and put there."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fulmen.cli import environment, runs
from fulmen.core.errors import FulmenError

if TYPE_CHECKING:
    from fulmen.evaluation import Predictions

_TRAINER = ("accelerator", "precision")


def predictions_of(run: Path, split: str = "val") -> Predictions:
    """What the best checkpoint of a run says of a split.

    Taken from ``RUN/<split>_predictions.csv`` where that was made with the best checkpoint as it is now; otherwise made
    with the run's own config and kept there, so that the next command need not load the model.

    Args:
        run: A run's folder.
        split: ``val``, ``test`` or ``train``. Who asks for ``test`` says so to the person: test sets are used once.

    Raises:
        FulmenError: If the run has no checkpoint, or its data or plugins are not here.
    """
    from fulmen.evaluation import Predictions

    best = runs.best_of(run)
    file = run / f"{split}_predictions.csv"
    if is_fresh(file, best):
        return Predictions.read(file)
    made = _predict(run, best, split)
    made.write(file, **checkpoint_facts(best))
    return made


def checkpoint_facts(checkpoint: Path | None) -> dict[str, Any]:
    """What tells a checkpoint from one that took its place: file name, bytes, and time of writing in nanoseconds."""
    if checkpoint is None or not checkpoint.is_file():
        return {"checkpoint": None, "checkpoint_bytes": None, "checkpoint_written": None}
    status = checkpoint.stat()
    return {
        "checkpoint": checkpoint.name,
        "checkpoint_bytes": status.st_size,
        "checkpoint_written": status.st_mtime_ns,
    }


def is_fresh(table: Path, checkpoint: Path) -> bool:
    """Whether predictions that were kept are those of a checkpoint as it is now.

    Args:
        table: The ``.csv`` file; beside it lies the ``.json`` file that names the checkpoint.
        checkpoint: The checkpoint.
    """
    from fulmen.evaluation.predictions import facts

    if not table.is_file() or not table.with_suffix(".json").is_file():
        return False
    kept = facts(table)
    return all(kept.get(name) == value for name, value in checkpoint_facts(checkpoint).items())


def _predict(run: Path, checkpoint: Path, split: str) -> Predictions:
    import yaml

    from fulmen.cli.made import make_trained
    from fulmen.workflows import collect_predictions
    from fulmen.workflows.trial import silence

    config = run / "config.yaml"
    parsed = yaml.safe_load(config.read_text())
    try:
        told = contextlib.redirect_stdout(io.StringIO())  # which checkpoint it took
        with silence(), silence("lightning.fabric.utilities.seed"), told:
            model, data = make_trained(["--config", str(config), "--ckpt_path", str(checkpoint)])
    except FulmenError as error:
        folder = Path((environment.read(run) or {}).get("folder") or ".")
        if folder == Path.cwd() or not environment.relative_paths(parsed.get("data"), folder):
            raise
        raise type(error)(
            f"{error}\n{run} was trained in {folder}, and its config has relative paths: go there"
        ) from error
    given = parsed.get("trainer") or {}
    return collect_predictions(model, data, split, {name: given[name] for name in _TRAINER if given.get(name)})
