"""In which keys the configs of several runs differ."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
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
    flats = [flat(config, _LEFT_OUT) for config in configs]
    keys = sorted({key for config in flats for key in config})
    opened = [key for key in keys if any(other.startswith(f"{key}.") for other in keys)]
    off = [key for key in opened if any(config.get(key, ABSENT) is None for config in flats)]
    for config in flats:
        for key in opened:  # a mapping in one config, a name in another
            if key in config:
                value = config.pop(key)
                if value is not None:
                    config[f"{key}.name"] = value
    keys = sorted({key for config in flats for key in config})
    rows = {key: [config.get(key, ABSENT) for config in flats] for key in keys}
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
    kept = {key: value for key, value in flat(config, _LEFT_OUT).items() if key != _SEED}
    return json.dumps(kept, sort_keys=True, default=str)


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What is not the same in two flat configs, in words.

    >>> changes({"data.folds": 5}, {"data.folds": 3, "seed_everything": 1})
    ['data.folds: 5, now 3', 'seed_everything: not given, now 1']
    """

    def said(settings: Mapping[str, Any], key: str) -> str:
        return repr(settings[key]) if key in settings else "not given"

    keys = {**before, **after}
    return [
        f"{key}: {said(before, key)}, now {said(after, key)}"
        for key in keys
        if before.get(key, ...) != after.get(key, ...)
    ]


def flat(config: Mapping[str, Any], left_out: Collection[str] = (), prefix: str = "") -> dict[str, Any]:
    """Nested keys as on the command line.

    Args:
        config: As it is saved.
        left_out: Keys that are not wanted.
        prefix: What stands before each key.

    >>> flat({"data": {"class_path": "IrisData", "init_args": {"batch_size": 8}}})
    {'data.class_path': 'IrisData', 'data.batch_size': 8}
    """
    found: dict[str, Any] = {}
    for key, value in config.items():
        name = prefix if key == "init_args" and prefix else f"{prefix}.{key}" if prefix else key
        if name in left_out:
            continue
        if isinstance(value, Mapping) and value:
            found |= flat(value, left_out, name)
        else:
            found[name] = value
    return found
