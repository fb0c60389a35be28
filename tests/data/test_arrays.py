"""Arrays: targets, inputs, standardization."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fulmen.core.errors import ConfigError, DataError
from fulmen.data import ArrayData
from fulmen.data.arrays import guess_target_type

N = 60
CYCLE = np.arange(N)


@pytest.mark.parametrize(
    ("targets", "kind", "outputs", "names"),
    [
        (CYCLE % 3, "multiclass", 3, ["0", "1", "2"]),
        (CYCLE % 2, "binary", 1, ["0", "1"]),
        (CYCLE % 2 == 0, "binary", 1, ["False", "True"]),
        (CYCLE % 3 + 5, "multiclass", 3, ["5", "6", "7"]),
        (np.array(["dog", "ant", "cat"])[CYCLE % 3], "multiclass", 3, ["ant", "cat", "dog"]),
        (np.array(["yes", "no"])[CYCLE % 2], "binary", 1, ["no", "yes"]),
        (CYCLE / 7, "regression", 1, None),
        ((CYCLE / 7)[:, None], "regression", 1, None),
        (np.stack([CYCLE / 7, CYCLE / 3], 1), "regression", 2, None),
        (np.stack([CYCLE % 2, CYCLE % 3 == 0, CYCLE > 9], 1), "multilabel", 3, ["0", "1", "2"]),
        ((CYCLE % 3)[:, None], "multiclass", 3, ["0", "1", "2"]),
    ],
)
def test_guesses(targets: Any, kind: str, outputs: int, names: list[str] | None) -> None:
    assert guess_target_type(np.asarray(targets)) == kind
    for given_targets in (
        targets,
        targets.tolist(),
        torch.as_tensor(targets) if targets.dtype.kind != "U" else targets,
    ):
        data = ArrayData(np.random.default_rng(0).random((N, 4)), given_targets)
        assert (data.target_type, data.num_outputs, data.class_names) == (kind, outputs, names)
        data.setup("fit")


def test_names_become_numbers_in_the_order_of_the_names() -> None:
    targets = np.array(["dog", "ant", "cat"])[CYCLE % 3]
    assert ArrayData(torch.rand(N, 2), targets).targets.tolist() == [[2, 0, 1][i % 3] for i in range(N)]
    data = ArrayData(torch.rand(N, 2), targets, class_names=["dog", "cat", "ant"])
    assert data.targets.tolist() == [[0, 2, 1][i % 3] for i in range(N)]
    assert data.class_names == ["dog", "cat", "ant"]


def test_names_of_numbers() -> None:
    data = ArrayData(torch.rand(N, 2), CYCLE % 2, class_names=["no", "yes"])
    assert data.targets.tolist() == (CYCLE % 2).tolist()
    assert data.class_names == ["no", "yes"]
    data = ArrayData(torch.rand(N, 2), CYCLE % 2 == 1, class_names=["no", "yes"])
    assert data.targets.tolist() == (CYCLE % 2).tolist()


def test_target_type_wins_over_the_guess() -> None:
    assert ArrayData(torch.rand(N, 2), CYCLE % 2, target_type="multiclass").num_outputs == 2
    assert ArrayData(torch.rand(N, 2), CYCLE % 5, target_type="regression").targets.dtype == torch.float32
    data = ArrayData(torch.rand(N, 2), (CYCLE % 3).astype(float), target_type="multiclass")
    assert data.num_outputs == 3


@pytest.mark.parametrize(
    ("targets", "options", "message"),
    [
        (CYCLE[:-1], {}, "equally many; got 60 and 59"),
        (["x"] * N, {"target_type": "regression"}, "targets of a regression are numbers"),
        (["x", "y"] * (N // 2), {"class_names": ["x", "z"]}, "unknown class 'y'"),
        (np.where(CYCLE == 7, 0.5, CYCLE % 2), {"class_names": ["a", "b"], "target_type": "binary"}, "row 7 holds 0.5"),
        (
            np.where(CYCLE == 7, np.nan, CYCLE % 2),
            {"class_names": ["a", "b"], "target_type": "binary"},
            "row 7 holds nan",
        ),
        (np.full((N, 2), 0.3), {"target_type": "multilabel"}, "whole numbers"),
    ],
)
def test_bad_targets(targets: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ArrayData(torch.rand(N, 2), targets, **options)


def test_one_class() -> None:
    with pytest.raises(ConfigError, match="at least 2 classes, found 1"):
        ArrayData(torch.rand(N, 2), np.zeros(N, dtype=int))


def test_bad_inputs() -> None:
    inputs = torch.rand(N, 2)
    inputs[3, 1], inputs[9, 0] = float("nan"), float("inf")
    with pytest.raises(DataError, match="2 samples hold NaN or infinite values, the first is row 3"):
        ArrayData(inputs, CYCLE % 2)
    with pytest.raises(DataError, match=r"\(N, ...\); got shape \(60,\)"):
        ArrayData(torch.rand(N), CYCLE % 2)


def test_a_class_that_training_lacks() -> None:
    data = ArrayData(torch.rand(N, 2), CYCLE % 2, class_names=["a", "b", "c"], target_type="multiclass")
    with pytest.raises(DataError, match="no sample of class 'c'"):
        data.setup("fit")


def test_split_is_stratified() -> None:
    targets = np.array([0] * 400 + [1] * 40)
    data = ArrayData(torch.rand(440, 2), targets, val_fraction=0.2, test_fraction=0.1)
    data.setup("fit")
    for name, share in (("train", 0.7), ("val", 0.2), ("test", 0.1)):
        found = data.targets[data.datasets[name].rows]  # type: ignore[attr-defined]
        assert [int((found == c).sum()) for c in (0, 1)] == pytest.approx([400 * share, 40 * share])


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from([CYCLE % 2, CYCLE / 7]))
def test_statistics_are_the_training_splits_alone(seed: int, targets: Any) -> None:
    inputs = np.random.default_rng(seed).normal(3, 2, (N, 4)).astype(np.float32)
    data = ArrayData(inputs, targets, split_seed=seed)
    data.setup("fit")
    train = data.datasets["train"].rows.numpy()  # type: ignore[attr-defined]
    poisoned = np.full_like(inputs, 1e6)
    poisoned[train] = inputs[train]
    other = ArrayData(poisoned, targets, split_seed=seed)
    other.setup("fit")
    for name, axis in (("mean", inputs[train].mean(0)), ("std", inputs[train].std(0))):
        np.testing.assert_allclose(data.statistics[name], axis, rtol=1e-4)
        assert torch.equal(data.statistics[name], other.statistics[name])


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.uint8])
def test_training_inputs_get_mean_0_and_variance_1(dtype: Any) -> None:
    inputs = np.random.default_rng(0).integers(0, 200, (N, 4)).astype(dtype)
    data = ArrayData(inputs, CYCLE % 2, standardize=True)
    data.setup("fit")
    x = torch.cat([data.on_after_batch_transfer(b, 0).inputs for b in data.train_dataloader()])
    torch.testing.assert_close(x.mean(0), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(x.std(0, correction=0), torch.ones(4), atol=1e-4, rtol=0)


@pytest.mark.parametrize("value", [0.0, 0.1, 1234.567])
def test_constant_features_become_zero(value: float) -> None:
    data = ArrayData(np.full((N, 2), value), CYCLE % 2)
    data.setup("fit")
    torch.testing.assert_close(data.normalize(data.inputs), torch.zeros(N, 2), atol=1e-3, rtol=0)


def test_only_vectors_of_floats_are_standardized_by_themselves() -> None:
    for inputs, expected in (
        (torch.rand(N, 4), True),
        (torch.rand(N, 1, 4, 4), False),
        (torch.randint(0, 255, (N, 4), dtype=torch.uint8), False),
    ):
        data = ArrayData(inputs, CYCLE % 2)
        data.setup("fit")
        assert bool(data.statistics) == expected
    data = ArrayData(torch.rand(N, 4), CYCLE % 2, standardize=False)
    data.setup("fit")
    assert data.statistics == {}


def test_statistics_travel_in_the_state() -> None:
    data = ArrayData(torch.rand(N, 4), CYCLE % 2)
    data.setup("fit")
    other = ArrayData(torch.rand(N, 4) + 5, CYCLE % 2)
    other.setup("fit")
    other.load_state_dict(data.state_dict())
    x = torch.rand(3, 4)
    torch.testing.assert_close(other.normalize(x), data.normalize(x))


def test_facts_are_known_at_once() -> None:
    data = ArrayData(torch.rand(N, 3, 8, 8), CYCLE % 3)
    assert (data.input_shape, data.num_outputs, data.target_type) == ([3, 8, 8], 3, "multiclass")
    assert data.datasets == {}


@pytest.mark.parametrize("by", [None, "random", {"group": "who"}, {"time": "when"}])
@pytest.mark.parametrize("balance", [None, "sampler", "class_weights"])
def test_what_is_not_for_training_changes_nothing_of_it(by: Any, balance: Any) -> None:
    """Poisoned: inputs and targets of validation and test are others, and so is nothing that training sees."""
    rng = np.random.default_rng(0)
    columns = {"who": CYCLE // 3, "when": rng.permutation(N)}
    options: dict[str, Any] = {"columns": columns, "split_by": by, "balance": balance, "standardize": True}
    inputs, targets = rng.normal(3, 2, (N, 4)).astype(np.float32), rng.integers(0, 2, N)
    clean = ArrayData(inputs, targets, **options)
    clean.setup("fit")
    evaluated = np.concatenate([clean.datasets[split].rows for split in ("val", "test")])  # type: ignore[attr-defined]
    poisoned_inputs, poisoned_targets = inputs.copy(), targets.copy()
    poisoned_inputs[evaluated] = 1e6
    if by in ("random", {"time": "when"}):  # where classes decide no split
        poisoned_targets[evaluated] = 1 - targets[evaluated]
    poisoned = ArrayData(poisoned_inputs, poisoned_targets, **options)
    poisoned.setup("fit")
    for name, value in clean.statistics.items():
        assert torch.equal(value, poisoned.statistics[name])
    assert torch.equal(clean.class_counts(), poisoned.class_counts())  # type: ignore[arg-type]
    for one, other in zip(clean.train_dataloader(), poisoned.train_dataloader(), strict=True):
        one, other = (data.on_after_batch_transfer(b, 0) for data, b in ((clean, one), (poisoned, other)))
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
