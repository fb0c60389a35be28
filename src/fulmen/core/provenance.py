"""What a model was made of: written into checkpoints and saved configs, compared when they are loaded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fulmen.core.errors import PluginError
from fulmen.core.registry import KINDS, Component

_WORDS = {**KINDS, "modules": "module"}

OVERRIDE = "FULMEN_ALLOW_MAJOR_CHANGE"


def records(components: Iterable[Component]) -> list[dict[str, Any]]:
    """Components as primitives, each once.

    >>> records([Component("activations", "relu", "torch.nn:ReLU", "fulmen", "0.1.0")])
    [{'kind': 'activations', 'name': 'relu', 'distribution': 'fulmen', 'version': '0.1.0'}]
    """
    unique = {(c.kind, c.name, c.distribution): c for c in components}
    return [
        {"kind": c.kind, "name": c.name, "distribution": c.distribution, "version": c.version} for c in unique.values()
    ]


def compare(saved: Iterable[Mapping[str, Any]], source: str) -> None:
    """Checks that what was used is still here.

    Args:
        saved: What :func:`records` gave when it was saved.
        source: Where it was saved, for messages.

    Raises:
        PluginError: If a distribution is missing, or its major version differs and the environment
            variable ``FULMEN_ALLOW_MAJOR_CHANGE`` is not set, or a record is unreadable (edited by hand, say).
    """
    from packaging.version import Version

    for record in saved:
        try:
            kind, name, distribution, then = (record[key] for key in ("kind", "name", "distribution", "version"))
        except (KeyError, TypeError) as error:
            raise PluginError(
                f"{source}: {record!r} is no record of what a model was made of (kind, name, distribution, version)"
            ) from error
        if distribution is None:
            continue
        made_with = f"{source} was made with {_WORDS.get(kind, kind)} {name!r} of {distribution} {then}"
        install = f"pip install '{distribution}=={then}'"
        try:
            here = version(distribution)
        except PackageNotFoundError as error:
            raise PluginError(f"{made_with}, which is not installed: {install}") from error
        if Version(here).major != Version(str(then)).major and not os.environ.get(OVERRIDE):
            raise PluginError(
                f"{made_with}, but {here} is installed, a major change: {install}, "
                f"or set {OVERRIDE}=1 to use it all the same"
            )
