"""Floor 2: plain ``nn.Module`` networks, tensor to tensor."""

from fulmen.networks.backbone import data_defaults
from fulmen.networks.cnn import CNN
from fulmen.networks.mlp import MLP
from fulmen.networks.text import TextCNN, TextMLP
from fulmen.networks.transfer import Transfer

__all__ = ["CNN", "MLP", "TextCNN", "TextMLP", "Transfer", "data_defaults"]
