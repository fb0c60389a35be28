from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve
from tests.evaluation.made import predictions

from fulmen.evaluation.curves import confusion, curve, most_confused, reliability


@pytest.mark.parametrize("ties", [False, True])
def test_curves_are_those_of_scikit_learn(ties: bool) -> None:
    made = predictions("binary", 200, ties=ties)
    found = curve(made.scores[:, 1], made.targets == 1)
    false, true, _ = sk.roc_curve(made.targets, made.scores[:, 1], drop_intermediate=False)
    np.testing.assert_allclose(found.false_positives, false)
    np.testing.assert_allclose(found.recall, true)
    precision, recall, _ = sk.precision_recall_curve(made.targets, made.scores[:, 1])
    np.testing.assert_allclose(found.precision, precision[::-1])
    np.testing.assert_allclose(found.recall, recall[::-1])


def test_curves_of_many_samples_have_few_points_and_the_same_area() -> None:
    made = predictions("binary", 20_000)
    found = curve(made.scores[:, 1], made.targets == 1)
    assert len(found.recall) == 400
    area = sk.auc(found.false_positives, found.recall)
    assert area == pytest.approx(sk.roc_auc_score(made.targets, made.scores[:, 1]), abs=1e-3)


def test_reliability_is_that_of_scikit_learn() -> None:
    made = predictions("binary", 500)
    found = reliability(made)
    right, sure = calibration_curve(made.targets, made.scores[:, 1], n_bins=15)
    shown = found.samples > 0
    np.testing.assert_allclose(found.accuracy[shown], right)
    np.testing.assert_allclose(found.confidence[shown], sure, rtol=1e-6)
    assert found.samples.sum() == 500
    assert np.isnan(found.accuracy[~shown]).all()


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_reliability_and_calibration_error_agree(task: str) -> None:
    made = predictions(task, 300)
    found = reliability(made)
    shown = found.samples > 0
    if task == "multiclass":
        from fulmen.evaluation import scores

        gaps = np.abs(found.accuracy - found.confidence)[shown] * found.samples[shown]
        assert gaps.sum() / 300 == pytest.approx(scores(made)["calibration_error"])
    assert found.samples.sum() == (300 if task == "multiclass" else made.targets.size)


def test_confusion_is_that_of_scikit_learn() -> None:
    made = predictions("multiclass", 200)
    matrix = confusion(made)
    np.testing.assert_array_equal(matrix, sk.confusion_matrix(made.targets, made.predicted))
    worst = most_confused(matrix, 3)
    assert len(worst) == 3
    assert worst[0][2] == max(matrix[i, j] for i in range(4) for j in range(4) if i != j)
    assert most_confused(np.eye(3, dtype=np.int64)) == []
