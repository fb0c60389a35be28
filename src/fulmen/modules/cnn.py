"""Convolutional network."""

from collections.abc import Sequence
from typing import Any, Literal

from torch import nn

from fulmen.core.spec import ActivationSpec
from fulmen.modules.base import SupervisedModule
from fulmen.networks import CNN
from fulmen.networks.cnn import Pooling
from fulmen.nn.blocks import Initialization, Normalization


class CNNModule(SupervisedModule):
    """Trains a CNN: stages of convolution, normalization and activation that halve the size.

    Args:
        channels: Channels of each stage.
        convolutions: Convolutions in each stage.
        kernel_size: Side of the kernels, odd.
        pooling: How a stage halves the size: ``max``, ``average``, or the ``stride`` of its last convolution.
        activation: Spec of the activation after each convolution.
        normalization: ``batch``, ``layer``, ``group``, ``instance``, or ``None``.
        head: ``global`` averages each channel over space, ``flatten`` keeps every position.
        dropout: Probability in [0, 1) that a feature is dropped before the output layer.
        initialization: How weights start; ``auto`` matches them to the activation.
        **kwargs: Arguments of :class:`SupervisedModule`.
    """

    def __init__(
        self,
        channels: Sequence[int] = (32, 64, 128),
        convolutions: int = 1,
        kernel_size: int = 3,
        pooling: Pooling = "max",
        activation: ActivationSpec = "relu",
        normalization: Normalization | None = "batch",
        head: Literal["global", "flatten"] = "global",
        dropout: float = 0.0,
        initialization: Initialization = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)

    def build_network(self) -> nn.Module:
        """An :class:`fulmen.networks.CNN`."""
        return self.make(CNN)
