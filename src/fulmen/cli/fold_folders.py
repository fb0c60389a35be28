"""Folders of cross-validations, ``runs/<config name>/cv_N``: what they were asked for, and whether they go on."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fulmen.cli.invocation import Invocation
from fulmen.core.errors import ConfigError
from fulmen.workflows.config_differences import changes, flat

ASKED = "asked.json"
_NUMBER = re.compile(r"cv_(\d+)")


@dataclass(frozen=True)
class Asked:
    """What a cross-validation was asked for; what does not change its numbers (``--jobs``) is not in it.

    Attributes:
        folds: How many, or ``groups``.
        repeats: How often.
        configs: Name and contents of the config files, in order; the first has the name that runs are kept under, so
            that a fold that is trained again by hand is found where runs of the config are.
        typed: What stood beside them on the command line, for `fit`.
    """

    folds: int | str
    repeats: int
    configs: dict[str, str]
    typed: list[str]

    @classmethod
    def of(cls, folds: int | str, repeats: int, invocation: Invocation) -> Asked:
        """What a command line asks for."""
        configs: dict[str, str] = {}
        for i, path in enumerate(invocation.configs):
            stem = Path(path).stem if i else invocation.name
            name = f"{stem}.yaml" if f"{stem}.yaml" not in configs else f"{stem}_{i}.yaml"
            configs[name] = Path(path).read_text()
        return cls(folds, repeats, configs, list(invocation.typed))

    @classmethod
    def read(cls, folder: Path) -> Asked:
        """What is kept in a folder.

        Raises:
            ConfigError: If it is no folder of a cross-validation.
        """
        file = folder / ASKED
        if not file.is_file():
            raise ConfigError(f"resume: {str(folder)!r} is no folder of a cross-validation: it has no {ASKED}")
        kept = json.loads(file.read_text())
        configs = {name: (folder / name).read_text() for name in kept["configs"]}
        return cls(kept["folds"], kept["repeats"], configs, kept["typed"])

    def write(self, folder: Path) -> None:
        """Keeps it in a folder, with copies of the configs: folds that are trained later find them as they were."""
        for name, text in self.configs.items():
            (folder / name).write_text(text)
        kept = {"folds": self.folds, "repeats": self.repeats, "configs": [*self.configs], "typed": self.typed}
        (folder / ASKED).write_text(json.dumps(kept, indent=2) + "\n")

    def arguments(self, folder: Path) -> list[str]:
        """What `fit` is given for every fold, from the copies in a folder."""
        return [*(part for name in self.configs for part in ("--config", str(folder / name))), *self.typed]

    def settings(self) -> dict[str, Any]:
        """All that was asked for, key by key."""
        found: dict[str, Any] = {"--folds": self.folds, "--repeats": self.repeats}
        for text in self.configs.values():
            found |= flat(yaml.safe_load(text) or {})
        return found | _options(self.typed)


def _options(typed: Sequence[str]) -> dict[str, Any]:
    """What was typed, as keys and values.

    >>> _options(["--data.batch_size", "8", "--model.dropout=0.2"])
    {'data.batch_size': 8, 'model.dropout': 0.2}
    """
    found: dict[str, Any] = {}
    name = ""
    for argument in typed:
        if argument.startswith("--"):
            name, equals, value = argument.removeprefix("--").partition("=")
            found[name.replace(".init_args.", ".")] = _value(value) if equals else None
        elif name:
            found[name.replace(".init_args.", ".")] = _value(argument)
    return found


def _value(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def new_folder(root: Path, asked: Asked) -> Path:
    """Makes the folder of a new cross-validation.

    Args:
        root: Folder of the config's runs.
        asked: What it is to hold.
    """
    while True:
        numbers = [number for number, _ in _existing(root)]
        folder = root / f"cv_{max(numbers, default=-1) + 1}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:  # another one took the number in between
            continue
        asked.write(folder)
        return folder


def find_folder(which: str, root: Path) -> Path:
    """The folder that ``--resume`` means.

    Args:
        which: A folder; ``""``: the newest of the config.
        root: Folder of the config's runs.

    Raises:
        ConfigError: If there is none.
    """
    if which:
        return Path(which)
    found = _existing(root)
    if not found:
        raise ConfigError(f"resume: there is no cross-validation in {root} to go on with; leave out --resume")
    return found[-1][1]


def check_same(folder: Path, kept: Asked, now: Asked) -> None:
    """Refuses to go on with other settings: the folds would not belong together.

    Raises:
        ConfigError: If something differs; says what.
    """
    lines = changes(kept.settings(), now.settings())
    if lines:
        raise ConfigError(
            "\n".join(
                [
                    f"resume: {folder} was begun with other settings:",
                    *(f"  {line}" for line in lines),
                    "Its folds would not belong together; leave out --resume to begin anew, or give what it had",
                ]
            )
        )


def clear(folder: Path) -> Path:
    """Removes what a fold left that did not come to its end; it is trained anew, with the same numbers."""
    if folder.is_dir():
        shutil.rmtree(folder)
    return folder


def _existing(root: Path) -> list[tuple[int, Path]]:
    found = [(int(m[1]), p) for p in root.glob("cv_*") if (m := _NUMBER.fullmatch(p.name)) and (p / ASKED).is_file()]
    return sorted(found)
