"""Penalties of the singular values of weight matrices."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from fulmen.core.errors import ConfigError
from fulmen.nn.regularizers import Regularizer
from fulmen_regularizers.selection import selected, total, whole


def gram_minus_identity(matrix: Tensor) -> Tensor:
    """``W W^T - I``, or ``W^T W - I`` where that is smaller.

    The larger of the two can never become zero. The squared Frobenius norms differ by the constant
    ``|rows - columns|``, so their gradients are the same.

    Args:
        matrix: ``(rows, columns)``.
    """
    smaller = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    gram: Tensor = smaller @ smaller.T
    identity = torch.eye(gram.shape[0], dtype=gram.dtype, device=gram.device)
    difference: Tensor = gram - identity
    return difference


def start_vector(name: str, like: Tensor, size: int) -> Tensor:
    """A unit vector that depends on a name alone, so that processes agree and no random state is touched.

    >>> start_vector("network.head.weight", torch.zeros(1), 3).norm()
    tensor(1.)
    """
    numbers = np.random.default_rng(zlib.crc32(name.encode())).normal(size=size)
    return torch.from_numpy(numbers / np.linalg.norm(numbers)).to(like)


def normalized(vector: Tensor) -> Tensor:
    """A vector of length 1; zero stays zero."""
    length: Tensor = torch.linalg.vector_norm(vector)
    return vector / length.clamp_min(torch.finfo(vector.dtype).tiny)


class Orthogonal(Regularizer):
    """``weight * ||W^T W - I||_F^2`` (soft orthogonality, Bansal et al. 2018, https://arxiv.org/abs/1810.09102).

    Pulls the filters of a layer towards length 1 and right angles to each other. ``W`` holds a filter in each
    column; where there are more filters than inputs, they cannot be orthonormal, and ``W W^T`` is taken
    instead, which differs by a constant.

    Args:
        weight: Strength, >= 0.
        parameters: ``weights``, ``all`` (vectors are left alone), or patterns of parameter names.
    """

    def penalty(self, module: nn.Module) -> Tensor | None:
        """The sum over weight matrices; kernels are flattened to ``(out, in * kernel)``."""
        matrices = (whole(p).flatten(1) for _, _, p in selected(self, module) if p.ndim > 1)
        return total(self.weight * gram_minus_identity(m).square().sum() for m in matrices)


class _PowerIteration(Regularizer):
    """Penalties of a largest singular value, whose vectors are kept from step to step.

    Weights move little in a step, so a few rounds each keep the vector close to the singular one.
    """

    def __init__(self, weight: float, iterations: int, parameters: Literal["weights", "all"] | list[str]) -> None:
        super().__init__(weight, parameters)
        if iterations < 1:
            raise ConfigError(f"iterations: {iterations} is out of range; allowed: iterations >= 1")
        self.iterations = iterations
        self.vectors: dict[str, Tensor] = {}

    @torch.no_grad()
    def iterate(self, name: str, size: int, multiply: Callable[[Tensor], Tensor], like: Tensor) -> Tensor:
        """The kept vector of a weight after some more rounds of ``v <- A v / ||A v||``.

        Args:
            name: Of the parameter.
            size: Length of the vector.
            multiply: ``v`` to ``A v``, with a symmetric ``A``.
            like: Tells type and device.
        """
        vector = self.vectors[name].to(like) if name in self.vectors else start_vector(name, like, size)
        for _ in range(self.iterations):
            vector = normalized(multiply(vector))
        if not vector.any():  # of a zero matrix: any vector will do, and the kept one must not stay zero
            vector = start_vector(name, like, size)
        self.vectors[name] = vector
        return vector

    def state_dict(self) -> dict[str, Any]:
        """The vector of each parameter."""
        return {"vectors": dict(self.vectors)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes the vectors over."""
        self.vectors = dict(state["vectors"])


class SRIP(_PowerIteration):
    """``weight * sigma(W^T W - I)``, the largest deviation of a squared singular value from 1 (Bansal et al. 2018).

    Spectral restricted isometry property, https://arxiv.org/abs/1810.09102; milder than
    :class:`Orthogonal`, as it pulls at one direction at a time. As there, power iteration estimates it.

    Args:
        weight: Strength, >= 0.
        iterations: Rounds of power iteration in each step, >= 1; two, as in the paper.
        parameters: ``weights``, ``all`` (vectors are left alone), or patterns of parameter names.

    Raises:
        ConfigError: If an option is out of range.
    """

    def __init__(
        self, weight: float, iterations: int = 2, parameters: Literal["weights", "all"] | list[str] = "weights"
    ) -> None:
        super().__init__(weight, iterations, parameters)

    def penalty(self, module: nn.Module) -> Tensor | None:
        """The sum over weight matrices of ``||(W^T W - I) v||`` with the kept ``v``."""
        return total(self._deviation(n, whole(p).flatten(1)) for n, _, p in selected(self, module) if p.ndim > 1)

    def _deviation(self, name: str, matrix: Tensor) -> Tensor:
        deviation = gram_minus_identity(matrix)
        vector = self.iterate(name, len(deviation), lambda v: deviation @ v, matrix)
        largest: Tensor = torch.linalg.vector_norm(deviation @ vector)
        return self.weight * largest


class SpectralNorm(_PowerIteration):
    """``weight / 2 * sigma_max(W)^2`` of each weight matrix (Yoshida and Miyato 2017).

    https://arxiv.org/abs/1705.10941: a small largest singular value keeps the output from moving much when the
    input does.

    Args:
        weight: Strength, >= 0.
        iterations: Rounds of power iteration in each step, >= 1; one, as in the paper.
        exact: Compute the singular values instead, in each step.
        parameters: ``weights``, ``all`` (vectors are left alone), or patterns of parameter names.

    Raises:
        ConfigError: If an option is out of range.
    """

    def __init__(
        self,
        weight: float,
        iterations: int = 1,
        exact: bool = False,
        parameters: Literal["weights", "all"] | list[str] = "weights",
    ) -> None:
        super().__init__(weight, iterations, parameters)
        self.exact = exact

    def penalty(self, module: nn.Module) -> Tensor | None:
        """The sum over weight matrices of ``weight / 2 * ||W v||^2`` with the kept ``v``."""
        return total(self._energy(n, whole(p).flatten(1)) for n, _, p in selected(self, module) if p.ndim > 1)

    def _energy(self, name: str, matrix: Tensor) -> Tensor:
        if self.exact:
            largest: Tensor = torch.linalg.matrix_norm(matrix, 2)
            return self.weight / 2 * largest.square()
        vector = self.iterate(name, matrix.shape[1], lambda v: matrix.T @ (matrix @ v), matrix)
        product: Tensor = matrix @ vector
        return self.weight / 2 * product.square().sum()
