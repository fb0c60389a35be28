"""A checkpoint and a config that must belong together."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from textwrap import shorten
from typing import Any

from jsonargparse import Namespace

from fulmen.callbacks.averaging import TRAINED
from fulmen.cli.invocation import Invocation
from fulmen.cli.runs import find_checkpoint
from fulmen.core import provenance
from fulmen.core.checkpoints import load_safely
from fulmen.core.errors import CheckpointError
from fulmen.modules.saving import class_path

_TRAINING_ONLY = {"optimizer", "schedule", "regularizers", "weights", "pretrained"}
_SHOWN = 300
"""Characters of a list of weights that are shown."""
FACTS = ("num_outputs", "input_shape", "class_names", "target_type")
"""What flows from all data to all models; some have more (see ``SupervisedDataModule.extra_facts``)."""


def prepare(config: Namespace, path: Path, evaluate: bool) -> list[str]:
    """Checks that a checkpoint is of the config's model and, to evaluate, takes the model's arguments from it.

    Options that were given to ``fit`` on the command line are in the checkpoint, not in the config; a model
    that is evaluated has to be the one that was trained.

    Args:
        config: The parsed config; its model's arguments are changed in place.
        path: The checkpoint.
        evaluate: Whether the arguments are taken over; otherwise (``fit`` resumes) differences are only said.

    Returns:
        What to tell the person, line by line.

    Raises:
        CheckpointError: If the checkpoint is of another class.
        PluginError: If a plugin that it needs is missing or has changed.
    """
    checkpoint = load_safely(path)
    saved: dict[str, Any] = checkpoint.get("fulmen", {})
    provenance.compare(saved.get("components", []), str(path))
    trained = saved.get("class_path")
    if trained is None:  # a user's own LightningModule
        return []
    module, _, name = config.model.class_path.rpartition(".")
    if trained != class_path(getattr(import_module(module), name)):
        raise CheckpointError(
            f"{path} holds a {trained.rpartition('.')[2]}, but the config's model is a {name}; "
            "use the config that it was trained with"
        )
    arguments = config.model.init_args
    module, _, name = config.data.class_path.rpartition(".") if config.data is not None else ("", "", "")
    facts = {*FACTS, *getattr(getattr(import_module(module), name), "extra_facts", ())} if module else {*FACTS}
    differences = []
    for name, value in checkpoint.get("hyper_parameters", {}).items():
        if name.startswith("_") or name in _TRAINING_ONLY or name in facts or name not in arguments:
            continue
        given = arguments[name].as_dict() if isinstance(arguments[name], Namespace) else arguments[name]
        given = list(given) if isinstance(given, tuple) else given
        if given != value:
            differences.append(f"  {name}: {value} (the config says {given})")
            if evaluate:
                arguments[name] = value
    if not evaluate and TRAINED in checkpoint and not (config.get("ema") or config.get("swa")):
        differences.append("  ema or swa: it goes on from their average, as this run has neither")
    if not differences:
        return []
    if evaluate:
        return ["model arguments taken from the checkpoint:", *differences]
    return ["note: the checkpoint was trained with other model arguments than these:", *differences]


def explain(invocation: Invocation) -> None:
    """Looks for a better reason when a config cannot be used: a plugin that its checkpoint names and that is missing.

    Raises:
        PluginError: If that is so.
    """
    which = invocation.option("--ckpt_path") or (None if invocation.command == "fit" else "best")
    if which is None:
        return
    try:
        path = find_checkpoint(which, Path(invocation.runs_root), invocation.name)
        saved = load_safely(path)
    except CheckpointError:
        return
    provenance.compare(saved.get("fulmen", {}).get("components", []), str(path))


def explain_misfit(error: Exception, path: Path, differences: list[str]) -> None:
    """Says it plainly where an error of torch means that a checkpoint is of a model that differs from the config's.

    Args:
        error: What loading it raised.
        path: The checkpoint.
        differences: What :func:`prepare` found.

    Raises:
        CheckpointError: If that is so.
    """
    first, *rest = str(error).splitlines() or [""]
    if "loading state_dict" in first:
        details = [f"  {shorten(line, _SHOWN, placeholder=' ...')}" for line in rest[:3]]
        message = [f"{path}: its weights do not fit this model", *differences, *details]
    elif first.startswith("loaded state dict"):  # of an optimizer
        arguments = load_safely(path).get("hyper_parameters", {})
        new = f"`--model.weights {path}`" if "backbone" in arguments else "without it"
        message = [
            f"{path}: its optimizer trained other parameters, or had them in other groups",
            *differences,
            f"Resume with the arguments that it was trained with; or instead of --ckpt_path start a new run, {new}",
        ]
    else:
        return
    raise CheckpointError("\n".join(message)) from error


def compare_facts(path: Path, data: Any) -> None:
    """Checks that the data are like those that the model was trained on.

    Raises:
        CheckpointError: If classes, outputs or shape differ.
    """
    saved = load_safely(path).get("hyper_parameters", {})
    for fact in (*FACTS, *getattr(data, "extra_facts", ())):
        if fact in saved and hasattr(data, fact):
            now, then = getattr(data, fact), saved[fact]
            if (list(now) if isinstance(now, tuple) else now) != then:
                raise CheckpointError(f"{path} was trained on data with {fact} {then}; these data have {now}")
