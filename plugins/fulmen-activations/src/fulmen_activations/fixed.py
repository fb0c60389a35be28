"""Activations without learnable parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fulmen.core.errors import ConfigError
from fulmen_activations import functional
from fulmen_activations.elementwise import Elementwise


class SquaredReLU(nn.Module):
    """``relu(x) ** 2`` (So et al. 2021, Primer, https://arxiv.org/abs/2109.08668).

    >>> SquaredReLU()(torch.tensor([-2.0, 3.0]))
    tensor([0., 9.])
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same shape and type."""
        return torch.relu(x).square()


class TeLU(Elementwise):
    """``x * tanh(exp(x))`` (Fernandez and Mali 2024, https://arxiv.org/abs/2412.20269).

    The same function is TanhExp (Liu and Di 2020, https://arxiv.org/abs/2003.09855).

    >>> TeLU()(torch.tensor([-torch.inf, 0.0, 1.0]))
    tensor([0.0000, 0.0000, 0.9913])
    """

    def compute(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.telu(x)


class Serf(Elementwise):
    """``x * erf(softplus(x))`` (Nag et al. 2021, https://arxiv.org/abs/2108.09598).

    >>> Serf()(torch.tensor([-torch.inf, 0.0, 1.0]))
    tensor([0.0000, 0.0000, 0.9367])
    """

    def compute(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.serf(x)


class Logish(Elementwise):
    """``x * log(1 + sigmoid(x))`` (Zhu et al. 2021, https://doi.org/10.1016/j.neucom.2021.06.067).

    >>> Logish()(torch.tensor([-torch.inf, 0.0, 1.0]))
    tensor([0.0000, 0.0000, 0.5487])
    """

    def compute(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.logish(x)


class Smish(Elementwise):
    """``x * tanh(log(1 + sigmoid(x)))`` (Wang et al. 2022, https://doi.org/10.3390/electronics11040540).

    >>> Smish()(torch.tensor([-torch.inf, 0.0, 1.0]))
    tensor([0.0000, 0.0000, 0.4996])
    """

    def compute(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.smish(x)


class LiSHT(Elementwise):
    """``x * tanh(x)``, even and never negative (Roy et al. 2019, https://arxiv.org/abs/1901.05894).

    >>> LiSHT()(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([0.7616, 0.0000, 0.7616])
    """

    def compute(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.lisht(x)


class ELiSH(Elementwise):
    """``x * sigmoid(x)`` where x >= 0, ``(exp(x) - 1) * sigmoid(x)`` below.

    Basirat and Roth 2018, https://arxiv.org/abs/1808.00783.

    >>> ELiSH()(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.1700,  0.0000,  0.7311])
    """

    def compute(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.elish(x)


class Gaussian(Elementwise):
    """``exp(-x ** 2 / (2 * sigma ** 2))``, for networks of coordinates.

    Ramasinghe and Lucey 2022, Beyond Periodicity, https://arxiv.org/abs/2111.15135.

    Args:
        sigma: Width of the bell, > 0; smaller ones let finer detail through.

    Raises:
        ConfigError: If sigma is not positive.

    >>> Gaussian()(torch.tensor([-torch.inf, 0.0, 1.0]))
    tensor([0.0000, 1.0000, 0.6065])
    """

    def __init__(self, sigma: float = 1.0) -> None:
        super().__init__()
        if not sigma > 0:
            raise ConfigError(f"sigma: {sigma} is out of range; allowed: sigma > 0")
        self.sigma = sigma

    def compute(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.gaussian(x, self.sigma)

    def extra_repr(self) -> str:
        """The options, for ``print``."""
        return f"sigma={self.sigma}"


class Sine(Elementwise):
    """``sin(omega * x)``, for networks of coordinates (Sitzmann et al. 2020, SIREN, https://arxiv.org/abs/2006.09661).

    There is no limit at +-inf; the value there is 0, the mean. SIREN draws the weights of its hidden layers with
    variance 2 / (fan_in * omega ** 2) and multiplies by omega = 30 again: with omega 1 and Kaiming weights (what
    ``initialization: auto`` gives) they start alike. A larger omega lets finer detail through.

    Args:
        omega: Frequency, radians a unit, > 0.

    Raises:
        ConfigError: If omega is not positive.

    >>> Sine(omega=2.0)(torch.tensor([0.0, 1.0, torch.inf]))
    tensor([0.0000, 0.9093, 0.0000])
    """

    def __init__(self, omega: float = 1.0) -> None:
        super().__init__()
        if not omega > 0:
            raise ConfigError(f"omega: {omega} is out of range; allowed: omega > 0")
        self.omega = omega

    def compute(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.sin(self.omega * x)

    def extra_repr(self) -> str:
        """The options, for ``print``."""
        return f"omega={self.omega}"
