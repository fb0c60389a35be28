"""Mixup and CutMix: training samples that are mixed with each other, and their losses alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from torch import Tensor

from fulmen.core.batch import Batch
from fulmen.core.errors import ConfigError
from fulmen.nn.draws import step_generator
from fulmen.nn.regularizers import Regularizer


def mixed_loss(module: Any, logits: Tensor, targets: Tensor, others: Tensor, share: float) -> Tensor:
    """``share * loss(targets) + (1 - share) * loss(others)``, for every task and loss.

    Args:
        module: Has ``compute_loss``.
        logits: ``(N, num_outputs)`` of mixed samples.
        targets: Of the samples.
        others: Of those that each was mixed with.
        share: How much of itself a sample keeps, in [0, 1].
    """
    own: Tensor = module.compute_loss(logits, targets)
    mixed: Tensor = share * own + (1 - share) * module.compute_loss(logits, others)
    return mixed


class Mixup(Regularizer):
    """Mixes each training sample with another of its batch (Zhang et al. 2018), or pastes a box of that one into it.

    timm's own mixing, for every task: ``share * loss(y) + (1 - share) * loss(y of the other)``, with ``share ~
    Beta(alpha, alpha)`` for mixup (https://arxiv.org/abs/1710.09412), and the share of the image outside of the box
    for CutMix (Yun et al. 2019, https://arxiv.org/abs/1905.04899). The batch is mixed with its own reverse, so it
    may have any size; a step's micro-batches and processes share what is drawn, which depends on
    ``seed_everything`` and the number of the step alone. The training metrics compare what is said of mixed
    samples with the unmixed targets.

    Args:
        alpha: Of mixup's Beta distribution, >= 0; 0 mixes none in this way.
        cutmix_alpha: Of CutMix's, >= 0; 0 cuts none. With both, each batch gets one of the two.
        prob: How often a batch is mixed at all, in [0, 1].
        switch_prob: How often it is CutMix's turn where both are on, in [0, 1].

    Raises:
        ConfigError: If an option is out of range, or nothing would be mixed; while training, if the inputs cannot be.
    """

    def __init__(
        self, alpha: float = 0.2, cutmix_alpha: float = 0.0, prob: float = 1.0, switch_prob: float = 0.5
    ) -> None:
        super().__init__(1.0)
        for name, value in (("alpha", alpha), ("cutmix_alpha", cutmix_alpha)):
            if not 0 <= value < float("inf"):
                raise ConfigError(f"{name}: {value} is out of range; allowed: {name} >= 0")
        for name, value in (("prob", prob), ("switch_prob", switch_prob)):
            if not 0 <= value <= 1:
                raise ConfigError(f"{name}: {value} is out of range; allowed: 0 <= {name} <= 1")
        if not (alpha or cutmix_alpha):
            raise ConfigError("alpha: 0 mixes nothing; give alpha > 0, cutmix_alpha > 0, or both")
        self.alpha, self.cutmix_alpha = alpha, cutmix_alpha
        self.prob, self.switch_prob = prob, switch_prob
        self.share: float | None = None

    def before_forward(self, module: Any, batch: Batch) -> Batch:
        """Mixes the inputs ``(N, ...)``; CutMix takes images ``(N, C, H, W)``."""
        import timm.data.mixup as timm_mixup  # takes seconds

        inputs = batch.inputs
        if not inputs.is_floating_point():
            raise ConfigError(
                f"regularizers: inputs of {inputs.dtype} cannot be mixed; manifold_mixup (pip install "
                "fulmen-regularizers) mixes inside of the network"
            )
        if self.cutmix_alpha and inputs.ndim != 4:
            raise ConfigError(
                f"cutmix_alpha: samples of shape {tuple(inputs.shape[1:])} are no images (C, H, W); use mixup alone"
            )
        make: Any = timm_mixup.Mixup
        mixing = make(self.alpha, self.cutmix_alpha, prob=self.prob, switch_prob=self.switch_prob)
        mixed = inputs.clone()  # timm mixes in place
        with _numpy_seeded(int(step_generator(module, "mixup").integers(2**32))):
            self.share = float(mixing._mix_batch(mixed))
        return batch._replace(inputs=mixed)

    def loss(self, module: Any, batch: Batch, logits: Tensor) -> Tensor:
        """The losses by the targets of both samples, in the shares in which they were mixed."""
        assert self.share is not None
        assert batch.targets is not None
        return mixed_loss(module, logits, batch.targets, batch.targets.flip(0), self.share)


class CutMix(Mixup):
    """Pastes a box of another image of the batch, and mixes the losses by its area (Yun et al. 2019).

    https://arxiv.org/abs/1905.04899; what it draws and how losses are mixed is told by :class:`Mixup`.

    Args:
        alpha: Of the Beta distribution that the area outside of the box is drawn from, > 0.
        prob: How often a batch is mixed at all, in [0, 1].

    Raises:
        ConfigError: If an option is out of range; while training, if the inputs are no images.
    """

    def __init__(self, alpha: float = 1.0, prob: float = 1.0) -> None:
        super().__init__(0.0, alpha, prob)


@contextmanager
def _numpy_seeded(seed: int) -> Iterator[None]:
    """Lets code that draws from NumPy's global state draw from a seed; the state is as before afterwards."""
    state = np.random.get_state()  # noqa: NPY002 (timm draws from it)
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
