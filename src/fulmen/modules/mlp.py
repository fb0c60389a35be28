"""Multilayer perceptron."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from fulmen.core.spec import ActivationSpec
from fulmen.modules.base import SupervisedModule
from fulmen.networks import MLP
from fulmen.nn.blocks import Initialization, Normalization


class MLPModule(SupervisedModule):
    """Trains an MLP: linear layers with activations between them.

    Args:
        hidden_features: Width of each hidden layer; an empty list makes a linear model.
        activation: Spec of the activation after each hidden layer.
        normalization: ``batch``, ``layer``, ``group``, ``instance``, or ``None``, before each activation.
        dropout: Probability in [0, 1) that a hidden unit is dropped.
        initialization: How weights start; ``auto`` matches them to the activation.
        residual: Add each layer's input to its output.
        categories: How many codes each of the last inputs has; they are embedded. From the data on the command line.
        embedding_features: Width of these embeddings; ``None``: by the number of codes.
        **kwargs: Arguments of :class:`SupervisedModule`.
    """

    def __init__(
        self,
        hidden_features: Sequence[int] = (256, 128),
        activation: ActivationSpec = "relu",
        normalization: Normalization | None = None,
        dropout: float = 0.0,
        initialization: Initialization = "auto",
        residual: bool = False,
        categories: list[int] | None = None,
        embedding_features: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)

    def build_network(self) -> nn.Module:
        """An :class:`fulmen.networks.MLP`."""
        return self.make(MLP)
