"""From a command line to a study whose queue is filled."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fulmen.cli.invocation import Invocation
from fulmen.cli.processes import starts_processes
from fulmen.cli.tuning.checking import check_space, comparable, parse
from fulmen.cli.tuning.settings import Settings, load_space, new_folder, read_settings
from fulmen.core.errors import ConfigError, FulmenError
from fulmen.workflows.tuning import Space, Study, open_alone, read_space

_KEPT = ("sampler", "seed", "metric", "mode", "folds", "pruner", "prune_after", "storage")


def prepare(own: argparse.Namespace, rest: list[str]) -> tuple[Settings, Path, Study]:
    """Makes or joins a study, after all that can be checked is checked.

    Args:
        own: Options of the command.
        rest: Keys of `fit`.

    Raises:
        FulmenError: For a mistake in the config, the space or the command.
    """
    folder = None if own.study is None else _named(own, rest)
    stored = None if folder is None else read_settings(folder)
    if stored is not None:
        own, rest = _with_stored(own, rest, stored)
    if own.space is None and stored is None:
        raise ConfigError("space: nothing is given; write --space FILE, YAML such as `model.activation: [relu, gelu]`")
    raw = load_space(own.space) if own.space is not None else dict(stored.space) if stored is not None else {}
    space, base = read_space(raw), parse(rest)
    if stored is None or raw != stored.space:
        check_space(space, rest)
    settings = _settings(own, rest, raw, space, base)
    _check_settings(settings, base, space)
    invocation = Invocation.read("fit", rest)
    made = folder is None or not folder.is_dir()
    folder = folder or new_folder(Path(invocation.runs_root), invocation.name, None)
    settings = replace(settings, name=stored.name if stored is not None else f"{invocation.name}/{folder.name}")
    try:
        return settings, folder, _open_filled(settings, base, folder)
    except FulmenError:
        if made:
            shutil.rmtree(folder, ignore_errors=True)  # there is nothing in it
        raise


def _open_filled(settings: Settings, base: Mapping[str, Any], folder: Path) -> Study:
    same = ("metric", "folds", "pruner", "prune_after")
    with open_alone(folder):
        study = open_study(settings, folder)
        study.agree({**{key: getattr(settings, key) for key in same}, "config": comparable(base)})
        study.fill(settings.trials)
        settings.write(folder)
    return study


def open_study(settings: Settings, folder: Path) -> Study:
    """The study of a folder."""
    folds = settings.folds is not None
    return Study(
        read_space(settings.space),
        settings.name,
        settings.address(folder),
        settings.sampler,
        settings.mode,
        settings.seed,
        settings.pruner,
        after=0 if folds else settings.prune_after,
        most=settings.folds or settings.epochs,
    )


def _named(own: argparse.Namespace, rest: list[str]) -> Path:
    invocation = Invocation.read("fit", rest)
    return new_folder(Path(invocation.runs_root), invocation.name, own.study)


def _with_stored(own: argparse.Namespace, rest: list[str], stored: Settings) -> tuple[argparse.Namespace, list[str]]:
    """What is not given again is as it was."""
    merged = argparse.Namespace(**vars(own))
    for name in (*_KEPT, "trials", "keep"):
        if getattr(merged, name) is None:
            setattr(merged, name, getattr(stored, name))
    merged.isolated = own.isolated or stored.isolated
    return merged, rest or stored.arguments


def _settings(
    own: argparse.Namespace, rest: list[str], raw: Mapping[str, Any], space: Space, base: Mapping[str, Any]
) -> Settings:
    sampler = own.sampler or "tpe"
    metric, mode = _metric(own, base)
    return Settings(
        arguments=rest,
        space=raw,
        sampler=sampler,
        trials=own.trials if own.trials is not None or sampler == "grid" else 20,
        seed=own.seed or 0,
        metric=metric,
        mode=mode,
        folds=own.folds,
        pruner=own.pruner or ("none" if sampler == "grid" else "median"),
        prune_after=3 if own.prune_after is None else own.prune_after,
        epochs=(base.get("trainer") or {}).get("max_epochs") or 100,
        storage=own.storage or "journal",
        name="",
        isolated=own.isolated or starts_processes(base.get("trainer") or {}),
        keep=own.keep or "all",
    )


def _metric(own: argparse.Namespace, base: Mapping[str, Any]) -> tuple[str, str]:
    """The score's logged name and mode."""
    checkpoint = base.get("checkpoint") or {}
    monitor = checkpoint.get("monitor")
    if own.folds is None and monitor is None:
        raise ConfigError(
            "checkpoint.monitor: nothing says which epoch of a trial is its best, whose score counts; write "
            "`checkpoint: {monitor: val/loss}`, or --checkpoint.monitor val/loss"
        )
    metric = own.metric or monitor or "val/loss"
    metric = metric if "/" in metric else f"val/{metric}"
    if not metric.startswith("val/"):
        raise ConfigError(f"metric: {metric!r} is not allowed; allowed: what is logged in validation, such as val/loss")
    if own.mode is not None:
        return metric, own.mode
    if metric == monitor:
        return metric, checkpoint.get("mode") or "min"
    from fulmen.evaluation import higher_is_better

    return metric, "max" if higher_is_better(metric) else "min"


def _check_settings(settings: Settings, base: Mapping[str, Any], space: Space) -> None:
    for name, least in (("trials", 1), ("folds", 2), ("prune_after", 0), ("seed", 0)):
        value = getattr(settings, name)
        if value is not None and value < least:
            raise ConfigError(f"{name}: {value} is out of range; allowed: at least {least}")
    if (base.get("trainer") or {}).get("fast_dev_run"):
        raise ConfigError("trainer.fast_dev_run: it keeps no score; leave it out")
    if base.get("ckpt_path"):
        raise ConfigError("ckpt_path: each trial starts anew; leave it out")
    if settings.folds is not None and ((base.get("data") or {}).get("init_args") or {}).get("folds") is not None:
        raise ConfigError("data.folds: --folds sets it; leave it out of the config")
    if settings.sampler == "grid":
        for part in space.parameters:
            Space({part: space.parameters[part]}).cells()
