"""Fits the coefficients that `rational` starts from, and prints them: the table in rational.py.

Least squares of P / (1 + |Q|) against each function on 2,001 points of [-5, 5], from 200 starts with a fixed
seed; the best is kept. Needs scipy. Run: python docs/fit_rational.py
"""

import numpy as np
from scipy.optimize import least_squares
from scipy.special import erf, expit

X = np.linspace(-5, 5, 2001)
TARGETS = {
    "relu": np.maximum(X, 0),
    "leaky_relu": np.where(X > 0, X, 0.01 * X),
    "gelu": X * (1 + erf(X / np.sqrt(2))) / 2,
    "silu": X * expit(X),
    "tanh": np.tanh(X),
}
POWERS = X[:, None] ** np.arange(6)


def error(c: np.ndarray, target: np.ndarray) -> np.ndarray:
    """What the rational function of 6 + 4 coefficients misses at each point."""
    return POWERS @ c[:6] / (1 + np.abs(POWERS[:, 1:5] @ c[6:])) - target


def fit(target: np.ndarray) -> np.ndarray:
    """The coefficients with the least squared error."""
    rng = np.random.default_rng(0)
    starts = rng.normal(size=(200, 10)) * np.r_[[0.5] * 6, [1, 1, 0.3, 0.1]]
    fits = [least_squares(error, start, args=(target,), max_nfev=400) for start in starts]
    return min(fits, key=lambda f: f.cost).x


if __name__ == "__main__":
    for name, target in TARGETS.items():
        c = fit(target).round(6)
        c[6:] *= np.sign(c[7])  # |Q| is the same for -Q
        c += 0.0  # no -0.0
        worst = np.abs(error(c, target)).max()
        print(f"{name}: {c[:6].tolist()}, {c[6:].tolist()}  # largest error {worst:.4f}")  # noqa: T201
