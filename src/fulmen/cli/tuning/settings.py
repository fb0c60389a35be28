"""What a study was started with, and where it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from fulmen.core.errors import ConfigError

RECORD = "study.json"


@dataclass(frozen=True)
class Settings:
    """What a study was started with; kept in its folder, so that ``--study FOLDER`` alone goes on with it.

    Attributes:
        arguments: Of `fit`: the config and what was typed beside it.
        space: Key -> values, as the file has them.
        sampler: ``tpe``, ``random`` or ``grid``.
        trials: How many; ``None``: all cells of a grid.
        seed: Of the sampler.
        metric: Logged name of the score.
        mode: ``min`` or ``max``.
        folds: Of a cross-validation, whose mean is the score; ``None``: the validation split.
        pruner: What stops trials early.
        prune_after: Epochs before it may.
        epochs: The most epochs of a trial.
        storage: ``journal``, ``sqlite``, or an address.
        name: Of the study in the storage.
        isolated: Whether each training has a process of its own.
        keep: Of which trials the checkpoints are kept: ``all`` or ``best``.
    """

    arguments: list[str]
    space: Mapping[str, Any]
    sampler: str
    trials: int | None
    seed: int
    metric: str
    mode: Any
    folds: int | None
    pruner: str
    prune_after: int
    epochs: int
    storage: str
    name: str
    isolated: bool
    keep: str

    def address(self, folder: Path) -> str:
        """Where the study is, see :func:`fulmen.callbacks.pruning.open_storage`."""
        here = folder.resolve()
        files = {"sqlite": f"sqlite:///{here / 'study.db'}", "journal": f"journal:{here / 'study.log'}"}
        return files.get(self.storage, self.storage)

    @property
    def score(self) -> str:
        """What a score is, in words."""
        return self.metric if self.folds is None else f"{self.metric}, mean of {self.folds} folds"

    def write(self, folder: Path) -> None:
        """Keeps them in the study's folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RECORD).write_text(json.dumps(asdict(self), indent=2) + "\n")


def read_settings(folder: Path) -> Settings | None:
    """Those of a study's folder; ``None`` where it is none yet.

    Raises:
        ConfigError: If they cannot be read.
    """
    file = folder / RECORD
    if not file.is_file():
        return None
    try:
        stored = json.loads(file.read_text())
        return Settings(**{field.name: stored[field.name] for field in fields(Settings)})
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"study: {file} is no record of a study ({error}); leave --study out") from error


def load_space(path: str) -> dict[str, Any]:
    """A space file.

    Raises:
        ConfigError: If it is missing, or no YAML mapping.
    """
    file = Path(path)
    if not file.is_file():
        raise ConfigError(
            f"space: there is no file {path!r} (from {Path.cwd()}); it is YAML such as `model.activation: [relu, gelu]`"
        )
    try:
        found = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"space: {path} is no valid YAML: {error}") from error
    if not isinstance(found, dict) or not found:
        raise ConfigError(f"space: {path} must hold keys and values, such as `model.activation: [relu, gelu]`")
    return found


def new_folder(root: Path, name: str, given: str | None) -> Path:
    """The folder of a study.

    Args:
        root: Of all runs.
        name: Of the config.
        given: What ``--study`` was given: a folder, or a name for one below those of the config.
    """
    if given is not None:
        path = Path(given)
        return path if path.is_dir() or len(path.parts) > 1 else root / name / given
    number = 0
    while True:
        folder = root / name / f"study_{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
            continue
        return folder
