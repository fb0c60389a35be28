"""Run folders: ``runs/<config name>/version_N`` with config, metrics and checkpoints."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from fulmen.core.errors import CheckpointError

ROOT = "runs"
CHECKPOINTS = "checkpoints"
_HANDED_DOWN = "FULMEN_RUN_FOLDER"
_VERSION = re.compile(r"version_(\d+)")


def config_name(path: str | None) -> str:
    """The name that a config's runs are kept under: its stem, or that of the config that a run saved.

    >>> config_name("configs/digits_mlp.yaml"), config_name("runs/digits_mlp/version_3/config.yaml")
    ('digits_mlp', 'digits_mlp')
    """
    if path is None:
        return "no_config"
    file = Path(path)
    return file.parent.parent.name if _VERSION.fullmatch(file.parent.name) else file.stem


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


def find_checkpoint(which: str, root: Path, name: str) -> Path:
    """The file that ``--ckpt_path`` means.

    Args:
        which: ``best`` or ``last`` of the newest run that has checkpoints, or a path.
        root: Folder of all runs.
        name: Name of the config.

    Raises:
        CheckpointError: If there is no such file.
    """
    if which not in ("best", "last"):
        if not Path(which).is_file():
            raise CheckpointError(
                f"ckpt_path: there is no file {which!r} (from {Path.cwd()}); allowed: best, last, a path"
            )
        return Path(which)
    for run in reversed(versions(root / name)):
        files = sorted((run / CHECKPOINTS).glob("*.ckpt"), key=lambda p: p.stat().st_mtime)
        if files:
            return _last(run) if which == "last" else _best(files)
    raise CheckpointError(
        f"ckpt_path: there is no checkpoint in {root / name}; train first: lightning fit --config ..., "
        "or give the path of one"
    )


def _last(run: Path) -> Path:
    last = run / CHECKPOINTS / "last.ckpt"
    if not last.is_file():
        raise CheckpointError(f"ckpt_path: {run} has no last.ckpt (checkpoint.save_last was off); give a path")
    return last


def _best(files: list[Path]) -> Path:
    """The best checkpoint, as the newest one tells (names differ where several are kept)."""
    states: dict[str, Any] = load(files[-1]).get("callbacks", {})
    for key, state in states.items():
        if "Checkpoint" in key and state.get("best_model_path"):
            best = files[-1].with_name(Path(state["best_model_path"]).name)
            if not best.is_file():
                raise CheckpointError(f"ckpt_path: the best checkpoint {best} has been removed; give a path")
            return best
    raise CheckpointError(
        f"ckpt_path: {files[-1].parent} holds no best checkpoint (checkpoint.monitor was off); use last"
    )


def load(path: Path) -> dict[str, Any]:
    """A checkpoint's contents, read with torch's safe loading.

    Raises:
        CheckpointError: If it is no checkpoint, or holds more than plain values.
    """
    import pickle

    import torch

    try:
        loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise CheckpointError(f"{path} is no checkpoint that can be loaded safely: {error}") from error
    return loaded
