"""Norm layers that are shared by processes, and what torch's conversion would do to timm's."""

from __future__ import annotations

from lightning.pytorch import Trainer
from torch import nn

from fulmen.core.errors import ConfigError


def check_norm_sync(network: nn.Module, trainer: Trainer) -> None:
    """Checks that ``trainer.sync_batchnorm`` leaves a network what it is.

    Lightning lets ``torch.nn.SyncBatchNorm.convert_sync_batchnorm`` replace every batch norm; timm's
    ``BatchNormAct2d`` has the activation inside, which is then gone without a word.

    Args:
        network: About to be trained.
        trainer: Its trainer, before the strategy sees the network.

    Raises:
        ConfigError: If activations would be lost.
    """
    if getattr(trainer.strategy, "_layer_sync", None) is None:
        return
    norms = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and any(True for _ in module.children())
    ]
    if norms:
        raise ConfigError(
            f"trainer.sync_batchnorm: torch's conversion would take the activations out of {len(norms)} norm layers, "
            f"such as {norms[0]!r}; leave it out (`batch_norm: frozen` keeps statistics alike in all processes)"
        )
