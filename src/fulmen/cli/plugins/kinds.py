"""How the kinds of components are written on the command line and in a config."""

from __future__ import annotations

from typing import Any

from fulmen.core.errors import ConfigError, unknown
from fulmen.core.registry import KINDS

KEYS = {
    "activations": "activation",
    "regularizers": "regularizers",
    "losses": "loss",
    "metrics": "metrics",
    "optimizers": "optimizer",
    "schedules": "schedule",
    "image_augmentations": "augment",
    "text_augmentations": "augment",
}
"""Kind -> the argument that takes it, in the modules and datamodules of this package."""

LISTS = {"regularizers", "metrics", "image_augmentations", "text_augmentations"}
"""The kinds whose argument takes a list."""


def read_kind(text: str) -> str:
    """The kind that a person names, in the singular or in the plural.

    Raises:
        ConfigError: If there is no such kind.

    >>> read_kind("image-augmentation")
    'image_augmentations'
    """
    spelled = text.strip().lower().replace("-", "_").replace(" ", "_")
    singular = {word.replace(" ", "_"): kind for kind, word in KINDS.items()}
    kind = singular.get(spelled, spelled)
    if kind not in KINDS:
        raise ConfigError(f"--kind: {unknown('kind', text, KINDS)}")
    return kind


def config_line(kind: str, name: str, options: dict[str, Any]) -> str:
    """A line of a config that names a component.

    >>> config_line("regularizers", "l1", {"weight": 0.1})
    'regularizers: [{name: l1, weight: 0.1}]'
    """
    import yaml

    spec: Any = {"name": name, **options} if options else name
    line = yaml.safe_dump(
        {KEYS[kind]: [spec] if kind in LISTS else spec}, default_flow_style=True, sort_keys=False, width=float("inf")
    )
    return line.strip()[1:-1]
