"""Other ways to run the same network: compiled, and with the channels of images last in memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fulmen.core.errors import ConfigError

_COMPILERS = ("g++", "clang++", "cl")


def compile_network(network: nn.Module, device: torch.device) -> None:
    """Lets a network run compiled from its next call on; names and values of its weights stay.

    ``network.compile()`` rather than ``torch.compile(network)``, which puts ``_orig_mod.`` before the names in
    checkpoints (https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html). The first step of each shape and
    mode takes seconds to a minute.

    Args:
        network: Whose weights are on ``device``.
        device: The code for a CPU is built by a C++ compiler.

    Raises:
        ConfigError: If there is none.
    """
    compilers = (os.environ.get("CXX", ""), *_COMPILERS)
    if device.type == "cpu" and not any(shutil.which(name) for name in compilers if name):
        raise ConfigError(
            "compile: torch builds code for the CPU with a C++ compiler (g++, clang++ or cl), and there is none; "
            "install one, or set it to false"
        )
    if getattr(network, "_compiled_call_impl", None) is None:
        network.compile()


def put_channels_last(network: nn.Module, input_shape: Sequence[int]) -> None:
    """Lays a network's image weights out with the channels last, which convolutions are often faster with.

    https://docs.pytorch.org/tutorials/intermediate/memory_format_tutorial.html

    Args:
        network: Changed in place.
        input_shape: Shape of a sample.

    Raises:
        ConfigError: If samples are no images.
    """
    if len(input_shape) != 3:
        raise ConfigError(
            f"channels_last: it is for images (C, H, W); samples have the shape {tuple(input_shape)}; set it to false"
        )
    network.to(memory_format=torch.channels_last)


def channels_last(inputs: Tensor) -> Tensor:
    """Images ``(N, C, H, W)`` with the channels last in memory; others as they are."""
    return inputs.contiguous(memory_format=torch.channels_last) if inputs.ndim == 4 else inputs
