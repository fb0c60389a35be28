"""Penalties of what a network says."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle

from fulmen.core.batch import Batch
from fulmen.core.errors import ConfigError
from fulmen.nn.regularizers import Regularizer


def categorical_entropy(logits: Tensor) -> Tensor:
    """``-sum p log p`` of ``p = softmax(logits)``, in nats: ``(N, C)`` to ``(N,)``.

    >>> import torch
    >>> categorical_entropy(torch.zeros(1, 2))
    tensor([0.6931])
    """
    log_p = F.log_softmax(logits, 1)
    return -(log_p.exp() * log_p).sum(1)


def bernoulli_entropy(logits: Tensor) -> Tensor:
    """The sum over labels of the entropy of ``p = sigmoid(logits)``, in nats: ``(N, L)`` to ``(N,)``.

    >>> import torch
    >>> bernoulli_entropy(torch.zeros(1, 2))
    tensor([1.3863])
    """
    p = logits.sigmoid()
    return -(p * F.logsigmoid(logits) + (1 - p) * F.logsigmoid(-logits)).sum(1)


class ConfidencePenalty(Regularizer):
    """``-weight * H(p)``, the entropy of what is predicted, as a mean over samples (Pereyra et al. 2017).

    https://arxiv.org/abs/1701.06548: being sure costs. Of classes, the entropy of the softmax; of a binary or
    several labels, the sum of the entropies of each label's sigmoid.

    Args:
        weight: Strength, >= 0.

    Raises:
        ConfigError: If the weight is negative; when training begins, if the task is a regression.
    """

    def __init__(self, weight: float) -> None:
        super().__init__(weight)

    def attach(self, module: Any) -> list[RemovableHandle]:
        """Checks that the task has probabilities."""
        if module.task.name == "regression":
            raise ConfigError(
                "regularizers: confidence_penalty needs probabilities, which a regression does not predict; "
                "allowed tasks: multiclass, binary, multilabel"
            )
        return []

    def batch_penalty(self, module: Any, batch: Batch, logits: Tensor) -> Tensor:
        """Minus the mean entropy, times the weight."""
        entropy = categorical_entropy if module.task.name == "multiclass" else bernoulli_entropy
        return -self.weight * entropy(logits.flatten(1)).mean()
