"""`lightning card`: writes a model card from a run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fulmen.core.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from fulmen.evaluation import Predictions

_OUT = "README.md"
_GIVEN = ("license", "dataset", "intended_use", "out_of_scope", "authors")


def run(command: str, arguments: list[str]) -> None:
    """Runs `lightning card`.

    Args:
        command: ``card``.
        arguments: What follows it.

    Raises:
        FulmenError: For a mistake in the command, or a run that did not come to its end.
    """
    own = _parser(command).parse_args(arguments)
    folder = _run_folder(own.run)
    out = own.out or folder / _OUT
    if out.is_dir():
        raise ConfigError(f"out: {str(out)!r} is a folder; give a file, such as {out / _OUT}")
    if out.exists() and not own.overwrite:
        raise ConfigError(f"out: {str(out)!r} exists, and may hold what a person wrote; add --overwrite to replace it")

    from fulmen.workflows.card import NOT_GIVEN, model_card

    facts = _facts(folder, own)
    text = model_card(facts)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"out: {str(out)!r} cannot be written ({error})") from error
    print(f"card          {out}")
    missing = [f"--{name}" for name in _GIVEN if not getattr(own, name)]
    if missing:
        print(f"note: where nothing is known it says {NOT_GIVEN!r}; give {', '.join(missing)}")


def _run_folder(path: Path) -> Path:
    """The run's folder, also of its checkpoint."""
    from fulmen.cli import runs

    folder = path.parent.parent if path.is_file() and path.suffix == ".ckpt" else path
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {str(path)!r} (from {Path.cwd()}); give that of a run")
    runs.read_record(folder)
    if not (folder / "config.yaml").is_file():
        raise CheckpointError(f"{folder} has no config.yaml: it is no run's folder")
    return folder


def _facts(folder: Path, own: argparse.Namespace) -> Any:
    import os

    import yaml

    from fulmen.cli import environment, runs
    from fulmen.cli.stored import predictions_of
    from fulmen.core.checkpoints import load_safely
    from fulmen.workflows.card_facts import CardFacts

    record = runs.read_record(folder)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    best = runs.best_of(folder)
    checkpoint = load_safely(best)
    samples = record.get("samples") or {}
    tested = any(name.startswith("test/") for name in record.get("scores") or {}) or record.get("test_set_used")
    splits = [s for s in ("val", "test") if samples.get(s) and (s == "val" or tested)]
    predictions: dict[str, Predictions] = {split: predictions_of(folder, split) for split in splits}
    if not predictions:
        raise ConfigError(
            f"{folder} has no samples that a card could tell of: it needs a SupervisedModule and a "
            "SupervisedDataModule with a validation or a test split, and test samples count "
            f"once `lightning test --ckpt_path {folder}` or fit has scored them"
        )
    out = own.out or folder / _OUT
    return CardFacts(
        name=own.name or record.get("name") or folder.resolve().parent.name,
        model=checkpoint.get("fulmen", {}).get("class_path") or config["model"]["class_path"],
        data=config["data"]["class_path"].rpartition(".")[2],
        modality=_modality(config["data"]["class_path"], checkpoint.get("hyper_parameters", {})),
        record=record,
        environment=environment.read(folder) or {},
        config=_changed(config),
        predictions=predictions,
        checkpoint=Path(os.path.relpath(best, out.parent)).as_posix(),
        reports={split: found for split in splits if (found := _report(folder / f"report_{split}" / "metrics.json"))},
        given={name: getattr(own, name) for name in _GIVEN},
    )


def _report(file: Path) -> dict[str, Any]:
    """What `lightning report` wrote; empty where it did not."""
    import json

    found: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    return found


def _changed(config: dict[str, Any]) -> dict[str, Any]:
    """A run's config, which is complete, without what is as it would be anyway."""
    from fulmen.callbacks import EMA, SWA, Checkpoint, EarlyStopping

    found = {"seed_everything": config.get("seed_everything")}
    for key in ("model", "data"):
        section = config.get(key) or {}
        arguments = section.get("init_args") or {}
        cls = _imported(section.get("class_path", ""))
        found[key] = {"class_path": section.get("class_path"), "init_args": _not_default(cls, arguments)}
    for key, cls in {"early_stopping": EarlyStopping, "checkpoint": Checkpoint, "ema": EMA, "swa": SWA}.items():
        if config.get(key) is not None:
            found[key] = {"monitor": config[key].get("monitor"), **_not_default(cls, config[key])}
    return found


def _not_default(cls: type | None, arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments that differ from what the class, or one that it is made from, would take."""
    import inspect

    defaults: dict[str, Any] = {}
    for each in reversed(cls.__mro__ if cls is not None else ()):
        if "__init__" in vars(each):
            parameters = inspect.signature(vars(each)["__init__"]).parameters.values()
            defaults |= {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()}
    return {name: value for name, value in arguments.items() if name not in plain or plain[name] != value}


def _imported(path: str) -> type | None:
    from importlib import import_module

    module, _, name = path.rpartition(".")
    found = getattr(import_module(module), name, None) if module else None
    return found if isinstance(found, type) else None


def _modality(data: str, arguments: dict[str, Any]) -> str:
    """What the samples are: known by the class of the data, else by the shape that the model takes."""
    from fulmen.data import TabularData, TextData

    cls = _imported(data)
    if cls is not None and issubclass(cls, TextData):
        return "text"
    if cls is not None and issubclass(cls, TabularData):
        return "table"
    return {1: "table", 3: "image"}.get(len(arguments.get("input_shape") or ()), "other")


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"lightning {command}",
        usage=f"lightning {command} RUN [options]",
        description="Writes a model card in Markdown, with the front matter of the Hugging Face hub: data, training, "
        "numbers with intervals, limits that were seen, how to use it. What only its author knows is given by options.",
        allow_abbrev=False,
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run, such as runs/digits_mlp/version_0")
    parser.add_argument("--out", type=Path, help=f"file to write (RUN/{_OUT})")
    parser.add_argument("--overwrite", action="store_true", help="replaces a file that exists")
    parser.add_argument("--name", help="of the model (that of the run's config)")
    parser.add_argument("--license", help="as the hub spells it: apache-2.0, mit, cc-by-4.0, other")
    parser.add_argument("--dataset", help="the dataset's id on the hub, or its name")
    parser.add_argument("--intended_use", help="what it is meant for, a sentence")
    parser.add_argument("--out_of_scope", help="what it is not meant for, a sentence")
    parser.add_argument("--authors", help="who made it")
    return parser
