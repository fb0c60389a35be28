"""Regularizers of weights, activations, outputs, inputs and training, for Fulmen."""

from fulmen_regularizers.groups import GroupLasso, MaxNorm
from fulmen_regularizers.inputs import GradientPenalty, Jacobian
from fulmen_regularizers.kl_sparsity import KLSparsity
from fulmen_regularizers.mixup import ManifoldMixup
from fulmen_regularizers.outputs import ConfidencePenalty
from fulmen_regularizers.pruning import LayerSparsity, PruningReport, pruning_report
from fulmen_regularizers.sam import SAM
from fulmen_regularizers.spectra import SRIP, Orthogonal, SpectralNorm
from fulmen_regularizers.watching import ActivityL1, ActivityL2
from fulmen_regularizers.weights import L2SP, Hoyer

__all__ = [
    "L2SP",
    "SAM",
    "SRIP",
    "ActivityL1",
    "ActivityL2",
    "ConfidencePenalty",
    "GradientPenalty",
    "GroupLasso",
    "Hoyer",
    "Jacobian",
    "KLSparsity",
    "LayerSparsity",
    "ManifoldMixup",
    "MaxNorm",
    "Orthogonal",
    "PruningReport",
    "SpectralNorm",
    "pruning_report",
]
