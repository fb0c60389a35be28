"""What is written equals scikit-learn's numbers on the predictions that are written beside it."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.evaluation.made import TASKS, predictions, sklearn_scores

from fulmen.core.errors import ConfigError
from fulmen.evaluation import About, Curves, Evaluation, Predictions, intervals, verdict, write_report
from fulmen.evaluation.baseline import constant
from fulmen.evaluation.plots import draw_confusion, draw_ranking, draw_reliability, draw_residuals


@pytest.mark.parametrize("task", TASKS)
def test_written_numbers_are_those_of_scikit_learn_on_the_written_predictions(task: str, tmp_path: Path) -> None:
    made = predictions(task, 80)
    Evaluation.of(made, {"site": np.arange(80) % 2}, resamples=50).write(tmp_path, checkpoint="best.ckpt")
    written = json.loads((tmp_path / "metrics.json").read_text())
    read = Predictions.read(tmp_path / "predictions.csv")
    assert {name: m["value"] for name, m in written["metrics"].items()} == pytest.approx(sklearn_scores(read), rel=1e-6)
    for name, found in intervals(made, 50).items():
        assert written["metrics"][name] == {"value": found.value, "low": found.low, "high": found.high}
        assert found.low <= found.value <= found.high or name == "calibration_error"
    assert (written["task"], written["samples"], written["checkpoint"]) == (made.task, 80, "best.ckpt")
    with (tmp_path / "slices.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        part = read.take(np.arange(80) % 2 == int(row["value"]))
        for name, value in sklearn_scores(part).items():
            assert float(row[name]) == pytest.approx(value, rel=1e-6, abs=1e-9)


def test_tables_of_classes(tmp_path: Path) -> None:
    made = predictions("multiclass", 80)
    Evaluation.of(made, resamples=10, samples=3).write(tmp_path)
    with (tmp_path / "confusion.csv").open() as file:
        head, *rows = csv.reader(file)
    assert head == ["target \\ prediction", *made.names]
    assert sum(int(cell) for row in rows for cell in row[1:]) == 80
    with (tmp_path / "mistakes.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 3
    with (tmp_path / "per_class.csv").open() as file:
        assert [row["class"] for row in csv.DictReader(file)] == made.names
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert sum(found["samples"] for found in written["calibration"]) == 80


def test_the_baseline_is_the_best_constant() -> None:
    made = predictions("multiclass", 200)
    made.targets[:120] = 2
    assert (constant(made).predicted == 2).all()
    assert Evaluation.of(made, resamples=5).baseline["accuracy"] == (made.targets == 2).mean()
    values = predictions("regression", 50)
    assert Evaluation.of(values, resamples=5).baseline["r2"] == pytest.approx(0)
    labels = predictions("multilabel", 50)
    assert Evaluation.of(labels, resamples=5).baseline["recall"] == 1


def test_the_answer_in_one_sentence() -> None:
    made = replace(predictions("binary", 100), split="test", names=["no", "yes"])
    made.targets[:] = np.arange(100) < 40
    made = replace(made, predicted=np.where(np.arange(100) < 10, 0, made.targets))
    answer = Evaluation.of(made, resamples=500).answer()
    assert answer.startswith("90.0 % of 100 test samples are right (95 % interval 8")
    assert answer.endswith("always saying the commonest class, no, would be right for 60.0 %.")
    assert (
        "the mean F1 on 100 validation samples" in Evaluation.of(predictions("multilabel", 100), resamples=9).answer()
    )
    assert "are off by" in Evaluation.of(predictions("regression", 100), resamples=9).answer()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("n", [1, 4, 60])
def test_a_page_for_any_predictions(task: str, n: int, tmp_path: Path) -> None:
    made = predictions(task, n)
    evaluation = Evaluation.of(made, {"<c>": np.array(["<v>"] * n)}, resamples=20)
    rows = {i: {"train/loss": 1.0, "val/loss": 1.0, "val/accuracy": 0.5} for i in range(3)}
    curves = Curves.of(rows)
    about = About("A <title>", curves=curves, best=1, verdict=verdict(curves), config="model: <m>")
    page = write_report(evaluation, about, tmp_path).read_text()
    assert evaluation.answer().split(" (")[0] in page
    assert "<title>A &lt;title&gt;</title>" in page
    assert "&lt;v&gt;" in page
    assert "<v>" not in page
    assert "<m>" not in page
    assert page.count("data:image/png") >= 2
    assert json.loads((tmp_path / "metrics.json").read_text())["learning"]["verdict"] == "underfitting"


def test_pictures_of_many_classes_and_odd_names() -> None:
    made = predictions("multiclass", 300, classes=45)
    names = [f"$x_{i}$ & a very long name of a class indeed" for i in range(45)]
    made = replace(made, names=names)
    for figure in (draw_confusion(made), draw_reliability(made), draw_ranking(made)):
        figure.draw_without_rendering()
    assert len(draw_ranking(made).axes[1].lines) == 10


def test_pictures_of_one_class_and_of_constant_values() -> None:
    made = predictions("binary", 30)
    one = made.take(made.targets == 1)
    assert draw_ranking(one).axes[1].lines[:] == []
    values = predictions("regression", 30)
    zeros = np.zeros_like(values.predicted)
    draw_residuals(replace(values, targets=zeros.astype(float), predicted=zeros)).draw_without_rendering()


def test_mistakes_of_the_caller(tmp_path: Path) -> None:
    evaluation = Evaluation.of(predictions("binary", 20), resamples=5)
    assert evaluation["accuracy"].value == evaluation.scores["accuracy"]
    with pytest.raises(ConfigError, match="unknown metric 'acuracy'; did you mean 'accuracy'"):
        evaluation["acuracy"]
    with pytest.raises(ConfigError, match="samples: -1 is out of range"):
        Evaluation.of(predictions("binary", 20), samples=-1)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        evaluation.write(tmp_path / "file" / "out")


def test_nothing_of_an_earlier_report_stays(tmp_path: Path) -> None:
    made = predictions("binary", 30)
    Evaluation.of(made, {"site": np.arange(30) % 2}, resamples=5).write(tmp_path)
    assert (tmp_path / "slices.csv").is_file()
    Evaluation.of(made, resamples=5).write(tmp_path)
    assert not (tmp_path / "slices.csv").exists()
