"""A user's own network."""

from typing import Any

from torch import nn

from fulmen.modules.base import SupervisedModule


class NetworkModule(SupervisedModule):
    """Trains a network of one's own, with the losses, metrics and optimizers of :class:`SupervisedModule`.

    The one module with an argument that is an object: from Python, give the network again to load a
    checkpoint (``NetworkModule.load_from_checkpoint(path, network=net)``); a checkpoint that the command
    line made holds the network's class and arguments instead.

    Args:
        network: Maps ``(N, *input_shape)`` to ``(N, num_outputs)``.
        **kwargs: Arguments of :class:`SupervisedModule`.

    >>> NetworkModule(nn.Linear(4, 3), num_outputs=3).num_outputs
    3
    """

    def __init__(self, network: nn.Module, **kwargs: Any) -> None:
        self._network = [network]  # in a list: nn.Module cannot hold a child before its constructor has run
        super().__init__(**kwargs)

    def build_network(self) -> nn.Module:
        """The network that was given."""
        return self._network[0]
