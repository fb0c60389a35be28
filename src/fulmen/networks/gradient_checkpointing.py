"""Gradient checkpointing: blocks run again in the backward pass, instead of keeping their activations."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from fulmen.core.errors import ConfigError

_RESTING = "_fulmen_recomputed"


def checkpoint_gradients(model: Any, backbone: str) -> None:
    """Switches a timm model's gradient checkpointing on (Chen et al. 2016, https://arxiv.org/abs/1604.06174).

    The second pass of a block leaves the statistics of its batch normalization alone: they have seen the batch.

    Args:
        model: Of timm.
        backbone: Its name, for messages.

    Raises:
        ConfigError: If timm has none for it.
    """
    try:
        model.set_grad_checkpointing(True)
    except (AssertionError, AttributeError) as error:
        raise ConfigError(
            f"gradient_checkpointing: timm has none for {backbone!r}; set it to false, and accumulate gradients of "
            "smaller batches instead (trainer.accumulate_grad_batches)"
        ) from error
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._NormBase):
            module.register_forward_pre_hook(_rest_when_recomputed)
            module.register_forward_hook(_wake, always_call=True)  # torch ends a second pass early, by an exception


def _rest_when_recomputed(module: nn.modules.batchnorm._NormBase, inputs: Any) -> None:
    recomputed = not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1  # in a backward pass
    if recomputed and module.training and module.num_batches_tracked is not None:
        setattr(module, _RESTING, (module.momentum, module.num_batches_tracked.clone()))
        module.momentum = 0.0


def _wake(module: nn.modules.batchnorm._NormBase, inputs: Any, output: Any) -> None:
    if hasattr(module, _RESTING) and module.num_batches_tracked is not None:
        module.momentum, count = getattr(module, _RESTING)
        module.num_batches_tracked.copy_(count)
        delattr(module, _RESTING)
