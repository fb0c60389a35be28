"""Floor 4: LightningModules. ``SupervisedModule`` owns the step; the others each only build a network."""

from fulmen.modules.base import SupervisedModule
from fulmen.modules.cnn import CNNModule
from fulmen.modules.mlp import MLPModule
from fulmen.modules.network import NetworkModule
from fulmen.modules.text import TextCNNModule, TextMLPModule
from fulmen.modules.transfer import TransferModule

__all__ = [
    "CNNModule",
    "MLPModule",
    "NetworkModule",
    "SupervisedModule",
    "TextCNNModule",
    "TextMLPModule",
    "TransferModule",
]
