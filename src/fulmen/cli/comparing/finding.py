"""Runs in the folders that a person names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fulmen.cli import environment, runs
from fulmen.core.errors import CheckpointError, ConfigError, FulmenError

if TYPE_CHECKING:
    from fulmen.workflows.compared import Cost, Entry

CONFIG, OUT_OF_FOLD = "config.yaml", "oof_predictions.csv"
_TRIAL, _FOLD = re.compile(r"trial_\d+"), re.compile(r"(repeat_\d+_)?fold_\d+")


@dataclass(frozen=True)
class Found:
    """What folders hold.

    Attributes:
        runs: Folders of runs that came to their end, and of cross-validations.
        left_out: Folder -> why it is not compared.
    """

    runs: list[Path]
    left_out: dict[Path, str]


def find(paths: Sequence[Path]) -> Found:
    """Finds runs.

    Args:
        paths: Folders of runs, of several runs (``runs/digits_mlp``, ``runs``), of studies, of cross-validations. The
            trials of a study, and the folds of a cross-validation, count where its own folder is named.

    Raises:
        ConfigError: If there is no such folder, or it holds no run.
    """
    found = Found([], {})
    for path in paths:
        if path.is_file():
            run = path.parent.parent if path.suffix == ".ckpt" else path.parent
            raise ConfigError(f"{str(path)!r} is a file; give the folder of a run, such as {run}")
        if not path.is_dir():
            raise ConfigError(f"there is no folder {str(path)!r} (from {Path.cwd()}); here are: {_near(path)}")
        folders = list(_folders(path, named=True))
        if not folders:
            raise ConfigError(
                f"{str(path)!r} holds no run: no folder in it has a {CONFIG}; train one: lightning fit --config ..."
            )
        for folder in folders:
            why = _unfinished(folder)
            if why is not None:
                found.left_out[folder] = why
            elif not any(folder.resolve() == other.resolve() for other in found.runs):
                found.runs.append(folder)
    return found


def _folders(path: Path, named: bool = False) -> Iterator[Path]:
    if (path / CONFIG).is_file() or (path / OUT_OF_FOLD).is_file():
        yield path
        return
    children = sorted((child for child in path.iterdir() if child.is_dir()), key=_natural)
    part = any(_TRIAL.fullmatch(child.name) or _FOLD.fullmatch(child.name) for child in children)
    if part and not named:  # a study counts where it is named
        return
    for child in children:
        yield from _folders(child)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sorts ``version_10`` behind ``version_9``."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", path.name)]


def _near(path: Path) -> str:
    parent = path.parent if path.parent.is_dir() else Path()
    return ", ".join(sorted(str(p) for p in parent.iterdir() if p.is_dir())[:10]) or "no folders"


def _unfinished(folder: Path) -> str | None:
    """Why a run cannot be compared."""
    if (folder / OUT_OF_FOLD).is_file():
        return None
    if not (folder / runs.RECORD).is_file():
        about = environment.read(folder) or {}
        status = about.get("status")
        if status == "failed":
            return f"it failed: {about.get('error', 'for an unknown reason')}"
        if status == "interrupted":
            return "it was interrupted"
        return "it did not come to its end, or still runs" if status == "running" else "it did not come to its end"
    if not any((folder / runs.CHECKPOINTS).glob("*.ckpt")):
        return "it has no checkpoint"
    return None


def names_of(folders: Sequence[Path]) -> list[str]:
    """Short names that tell folders apart: as few of the last parts of their paths as do.

    >>> names_of([Path("runs/a/version_0"), Path("runs/b/version_0")])
    ['a/version_0', 'b/version_0']
    """
    parts = [folder.resolve().parts for folder in folders]
    depth = 2
    while len({path[-depth:] for path in parts}) < len(parts) and depth < max(map(len, parts)):
        depth += 1
    return ["/".join(path[-depth:]) for path in parts]


def read_entries(found: Found, split: str) -> list[Entry]:
    """Predictions, costs and configs of runs; predictions that were not kept are made.

    A run that has no such split, or whose data are gone, is moved to those that are left out.

    Args:
        found: The runs.
        split: ``val`` or ``test``.
    """
    from fulmen.cli.stored import predictions_of
    from fulmen.evaluation import Predictions
    from fulmen.workflows.compared import Entry

    entries = []
    for folder, name in zip(list(found.runs), names_of(found.runs), strict=True):
        try:
            if (folder / OUT_OF_FOLD).is_file():
                if split != "val":
                    raise CheckpointError("a cross-validation has predictions of no test set")
                predictions, part = Predictions.read(folder / OUT_OF_FOLD), _parts(folder)[0]
                predictions = replace(
                    predictions, split="val"
                )  # no sample was scored by a model that had trained on it
                entries.append(Entry(name, predictions, _cost_of_folds(folder), read_config(part)))
            else:
                entries.append(Entry(name, predictions_of(folder, split), cost(folder), read_config(folder)))
        except FulmenError as error:
            found.runs.remove(folder)
            found.left_out[folder] = str(error)
    if all((folder / OUT_OF_FOLD).is_file() for folder in found.runs):
        return [replace(entry, predictions=replace(entry.predictions, split="out-of-fold")) for entry in entries]
    return entries


def read_config(folder: Path) -> Mapping[str, Any]:
    """The config of a run."""
    import yaml

    file = folder / CONFIG
    loaded = yaml.load(file.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if file.is_file() else {}
    return loaded if isinstance(loaded, dict) else {}


def cost(folder: Path) -> Cost:
    """What a run cost, as it wrote it down."""
    from fulmen.workflows.compared import Cost

    record = runs.read_record(folder)
    sizes, memory = record.get("parameters") or {}, record.get("memory") or {}
    return Cost(
        parameters=sizes.get("total"),
        trainable=sizes.get("trainable"),
        epochs=record.get("epochs"),
        seconds=record.get("seconds"),
        memory=memory.get("gpu") or memory.get("cpu"),
        checkpoint_bytes=record.get("checkpoint_bytes"),
    )


def _parts(folder: Path) -> list[Path]:
    """The folds of a cross-validation."""
    children = sorted((c for c in folder.iterdir() if _FOLD.fullmatch(c.name)), key=_natural)
    finished = [child for child in children if (child / runs.RECORD).is_file()]
    if not finished:
        raise CheckpointError(f"{folder} is a cross-validation none of whose folds came to its end")
    return finished


def _cost_of_folds(folder: Path) -> Cost:
    """Size and memory of one fold, time of all."""
    costs = [cost(part) for part in _parts(folder)]
    seconds = [each.seconds for each in costs if each.seconds is not None]
    memory = [each.memory for each in costs if each.memory is not None]
    epochs = [each.epochs for each in costs if each.epochs is not None]
    return replace(
        costs[0],
        seconds=sum(seconds) if seconds else None,
        epochs=sum(epochs) if epochs else None,
        memory=max(memory, default=None),
    )
