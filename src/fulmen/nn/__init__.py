"""Floor 1: losses, regularizers, metrics, schedules and blocks: small pieces, the built-ins of the registries."""

from fulmen.nn.losses import BinaryCrossEntropy, CrossEntropy, Focal, LogCosh, Quantile
from fulmen.nn.regularizers import L1, L2, ElasticNet, Regularizer

__all__ = [
    "L1",
    "L2",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "ElasticNet",
    "Focal",
    "LogCosh",
    "Quantile",
    "Regularizer",
]
