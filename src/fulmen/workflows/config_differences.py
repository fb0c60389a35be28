"""In which keys the configs of several runs differ."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

_LEFT_OUT = (
    "checkpoint.dirpath", "check", "ckpt_path", "keep_predictions", "logger", "output", "provenance", "report",
    "test_after_fit", "trainer.barebones", "trainer.default_root_dir", "trainer.enable_checkpointing",
    "trainer.enable_model_summary", "trainer.enable_progress_bar", "trainer.logger",
)  # fmt: skip
"""Keys that say where and how much is written, not what is trained."""
_SEED = "seed_everything"
ABSENT = "-"
"""Stands for a key that a config does not have."""


def config_differences(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The keys that are not the same in all configs, with the value of each.

    A spec that is a bare name counts as a mapping with that name; of a section that is null in some configs, what all
    others have in common is one row; `init_args` is left out of the keys, as on the
    command line.

    Args:
        configs: As they are saved.

    >>> config_differences([{"model": {"init_args": {"optimizer": "adam", "dropout": 0.1}}},
    ...                     {"model": {"init_args": {"optimizer": {"name": "adam", "lr": 0.1}, "dropout": 0.1}}}])
    {'model.optimizer.lr': ['-', 0.1]}
    """
    flat = [_flat(config) for config in configs]
    keys = sorted({key for config in flat for key in config})
    opened = [key for key in keys if any(other.startswith(f"{key}.") for other in keys)]
    off = [key for key in opened if any(config.get(key, ABSENT) is None for config in flat)]
    for config in flat:
        for key in opened:  # a mapping in one config, a name in another
            if key in config:
                value = config.pop(key)
                if value is not None:
                    config[f"{key}.name"] = value
    keys = sorted({key for config in flat for key in config})
    rows = {key: [config.get(key, ABSENT) for config in flat] for key in keys}
    for key in off:
        rows = _switched(rows, key)
    return {key: values for key, values in rows.items() if len({json.dumps(v, default=str) for v in values}) > 1}


def _switched(rows: Mapping[str, list[Any]], key: str) -> dict[str, list[Any]]:
    """Rows in which a section that some configs lack is one row, as far as the others agree on it."""
    inside = [name for name in rows if name.startswith(f"{key}.")]
    shared: dict[str, Any] = {}
    for name in inside:
        values = [value for value in rows[name] if value != ABSENT]
        if all(value == values[0] for value in values):
            shared[name.removeprefix(f"{key}.")] = values[0]
    there = [any(rows[name][i] != ABSENT for name in inside) for i in range(len(rows[inside[0]]))]
    first = sorted(shared, key=lambda name: (name not in ("name", "monitor"), name))  # what tells most
    said = {name: shared[name] for name in first if shared[name] is not None}
    kept = {name: values for name, values in rows.items() if name.removeprefix(f"{key}.") not in shared}
    return dict(sorted({**kept, key: [said if on else None for on in there]}.items()))


def without_seed(config: Mapping[str, Any]) -> str:
    """What is the same in runs that repeat each other with other seeds, as text to compare."""
    kept = {key: value for key, value in _flat(config).items() if key != _SEED}
    return json.dumps(kept, sort_keys=True, default=str)


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in config.items():
        name = prefix if key == "init_args" and prefix else f"{prefix}.{key}" if prefix else key
        if name in _LEFT_OUT:
            continue
        if isinstance(value, Mapping) and value:
            found |= _flat(value, name)
        else:
            found[name] = value
    return found
