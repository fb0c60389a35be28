"""Writes a package with a component of one's own, which passes its tests, linter and type checks as it stands.

The package is a folder `fulmen-NAME` with one documented example of the kind, tests, a README and a workflow of CI.
Change the example into your own; `pip install -e .` makes its name known to every config.
"""

from __future__ import annotations

import argparse
import keyword
import re
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from itertools import count
from pathlib import Path
from string import Template
from typing import Any

from fulmen.cli.plugins.kinds import config_line, read_kind
from fulmen.core.errors import ConfigError
from fulmen.core.registry import KINDS, OWN, canonical, registry
from fulmen.core.version import __version__

_NAME = re.compile(r"[A-Za-z]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_LONGEST = 30  # longer ones would break the lines that the formatter keeps

EXAMPLES: dict[str, dict[str, Any]] = {
    "activations": {"slope": 2.0},
    "regularizers": {"weight": 0.0001},
    "losses": {"scale": 0.5},
    "metrics": {"tolerance": 0.5},
    "optimizers": {"lr": 0.001},
    "schedules": {"power": 1.0},
    "image_augmentations": {"strength": 0.5},
    "text_augmentations": {"share": 0.2},
}
"""Kind -> options of the example that the package is written with, for the line of a config."""

_DEPENDENCIES = {"image_augmentations": ["fulmen-albumentations"], "text_augmentations": ["fulmen-nlpaug"]}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `lightning plugins new`."""
    words = ", ".join(word.replace(" ", "_") for word in KINDS.values())
    parser.add_argument("name", metavar="NAME", help="what configs are to call it, such as bump")
    parser.add_argument("--kind", required=True, help=f"what it is: {words}")
    parser.add_argument("--path", type=Path, default=Path(), help="where the folder is made (default: here)")


def run(options: argparse.Namespace) -> None:
    """Writes the package.

    Raises:
        ConfigError: If the name or the kind cannot be used, or the folder holds something already.
    """
    kind = read_kind(options.kind)
    fields = describe(options.name, kind)
    folder = options.path / fields["distribution"]
    written = write(folder, kind, fields)
    print(f"wrote {folder}:")
    print("\n".join(f"  {path.relative_to(folder)}" for path in written))
    print(f"\nnext:\n  cd {folder}\n  pip install -e . --group dev\n  pytest\n\nin a config:\n  {fields['line']}")


def describe(name: str, kind: str) -> dict[str, str]:
    """What the templates are filled with.

    Args:
        name: What was asked for, with or without ``fulmen-`` in front.
        kind: A key of :data:`fulmen.core.registry.KINDS`.

    Raises:
        ConfigError: If the name cannot be used, or is taken.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise ConfigError(
            f"NAME: {name!r} is no name for a package; allowed: a letter, then letters, digits, '-', '_' and '.', "
            f"at most {_LONGEST} in all, such as my-bump"
        )
    short = canonical(name).removeprefix(f"{OWN}-")
    component = short.replace("-", "_")
    cls = "".join(part.capitalize() for part in short.split("-"))
    if not cls.isidentifier() or keyword.iskeyword(cls) or component == OWN:
        raise ConfigError(f"NAME: {name!r} cannot name a class in Python; take another, such as my-{short}")
    distribution = f"{OWN}-{short}"
    _check_free(kind, component, distribution)
    major, minor = __version__.split(".")[:2]
    requirements = [f"{OWN}>={major}.{minor},<{major}.{int(minor) + 1}", *_DEPENDENCIES.get(kind, [])]
    return {
        "distribution": distribution,
        "module": distribution.replace("-", "_"),
        "name": component,
        "cls": cls,
        "kind": kind,
        "word": KINDS[kind],
        "dependencies": ", ".join(f'"{requirement}"' for requirement in requirements),
        "line": config_line(kind, component, EXAMPLES[kind]),
    }


def _check_free(kind: str, component: str, distribution: str) -> None:
    """Refuses a name that something installed has: both would then need their qualified spelling."""
    taken = {c.name: c for c in registry().components(kind)}
    if component in taken:
        free = next(n for n in (f"{component}_{i}" for i in count(2)) if n not in taken)
        owner = taken[component].provider
        raise ConfigError(f"NAME: {KINDS[kind]} {component!r} is provided by {owner}; take another, such as {free!r}")
    try:
        installed = version(distribution)
    except PackageNotFoundError:
        return
    raise ConfigError(f"NAME: {distribution} {installed} is installed already; take another name")


def write(folder: Path, kind: str, fields: dict[str, str]) -> list[Path]:
    """Writes the files of a package.

    Args:
        folder: Where; made if it does not exist.
        kind: A key of :data:`fulmen.core.registry.KINDS`.
        fields: What :func:`describe` gave.

    Returns:
        The files.

    Raises:
        ConfigError: If the folder holds something, is a file, or cannot be written.
    """
    what = KINDS[kind].replace(" ", "_")
    sources = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        f"src/{fields['module']}/__init__.py": f"{what}.py",
        f"tests/test_{fields['name']}.py": f"test_{what}.py",
        ".github/workflows/test.yml": "test.yml",
        ".gitignore": "gitignore",
    }
    texts = {path: _render(template, fields) for path, template in sources.items()}
    texts[f"src/{fields['module']}/py.typed"] = ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigError(f"--path: {folder} holds something already; nothing is overwritten. Give another --path")
        for name, text in texts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--path: {folder} cannot be written: {error.strerror}") from error
    return [folder / name for name in sorted(texts)]


def _render(template: str, fields: dict[str, str]) -> str:
    text = files(__package__).joinpath("templates", f"{template}.txt").read_text(encoding="utf-8")
    return Template(text).substitute(fields)
