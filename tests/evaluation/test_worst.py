from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss
from tests.evaluation.made import TASKS, predictions

from fulmen.evaluation import scores
from fulmen.evaluation.worst import losses, worst


def test_losses_are_the_terms_of_the_log_loss() -> None:
    for task in ("multiclass", "binary", "multilabel"):
        made = predictions(task, 40)
        assert losses(made).mean() == pytest.approx(scores(made)["log_loss"])
    made = predictions("binary", 40)
    alone = log_loss(made.targets[:1], made.scores[:1], labels=[0, 1])
    assert losses(made)[0] == pytest.approx(alone, rel=1e-6)


@pytest.mark.parametrize("task", TASKS)
def test_the_worst_come_first(task: str) -> None:
    made = predictions(task, 50)
    found = worst(made, 7)
    loss = losses(made)
    assert [m.loss for m in found] == sorted(loss.tolist(), reverse=True)[:7]
    for m in found:
        assert m.sample == made.samples[m.row]
        if made.task == "regression":
            assert m.wrong is None
        else:
            assert m.wrong == bool(np.any(made.predicted[m.row] != made.targets[m.row]))
    assert worst(made, 0) == []


def test_what_is_said_of_a_sample() -> None:
    made = predictions("multilabel", 5)
    made.targets[0], made.predicted[0] = [1, 0, 1, 0], [0, 0, 0, 0]
    first = next(m for m in worst(made, 5) if m.row == 0)
    assert (first.target, first.prediction, first.answer) == ("l0; l2", "none", "none")
    made = predictions("binary", 5)
    first = worst(made, 1)[0]
    assert first.answer == f"{first.prediction} ({made.scores[first.row, made.predicted[first.row]]:.0%})"
