"""Smooth activations with learnable parameters: one of each for a layer, all of the shape (1,)."""

from __future__ import annotations

import torch

from fulmen_activations import functional
from fulmen_activations.elementwise import Learnable, positive


class Swish(Learnable):
    """``x * sigmoid(beta * x)`` (Ramachandran et al. 2017, https://arxiv.org/abs/1710.05941).

    beta 1 is SiLU; the larger beta, the closer to ReLU.

    Args:
        beta: Where the sharpness starts.
        learnable: Train it; ``false`` keeps it as it starts.

    >>> Swish(beta=2.0)(torch.tensor([-torch.inf, 0.0, 1.0]))
    tensor([0.0000, 0.0000, 0.8808], grad_fn=<MulBackward0>)
    """

    beta: torch.Tensor

    def __init__(self, beta: float = 1.0, learnable: bool = True) -> None:
        super().__init__(learnable, beta=beta)

    def compute(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return functional.swish(x, self.beta)


class ACON(Learnable):
    """``(p1 - p2) * x * sigmoid(beta * (p1 - p2) * x) + p2 * x``: ACON-C, a smooth maximum of two lines.

    Ma et al. 2021, Activate or Not, https://arxiv.org/abs/2009.04759. The paper learns one set a channel and draws
    p1 and p2 at random; here it is one set a layer, and the start is SiLU.

    Args:
        p1: Where the slope towards +inf starts (for beta > 0 and p1 > p2).
        p2: Where the slope towards -inf starts.
        beta: Where the sharpness starts; 0 makes it the straight line with slope (p1 + p2) / 2.
        learnable: Train them; ``false`` keeps them as they start.

    >>> ACON(p1=1.0, p2=0.25)(torch.tensor([-1.0, 0.0, 1.0])).detach()
    tensor([-0.4906,  0.0000,  0.7594])
    """

    p1: torch.Tensor
    p2: torch.Tensor
    beta: torch.Tensor

    def __init__(self, p1: float = 1.0, p2: float = 0.0, beta: float = 1.0, learnable: bool = True) -> None:
        super().__init__(learnable, p1=p1, p2=p2, beta=beta)

    def compute(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return functional.acon(x, self.p1, self.p2, self.beta)


class APTx(Learnable):
    """``(alpha + tanh(beta * x)) * gamma * x`` (Kumar 2022, https://arxiv.org/abs/2209.06119).

    With the paper's constants it is Swish with beta 2, computed with a tanh; beta 1/2 makes it SiLU.

    Args:
        alpha: Offset; 1 closes it towards -inf.
        beta: Sharpness.
        gamma: Scale.
        learnable: Train the three; the paper's results are with constants.

    >>> APTx()(torch.tensor([-torch.inf, 0.0, 1.0]))
    tensor([0.0000, 0.0000, 0.8808])
    """

    alpha: torch.Tensor
    beta: torch.Tensor
    gamma: torch.Tensor

    def __init__(self, alpha: float = 1.0, beta: float = 1.0, gamma: float = 0.5, learnable: bool = False) -> None:
        super().__init__(learnable, alpha=alpha, beta=beta, gamma=gamma)

    def compute(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return functional.aptx(x, self.alpha, self.beta, self.gamma)


class SinLU(Learnable):
    """``(x + a * sin(b * x)) * sigmoid(x)`` (Paul et al. 2022, https://doi.org/10.3390/math10030337).

    Args:
        a: Where the amplitude of the wave starts.
        b: Where its frequency starts, radians a unit.
        learnable: Train them; ``false`` keeps them as they start.

    >>> SinLU()(torch.tensor([-torch.inf, 0.0, 1.0])).detach()
    tensor([0.0000, 0.0000, 1.3462])
    """

    a: torch.Tensor
    b: torch.Tensor

    def __init__(self, a: float = 1.0, b: float = 1.0, learnable: bool = True) -> None:
        super().__init__(learnable, a=a, b=b)

    def compute(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return functional.sinlu(x, self.a, self.b)


class Snake(Learnable):
    """``x + sin(alpha * x) ** 2 / alpha``, for what repeats: signals, audio, seasons.

    Ziyin et al. 2020, https://arxiv.org/abs/2006.08195. +-inf stay what they are.

    Args:
        alpha: Where the frequency starts, radians a unit, > 0; the paper finds larger ones (5 to 50) better for
            data that are known to repeat.
        learnable: Train it; ``false`` keeps it as it starts.

    Raises:
        ConfigError: If alpha is not positive.

    >>> Snake()(torch.tensor([-torch.inf, 0.0, 1.0])).detach()
    tensor([  -inf, 0.0000, 1.7081])
    """

    alpha: torch.Tensor

    def __init__(self, alpha: float = 1.0, learnable: bool = True) -> None:
        positive(alpha=alpha)
        super().__init__(learnable, alpha=alpha)

    def compute(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return functional.snake(x, self.alpha)
