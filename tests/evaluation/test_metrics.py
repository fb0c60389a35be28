"""Every number equals scikit-learn's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from tests.evaluation.made import TASKS, predictions, sklearn_scores
from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

from fulmen.core.errors import DataError
from fulmen.evaluation import Predictions, higher_is_better, per_class, scores, undefined


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("task", TASKS)
def test_scores_are_those_of_scikit_learn(task: str, ties: bool) -> None:
    made = predictions(task, ties=ties)
    assert scores(made) == pytest.approx(sklearn_scores(made), rel=1e-6, abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(TASKS), st.integers(1, 12), st.integers(0, 10**6), st.booleans())
def test_also_of_a_few_samples_that_lack_classes(task: str, n: int, seed: int, ties: bool) -> None:
    made = predictions(task, n, seed, ties)
    expected = sklearn_scores(made)
    assert scores(made) == pytest.approx(expected, rel=1e-5, abs=1e-7)
    assert set(undefined(made)) == set(sklearn_scores(predictions(task))) - set(expected)


@pytest.mark.parametrize("ties", [False, True])
def test_calibration_error_is_that_of_torchmetrics(ties: bool) -> None:
    made = predictions("multiclass", 500, ties=ties)
    theirs = multiclass_calibration_error(torch.tensor(made.scores), torch.tensor(made.targets), 4, n_bins=15)
    assert scores(made)["calibration_error"] == pytest.approx(float(theirs), abs=1e-6)
    made = predictions("binary", 500, ties=ties)
    theirs = binary_calibration_error(torch.tensor(made.scores[:, 1]), torch.tensor(made.targets), n_bins=15)
    assert scores(made)["calibration_error"] == pytest.approx(float(theirs), abs=1e-6)


def test_multiclass_auroc_and_brier_are_those_of_scikit_learn_s_own_averages() -> None:
    made = predictions("multiclass", 300)
    assert scores(made)["auroc"] == pytest.approx(sk.roc_auc_score(made.targets, made.scores, multi_class="ovr"))
    assert scores(made)["average_precision"] == pytest.approx(
        sk.average_precision_score(np.eye(4)[made.targets], made.scores)
    )
    assert scores(made)["brier"] == pytest.approx(sk.brier_score_loss(made.targets, made.scores), rel=1e-6)
    made = predictions("binary", 300)
    assert scores(made)["brier"] == pytest.approx(sk.brier_score_loss(made.targets, made.scores[:, 1]), rel=1e-6)


@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel"])
def test_scores_of_classes_are_those_of_scikit_learn(task: str) -> None:
    made = predictions(task, 200)
    found = per_class(made)
    precision, recall, f1, support = sk.precision_recall_fscore_support(made.targets, made.predicted)
    on = made.targets if task == "multilabel" else np.eye(len(made.names))[made.targets]
    for i, name in enumerate(made.names):
        assert found[name] == pytest.approx(
            {
                "precision": precision[i],
                "recall": recall[i],
                "f1": f1[i],
                "support": support[i],
                "auroc": sk.roc_auc_score(on[:, i], made.scores[:, i]),
                "average_precision": sk.average_precision_score(on[:, i], made.scores[:, i]),
            }
        )
    assert per_class(predictions("regression")) == {}


def test_what_is_not_defined_is_left_out_with_a_reason() -> None:
    made = predictions("binary", 30)
    one = made.take(made.targets == 1)
    assert "auroc" not in scores(one)
    assert "at least two classes" in undefined(one)["auroc"]
    assert "auroc" not in per_class(one)["c0"]
    assert per_class(one)["c0"]["support"] == 0
    values = predictions("regression", 30)
    constant = replace(values, targets=np.zeros((30, 1)))
    assert set(undefined(constant)) == {"r2", "explained_variance", "pearson", "mape"}
    assert "all the same" in undefined(constant)["r2"]
    assert "is 0" in undefined(constant)["mape"]
    assert undefined(values) == {}


def test_scores_of_a_constant_prediction() -> None:
    values = predictions("regression", 30)
    mean = np.full_like(values.predicted, values.targets.mean())
    found = scores(replace(values, predicted=mean, scores=mean))
    assert found["r2"] == pytest.approx(0, abs=1e-6)
    assert "pearson" not in found


def test_values_of_any_size_keep_their_digits() -> None:
    values = predictions("regression", 300)
    shifted = replace(values, targets=values.targets + 1e6, predicted=values.predicted.astype(float) + 1e6)
    for name in ("r2", "explained_variance", "pearson", "mae"):
        assert scores(shifted)[name] == pytest.approx(scores(values)[name], rel=1e-6)


def test_a_prediction_that_is_no_number_is_an_error() -> None:
    made = predictions("multiclass", 10)
    made.scores[3, 1] = np.nan
    with pytest.raises(DataError, match=r"1 of 10 predictions are not finite \(the first is of s3\)"):
        scores(made)
    empty: Predictions = made.take(np.zeros(10, bool))
    with pytest.raises(DataError, match="no sample to score"):
        scores(empty)


def test_which_way_is_better() -> None:
    assert higher_is_better("f1_macro")
    assert higher_is_better("val/r2")
    assert not any(map(higher_is_better, ("val/loss", "log_loss", "brier", "rmse", "calibration_error")))
