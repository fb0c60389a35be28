"""What checkpoints hold, so that torch's safe loading can read them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule

from fulmen.core import provenance
from fulmen.core.checkpoints import load_safely
from fulmen.core.errors import CheckpointError
from fulmen.core.registry import OWN, Component, registry
from fulmen.core.spec import primitive

_SAFE = (type(None), bool, int, float, str)


def class_path(cls: type) -> str:
    """Where a class is defined, ``package.module.Name``."""
    return f"{cls.__module__}.{cls.__qualname__}"


def module_component(cls: type) -> list[Component]:
    """A module's class as a component, where a plugin provides it."""
    component = registry().by_path("modules", class_path(cls))
    return [component] if component.distribution not in (None, OWN) else []


def keep_primitives(module: LightningModule) -> list[str]:
    """Turns saved classes into dotted paths, and drops objects, which no safe checkpoint can hold.

    Args:
        module: Whose ``hparams`` are changed.

    Returns:
        The names of the arguments that were dropped.
    """
    dropped = []
    for name, value in list(module.hparams.items()):
        plain = primitive(value)
        if _is_primitive(plain):
            module.hparams[name] = plain
        else:
            del module.hparams[name]
            dropped.append(name)
    module._hparams_initial = copy.deepcopy(module.hparams)  # type: ignore[assignment]
    return dropped


def check_loadable(cls: type, path: Path, given: set[str]) -> None:
    """Checks, before a model is made, that a checkpoint's plugins are here and its objects are given.

    Args:
        cls: The class that is to be loaded.
        path: The checkpoint.
        given: Names of the arguments that the caller gives.

    Raises:
        PluginError: If a plugin is missing, or has changed its major version.
        CheckpointError: If it holds objects, or an argument was one and is not given again.
    """
    saved = load_safely(path).get("fulmen", {})
    provenance.compare(saved.get("components", []), str(path))
    missing = [name for name in saved.get("objects", []) if name not in given]
    if missing:
        again = ", ".join(f"{name}=..." for name in missing)
        raise CheckpointError(
            f"{path} was made with objects, which no checkpoint holds: give them again, "
            f"{cls.__name__}.load_from_checkpoint(path, {again})"
        )


def _is_primitive(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(k, str) and _is_primitive(v) for k, v in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_primitive, value))
    return type(value) in _SAFE
