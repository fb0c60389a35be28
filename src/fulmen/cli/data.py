"""The data of a config, made without a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import LightningDataModule

import fulmen.data
from fulmen.cli.invocation import Invocation
from fulmen.cli.messages import first_cause
from fulmen.cli.parser import FulmenParser
from fulmen.cli.quiet import quiet
from fulmen.core.errors import ConfigError
from fulmen.core.spec import at, check
from fulmen.data import SupervisedDataModule


def make_data(invocation: Invocation, lacking: str) -> SupervisedDataModule:
    """Makes the datamodule of a command line.

    Args:
        invocation: The command line.
        lacking: What to say of a datamodule that is no :class:`SupervisedDataModule`.

    Raises:
        FulmenError: For a mistake in the config or the command, or if the data cannot be read.
    """
    quiet()
    parser = FulmenParser()
    parser.add_lightning_class_args(LightningDataModule, "data", subclass_mode=True, required=True)
    sections = [config["data"] for config in invocation.configs.values() if config.get("data")]
    config = parser.parse_args([*(f"--data={json.dumps(section)}" for section in sections), *invocation.typed])
    model = [config["model"] for config in invocation.configs.values() if isinstance(config.get("model"), dict)]
    arguments = {name: value for section in model for name, value in (section.get("init_args") or {}).items()}
    take_defaults(config.data, invocation.class_path("model"), arguments)
    try:
        found = parser.instantiate_classes(config).data
    except ValueError as error:
        raise first_cause(error) from None
    if not isinstance(found, SupervisedDataModule):
        raise ConfigError(f"data: {type(found).__name__} is no SupervisedDataModule, {lacking}")
    check(type(found), config.data.init_args.as_dict(), "data.init_args")
    return found


def take_defaults(data: Namespace, model: str | None, arguments: Mapping[str, Any] | Namespace) -> None:
    """Fills in what a config's data leave open and the model knows: how the images of a backbone were prepared.

    Args:
        data: The data's part of a config; changed in place.
        model: Class path of the model.
        arguments: Its arguments.

    Raises:
        ConfigError: If the model's arguments cannot be used.
    """
    known, taken = getattr(resolve(model), "data_defaults", None), data.get("init_args") or {}
    if known is None or "image_size" not in taken or "mean" not in taken:
        return
    with at("model.init_args"):
        for name, value in known(**dict(arguments.items())).items():
            if name in taken and taken[name] is None:
                taken[name] = value


def resolve(class_path: str | None) -> type | None:
    """The class of a full or short class path; ``None`` if the parser has to say that there is none."""
    if class_path is None:
        return None
    module, _, name = class_path.rpartition(".")
    try:
        source = __import__(module, fromlist=[name]) if module else fulmen
        found = getattr(source, name)
    except (ImportError, AttributeError):
        return None
    return found if isinstance(found, type) else None
