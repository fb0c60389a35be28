"""Run folders: ``runs/<config name>/version_N`` with config, metrics and checkpoints."""

from __future__ import annotations

import json
import math
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fulmen.core.checkpoints import load_safely
from fulmen.core.errors import CheckpointError

ROOT = "runs"
CHECKPOINTS = "checkpoints"
RECORD = "run.json"
INTO = "FULMEN_FIT_FOLDER"
"""Variable that tells `fit`, started by another command, where its run is to be written."""
_HANDED_DOWN = "FULMEN_RUN_FOLDER"
_VERSION = re.compile(r"version_(\d+)")
_WHOLE = re.compile(r"cv_\d+")
_PART = re.compile(r"trial_\d+|(repeat_\d+_)?fold_\d+|final")
"""Runs that are parts of a search or a cross-validation: ``runs/<config name>/study_N/trial_0``."""


def config_name(path: str | None) -> str:
    """The name that a config's runs are kept under: its stem, or that of the config that a run saved.

    >>> config_name("configs/digits_mlp.yaml"), config_name("runs/digits_mlp/version_3/config.yaml")
    ('digits_mlp', 'digits_mlp')
    >>> config_name("runs/digits_mlp/cv_0/fold_2/config.yaml")
    'digits_mlp'
    """
    if path is None:
        return "no_config"
    file = Path(path)
    folder = file.parent.resolve()
    if _VERSION.fullmatch(folder.name) or (_WHOLE.fullmatch(folder.name) and file.name == "config.yaml"):
        return _recorded_name(folder) or folder.parent.name
    if _PART.fullmatch(folder.name) and file.name == "config.yaml":
        return _recorded_name(folder) or folder.parent.parent.name
    if file.name == "best.yaml" and (folder / "trial_0").is_dir():  # of a study
        return _recorded_name(folder / "trial_0") or folder.parent.name
    return file.stem


def _recorded_name(run: Path) -> str | None:
    """What ``fit`` wrote: parts of a study may lie in any folder."""
    from fulmen.cli import environment

    name = (environment.read(run) or {}).get("name")
    return name if isinstance(name, str) and name else None


def versions(folder: Path) -> list[Path]:
    """The run folders of a config, oldest first."""
    found = [(int(m[1]), p) for p in folder.glob("version_*") if (m := _VERSION.fullmatch(p.name)) and p.is_dir()]
    return [path for _, path in sorted(found)]


def new_run(root: Path, name: str) -> Path:
    """Makes the folder of a new run; processes that this one starts, get the same.

    Args:
        root: Folder of all runs.
        name: Name of the config.
    """
    handed_down = os.environ.get(_HANDED_DOWN)
    started_by_another = int(os.environ.get("LOCAL_RANK", 0)) or int(os.environ.get("NODE_RANK", 0))
    if handed_down and started_by_another:
        return Path(handed_down)
    while True:
        existing = versions(root / name)
        number = int(_VERSION.fullmatch(existing[-1].name)[1]) + 1 if existing else 0  # type: ignore[index]
        run = root / name / f"version_{number}"
        if started_by_another:  # by torchrun, say: rank 0 makes the folder, Lightning broadcasts it
            return run
        try:
            run.mkdir(parents=True)
        except FileExistsError:  # another run took the number in between
            continue
        os.environ[_HANDED_DOWN] = str(run)
        return run


def write_record(folder: Path, **facts: Any) -> None:
    """Writes what came of a run, ``run.json``.

    Args:
        folder: The run's.
        **facts: Of JSON's types; numbers that are not finite become ``null``.
    """
    (folder / RECORD).write_text(json.dumps(_finite(facts), indent=2) + "\n")


def read_record(folder: Path) -> dict[str, Any]:
    """What :func:`write_record` wrote.

    Raises:
        CheckpointError: If the folder is of no run that came to its end.
    """
    file = folder / RECORD
    if not file.is_file():
        raise CheckpointError(f"{folder} is no folder of a run that came to its end: it has no {RECORD}")
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def note_test_use(folder: Path, command: str) -> None:
    """Keeps in ``run.json`` that a command scored the test set: what is chosen by it is no longer tested by it.

    Args:
        folder: A run's; nothing is written in any other.
        command: Which command.
    """
    if not (folder / RECORD).is_file():
        return
    record = read_record(folder)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    record["test_set_used"] = [*record.get("test_set_used", []), {"by": command, "when": when}]
    write_record(folder, **record)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def find_checkpoint(which: str, root: Path, name: str) -> Path:
    """The file that ``--ckpt_path`` means.

    Args:
        which: ``best`` or ``last`` of the newest run that has checkpoints, the folder of a run (its best), or the path
            of a checkpoint.
        root: Folder of all runs.
        name: Name of the config.

    Raises:
        CheckpointError: If there is no such file.
    """
    if which not in ("best", "last"):
        if (Path(which) / CHECKPOINTS).is_dir():
            return best_of(Path(which))
        if not Path(which).is_file():
            raise CheckpointError(
                f"ckpt_path: there is no file {which!r} (from {Path.cwd()}); allowed: best, last, a path, "
                "a run's folder"
            )
        return Path(which)
    for run in reversed(versions(root / name)):
        if any((run / CHECKPOINTS).glob("*.ckpt")):
            return _last(run) if which == "last" else best_of(run)
    raise CheckpointError(
        f"ckpt_path: there is no checkpoint in {root / name}; train first: lightning fit --config ..., "
        "or give the path of one"
    )


def best_of(run: Path) -> Path:
    """The best checkpoint of a run, as its newest one tells: names differ where several are kept.

    Raises:
        CheckpointError: If it has none.
    """
    files = sorted((run / CHECKPOINTS).glob("*.ckpt"), key=lambda path: path.stat().st_mtime)
    if not files:
        raise CheckpointError(f"ckpt_path: there is no checkpoint in {run / CHECKPOINTS}")
    # by step, as a copied folder has files of any age; of one step, the file that was written last knows most
    newest = max(map(load_safely, reversed(files)), key=lambda checkpoint: checkpoint.get("global_step", 0))
    for key, state in newest.get("callbacks", {}).items():
        if "Checkpoint" in key and state.get("best_model_path"):
            best = run / CHECKPOINTS / Path(state["best_model_path"]).name
            if not best.is_file():
                raise CheckpointError(f"ckpt_path: the best checkpoint {best} has been removed; give a path")
            return best
    raise CheckpointError(
        f"ckpt_path: {run / CHECKPOINTS} holds no best checkpoint (checkpoint.monitor was off); use last"
    )


def _last(run: Path) -> Path:
    last = run / CHECKPOINTS / "last.ckpt"
    if not last.is_file():
        raise CheckpointError(f"ckpt_path: {run} has no last.ckpt (checkpoint.save_last was off); give a path")
    return last
