"""Toy sets: shapes and facts."""

from typing import Any

import numpy as np
import pytest
import torch

from fulmen.core.errors import ConfigError
from fulmen.data import (
    ArrayData,
    BlobsData,
    BreastCancerData,
    DiabetesData,
    DigitsData,
    IrisData,
    MoonsData,
    SpiralsData,
    WineData,
)
from fulmen.data.toy import spirals

SETS: list[tuple[type[ArrayData], int, list[int], int, str]] = [
    (DigitsData, 1797, [1, 8, 8], 10, "multiclass"),
    (IrisData, 150, [4], 3, "multiclass"),
    (WineData, 178, [13], 3, "multiclass"),
    (BreastCancerData, 569, [30], 1, "binary"),
    (DiabetesData, 442, [10], 1, "regression"),
    (MoonsData, 1000, [2], 1, "binary"),
    (BlobsData, 1000, [2], 3, "multiclass"),
    (SpiralsData, 1000, [2], 1, "binary"),
]


def facts(data: ArrayData) -> tuple[Any, ...]:
    return data.target_type, data.num_outputs, data.class_names, data.input_shape


@pytest.mark.parametrize(("kind", "samples", "shape", "outputs", "target_type"), SETS)
def test_facts_shapes_and_batches(
    kind: type[ArrayData], samples: int, shape: list[int], outputs: int, target_type: str
) -> None:
    data = kind(batch_size=8)
    before = facts(data)
    assert before == (target_type, outputs, data.class_names, shape)
    if target_type == "regression":
        assert data.class_names is None
    else:
        assert len(data.class_names or []) == max(2, outputs)
        assert sorted(data.targets.unique().tolist()) == list(range(max(2, outputs)))
    data.prepare_data()
    data.setup("fit")
    assert facts(data) == before
    assert sum(map(len, data.datasets.values())) == samples
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch.inputs.shape == (8, *shape)
    assert batch.inputs.dtype == torch.float32
    assert batch.targets.shape == (8,)


def test_names_of_the_classes() -> None:
    assert IrisData().class_names == ["setosa", "versicolor", "virginica"]
    assert BreastCancerData().class_names == ["malignant", "benign"]
    assert MoonsData().class_names == ["upper", "lower"]


def test_digits_are_grey_values() -> None:
    images = DigitsData().inputs
    assert (images.min(), images.max()) == (0, 1)


def test_names_of_the_moons_are_right() -> None:
    data = MoonsData(noise=0.0)
    means = [data.inputs[data.targets == c, 1].mean() for c in (0, 1)]
    assert means[0] > means[1]  # upper, lower


@pytest.mark.parametrize("kind", [MoonsData, BlobsData, SpiralsData])
def test_generated_points_follow_their_seed(kind: Any) -> None:
    first, same, other = kind(samples=50), kind(samples=50), kind(samples=50, data_seed=1)
    assert torch.equal(first.inputs, same.inputs)
    assert not torch.equal(first.inputs, other.inputs)
    state = np.random.get_state()[1]  # noqa: NPY002 (that nothing touches it is the point)
    kind(samples=50)
    assert np.array_equal(state, np.random.get_state()[1])  # noqa: NPY002


def test_options_of_blobs() -> None:
    data = BlobsData(samples=200, features=5, classes=4, spread=0.1)
    assert (data.input_shape, data.num_outputs) == ([5], 4)
    spread = torch.stack([data.inputs[data.targets == c].std(0) for c in range(4)])
    assert spread.mean() == pytest.approx(0.1, rel=0.1)


def test_spirals_are_spirals() -> None:
    points, labels = spirals(600, 3, turns=2.0, noise=0.0, seed=0)
    assert np.bincount(labels).tolist() == [200] * 3
    radius = np.linalg.norm(points, axis=1)
    assert radius.max() <= 1
    angle = np.arctan2(points[:, 1], points[:, 0])
    expected = 2 * np.pi * (2.0 * radius + labels / 3)
    np.testing.assert_allclose(np.cos(angle - expected), 1, atol=1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MoonsData(samples=1), "samples: 1"),
        (lambda: BlobsData(samples=2, classes=3), "samples: 2"),
        (lambda: BlobsData(classes=1), "classes: 1"),
        (lambda: SpiralsData(classes=0), "classes: 0"),
    ],
)
def test_sizes_out_of_range(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
