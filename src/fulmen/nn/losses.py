"""Losses that torch lacks, or whose options a config could not write (class weights as a list)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fulmen.core.errors import ConfigError


def _weights(name: str, values: float | list[float] | None) -> Tensor | None:
    """Weights as a tensor; refuses negative ones."""
    if values is None:
        return None
    weights = torch.tensor(values, dtype=torch.float32)
    if not bool((weights >= 0).all()):
        raise ConfigError(f"{name}: {values} is out of range; weights are >= 0")
    return weights


def _modulated(p_t: Tensor, gamma: float) -> Tensor:
    """``(1 - p_t) ** gamma``, whose gradient stays finite at ``p_t = 1`` for ``gamma`` below 1 too."""
    return (1 - p_t).clamp_min(torch.finfo(p_t.dtype).tiny) ** gamma


def _in_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value < high:
        raise ConfigError(f"{name}: {value} is out of range; allowed: {low} <= {name} < {high}")


class CrossEntropy(nn.Module):
    """Cross entropy of classes, with label smoothing and class weights.

    As :class:`torch.nn.CrossEntropyLoss`: with weights, the mean is over the weights of the targets.

    Args:
        label_smoothing: Share of the target spread over all classes, in [0, 1)
            (Szegedy et al. 2016, https://arxiv.org/abs/1512.00567, section 7).
        class_weights: One weight >= 0 a class, in the order of the class names.

    >>> CrossEntropy()(torch.zeros(1, 4), torch.tensor([2])).item() == torch.tensor(4.0).log().item()
    True
    """

    def __init__(self, label_smoothing: float = 0.0, class_weights: list[float] | None = None) -> None:
        super().__init__()
        _in_range("label_smoothing", label_smoothing, 0, 1)
        self.label_smoothing = label_smoothing
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", _weights("class_weights", class_weights), persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean over the batch.

        Args:
            logits: ``(N, C)``.
            targets: ``(N,)``, classes 0 to C - 1.

        Raises:
            ConfigError: If there is not one weight a class.
        """
        weights = self.class_weights
        if weights is not None and len(weights) != logits.shape[1]:
            raise ConfigError(f"class_weights: {len(weights)} weights for {logits.shape[1]} classes")
        return F.cross_entropy(logits, targets, weight=weights, label_smoothing=self.label_smoothing)


class BinaryCrossEntropy(nn.Module):
    """Cross entropy of independent yes/no targets, computed from logits.

    Args:
        positive_weight: Weight >= 0 of the positive targets (one number, or one a label).
        label_smoothing: Moves targets from 0 and 1 towards 0.5 by this share, in [0, 1).
    """

    def __init__(self, positive_weight: float | list[float] | None = None, label_smoothing: float = 0.0) -> None:
        super().__init__()
        _in_range("label_smoothing", label_smoothing, 0, 1)
        self.label_smoothing = label_smoothing
        self.positive_weight: Tensor | None
        self.register_buffer("positive_weight", _weights("positive_weight", positive_weight), persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean over batch and labels.

        Args:
            logits: ``(N,)`` or ``(N, L)``.
            targets: The same shape, in [0, 1].

        Raises:
            ConfigError: If there are several weights, but not one a label.
        """
        weight = self.positive_weight
        if weight is not None and weight.ndim and weight.shape != logits.shape[1:]:
            raise ConfigError(f"positive_weight: {len(weight)} weights for {math.prod(logits.shape[1:])} labels")
        targets = targets.to(logits.dtype)
        if self.label_smoothing:
            targets = targets * (1 - self.label_smoothing) + 0.5 * self.label_smoothing
        return F.binary_cross_entropy_with_logits(logits, targets, pos_weight=weight)


class Focal(nn.Module):
    """Focal loss: ``alpha_t * (1 - p_t) ** gamma * -log(p_t)``, which turns to the samples that are hard.

    Lin et al. 2017, https://arxiv.org/abs/1708.02002, equation 5. Serves classes (integer targets) and
    yes/no targets (targets of the logits' shape).

    Args:
        gamma: Focus >= 0; 0 is cross entropy.
        alpha: Weight of each class (a list), or of the positive target in [0, 1] (a number); ``None``: all 1.
    """

    def __init__(self, gamma: float = 2.0, alpha: float | list[float] | None = None) -> None:
        super().__init__()
        if not gamma >= 0:
            raise ConfigError(f"gamma: {gamma} is out of range; allowed: gamma >= 0")
        self.gamma = gamma
        self.alpha: Tensor | None
        if isinstance(alpha, int | float) and not 0 <= alpha <= 1:
            raise ConfigError(f"alpha: {alpha} is out of range; allowed: 0 <= alpha <= 1, or a list of weights")
        self.register_buffer("alpha", _weights("alpha", alpha), persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean over the batch (and labels).

        Args:
            logits: ``(N, C)`` for classes; ``(N,)`` or ``(N, L)`` for yes/no targets.
            targets: ``(N,)`` integers for classes; else the shape of the logits, in [0, 1].

        Raises:
            ConfigError: If ``alpha`` has not the form that the targets need.
        """
        if logits.shape == targets.shape:
            return self._binary(logits, targets.to(logits.dtype))
        if self.alpha is not None and self.alpha.shape != (logits.shape[1],):
            raise ConfigError(f"alpha: needs a list of one weight for each of the {logits.shape[1]} classes")
        log_p = F.log_softmax(logits, dim=1).gather(1, targets[:, None]).squeeze(1)
        weight = 1.0 if self.alpha is None else self.alpha[targets]
        return (-weight * _modulated(log_p.exp(), self.gamma) * log_p).mean()

    def _binary(self, logits: Tensor, targets: Tensor) -> Tensor:
        if self.alpha is not None and self.alpha.ndim:
            raise ConfigError("alpha: yes/no targets need one number, the weight of the positive target")
        cross_entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        p = logits.sigmoid()
        p_t = p * targets + (1 - p) * (1 - targets)
        weight = 1.0 if self.alpha is None else self.alpha * targets + (1 - self.alpha) * (1 - targets)
        return (weight * _modulated(p_t, self.gamma) * cross_entropy).mean()


class LogCosh(nn.Module):
    """``log(cosh(prediction - target))``: squared for small errors, absolute for large ones, smooth between."""

    def forward(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Mean over all elements of two tensors of one shape."""
        error = (predictions - targets).abs()
        return (error + F.softplus(-2 * error) - math.log(2)).mean()


class Quantile(nn.Module):
    """Pinball loss, whose minimum is the conditional quantile (Koenker and Bassett 1978).

    Args:
        q: The quantile, in (0, 1); 0.5 is half the absolute error.
    """

    def __init__(self, q: float = 0.5) -> None:
        super().__init__()
        if not 0 < q < 1:
            raise ConfigError(f"q: {q} is out of range; allowed: 0 < q < 1")
        self.q = q

    def forward(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Mean over all elements of two tensors of one shape."""
        error = targets - predictions
        return torch.maximum(self.q * error, (self.q - 1) * error).mean()
