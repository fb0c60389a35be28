"""Small sets that need no download: scikit-learn's, and generated ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fulmen.core.errors import ConfigError
from fulmen.data.arrays import ArrayData


class DigitsData(ArrayData):
    """1,797 handwritten digits, 8x8 grey values in [0, 1], 10 classes (scikit-learn's ``load_digits``).

    Args:
        **kwargs: Arguments of :class:`SupervisedDataModule`.
    """

    def __init__(self, **kwargs: Any) -> None:
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = (digits.images[:, None] / 16).astype(np.float32)
        super().__init__(images, digits.target, class_names=[str(i) for i in range(10)], **kwargs)


class IrisData(ArrayData):
    """150 iris flowers, 4 measures in cm, 3 species (Fisher 1936).

    Args:
        **kwargs: Arguments of :class:`SupervisedDataModule`.
    """

    def __init__(self, **kwargs: Any) -> None:
        from sklearn.datasets import load_iris

        table = load_iris()
        super().__init__(table.data, table.target, class_names=[str(n) for n in table.target_names], **kwargs)


class WineData(ArrayData):
    """178 wines, 13 chemical measures, 3 cultivars.

    Args:
        **kwargs: Arguments of :class:`SupervisedDataModule`.
    """

    def __init__(self, **kwargs: Any) -> None:
        from sklearn.datasets import load_wine

        table = load_wine()
        super().__init__(table.data, table.target, class_names=[str(n) for n in table.target_names], **kwargs)


class BreastCancerData(ArrayData):
    """569 biopsies, 30 measures of cell nuclei, malignant or benign.

    Args:
        **kwargs: Arguments of :class:`SupervisedDataModule`.
    """

    def __init__(self, **kwargs: Any) -> None:
        from sklearn.datasets import load_breast_cancer

        table = load_breast_cancer()
        super().__init__(table.data, table.target, class_names=[str(n) for n in table.target_names], **kwargs)


class DiabetesData(ArrayData):
    """442 patients, 10 measures, disease progression after a year: a number from 25 to 346.

    Args:
        **kwargs: Arguments of :class:`SupervisedDataModule`.
    """

    def __init__(self, **kwargs: Any) -> None:
        from sklearn.datasets import load_diabetes

        diabetes = load_diabetes()
        super().__init__(diabetes.data, diabetes.target, target_type="regression", **kwargs)


class MoonsData(ArrayData):
    """Two half moons that interlock, in the plane.

    Args:
        samples: How many points.
        noise: Standard deviation of the noise; the moons' radius is 1.
        data_seed: Seed of the points.
        **kwargs: Arguments of :class:`SupervisedDataModule`.
    """

    def __init__(self, samples: int = 1000, noise: float = 0.2, data_seed: int = 0, **kwargs: Any) -> None:
        _check_samples(samples, 2)
        from sklearn.datasets import make_moons

        points, classes = make_moons(samples, noise=noise, random_state=data_seed)
        super().__init__(points, classes, class_names=["upper", "lower"], **kwargs)


class BlobsData(ArrayData):
    """Round clouds of points.

    Args:
        samples: How many points.
        features: Dimensions.
        classes: How many clouds, one a class.
        spread: Standard deviation of each cloud; centres lie in [-10, 10].
        data_seed: Seed of the points.
        **kwargs: Arguments of :class:`SupervisedDataModule`.
    """

    def __init__(
        self,
        samples: int = 1000,
        features: int = 2,
        classes: int = 3,
        spread: float = 1.0,
        data_seed: int = 0,
        **kwargs: Any,
    ) -> None:
        _check_samples(samples, classes)
        from sklearn.datasets import make_blobs

        points, labels = make_blobs(samples, features, centers=classes, cluster_std=spread, random_state=data_seed)
        super().__init__(points, labels, class_names=[str(i) for i in range(classes)], **kwargs)


class SpiralsData(ArrayData):
    """Spirals wound into each other, one a class: no straight line helps.

    Args:
        samples: How many points.
        classes: How many spirals.
        turns: How often each winds around the origin.
        noise: Standard deviation of the noise; the spirals end at radius 1.
        data_seed: Seed of the points.
        **kwargs: Arguments of :class:`SupervisedDataModule`.
    """

    def __init__(
        self,
        samples: int = 1000,
        classes: int = 2,
        turns: float = 1.5,
        noise: float = 0.02,
        data_seed: int = 0,
        **kwargs: Any,
    ) -> None:
        _check_samples(samples, classes)
        points, labels = spirals(samples, classes, turns, noise, data_seed)
        super().__init__(points, labels, class_names=[str(i) for i in range(classes)], **kwargs)


def spirals(
    samples: int, classes: int, turns: float, noise: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Points ``(samples, 2)`` of Archimedean spirals ``r = t``, and the spiral of each."""
    rng = np.random.default_rng(seed)
    labels = np.arange(samples) % classes
    t = np.sqrt(rng.random(samples))
    angle = 2 * math.pi * (turns * t + labels / classes)
    points = t[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return points + rng.normal(0, noise, points.shape), labels


def _check_samples(samples: int, classes: int) -> None:
    if classes < 2:
        raise ConfigError(f"classes: {classes} is out of range; allowed: at least 2")
    if samples < classes:
        raise ConfigError(f"samples: {samples} is out of range; allowed: at least one a class ({classes})")
