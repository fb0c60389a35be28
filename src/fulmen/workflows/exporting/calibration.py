"""Temperature scaling: one number that makes probabilities say how often a model is right."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fulmen.core.errors import ConfigError

_RANGE = (0.01, 100.0)


def fit_temperature(logits: NDArray[np.float32], targets: NDArray[np.int64], task: str) -> float:
    """The temperature by which logits are divided for the least negative log-likelihood.

    Guo et al. 2017 (https://arxiv.org/abs/1706.04599), section 4.2. The decision for a class stays. The likelihood is
    concave in the inverse of the temperature, so that a search in one dimension finds it.

    Args:
        logits: ``(N, C)`` of classes, ``(N, 1)`` of a yes/no target, ``(N, L)`` of labels; of samples that were not
            trained on.
        targets: ``(N,)`` classes, or ``(N, L)`` labels of 0 and 1.
        task: ``multiclass``, ``binary`` or ``multilabel`` (one temperature for all labels).

    Returns:
        The temperature, from 0.01 to 100.

    Raises:
        ConfigError: If the task is a regression.

    >>> logits = np.array([[4.0], [4.0], [4.0], [-4.0]], np.float32)  # three times sure, and right twice
    >>> round(fit_temperature(logits, np.array([1, 1, 0, 0]), "binary"), 2)
    3.64
    """
    from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

    if task == "regression":
        raise ConfigError("calibrate: a regression has no probabilities to calibrate; leave it out")
    values = np.asarray(logits, np.float64)
    found = minimize_scalar(
        lambda inverse: negative_log_likelihood(values * math.exp(inverse), targets, task),
        bounds=(-math.log(_RANGE[1]), -math.log(_RANGE[0])),
        method="bounded",
        options={"xatol": 1e-8},
    )
    return math.exp(-float(found.x))


def negative_log_likelihood(logits: NDArray[np.float64], targets: NDArray[np.int64], task: str) -> float:
    """The mean over samples (and labels) of ``-log p`` of what is true.

    Args:
        logits: As above, float64.
        targets: As above.
        task: As above.
    """
    if task == "multiclass":
        shifted = logits - logits.max(1, keepdims=True)
        total = np.log(np.exp(shifted).sum(1))
        return float((total - shifted[np.arange(len(targets)), targets]).mean())
    signs = 1.0 - 2.0 * targets.reshape(logits.shape)
    return float(np.logaddexp(0.0, logits * signs).mean())
