"""The data of a config, made without a model."""

from __future__ import annotations

import json

from lightning.pytorch import LightningDataModule

from fulmen.cli.invocation import Invocation
from fulmen.cli.messages import first_cause
from fulmen.cli.parser import FulmenParser
from fulmen.cli.quiet import quiet
from fulmen.core.errors import ConfigError
from fulmen.core.spec import check
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
    try:
        found = parser.instantiate_classes(config).data
    except ValueError as error:
        raise first_cause(error) from None
    if not isinstance(found, SupervisedDataModule):
        raise ConfigError(f"data: {type(found).__name__} is no SupervisedDataModule, {lacking}")
    check(type(found), config.data.init_args.as_dict(), "data.init_args")
    return found
