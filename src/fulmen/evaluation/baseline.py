"""What a model has to beat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fulmen.evaluation.predictions import Predictions


def constant(predictions: Predictions) -> Predictions:
    """The same samples with one answer for all, the best of its kind.

    That is the commonest class and the shares of the classes, every label, or the mean: of these very samples.

    Args:
        predictions: At least one.
    """
    p, n = predictions, len(predictions)
    if p.task == "regression":
        values = np.broadcast_to(p.targets.mean(0), p.targets.shape)
        return replace(p, scores=values, predicted=values, logits=None)
    if p.task == "multilabel":
        shares = np.broadcast_to(p.targets.mean(0).astype(np.float32), p.targets.shape)
        return replace(p, scores=shares, predicted=np.ones_like(p.targets), logits=None)
    counts = np.bincount(p.targets, minlength=len(p.names))
    shares = np.broadcast_to((counts / n).astype(np.float32), p.scores.shape)
    return replace(p, scores=shares, predicted=np.full(n, counts.argmax()), logits=None)
