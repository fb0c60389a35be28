"""Cards of all tasks, without runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard

from fulmen.core.errors import ConfigError
from fulmen.evaluation import Predictions, scores
from fulmen.workflows.card import NOT_GIVEN, model_card
from fulmen.workflows.card_facts import CardFacts


def of_classes(names: list[str], task: str = "multiclass", split: str = "test") -> Predictions:
    random = np.random.default_rng(0)
    targets = random.integers(0, len(names), 90)
    predicted = np.where(random.random(90) < 0.8, targets, (targets + 1) % len(names))
    scores = (np.eye(len(names))[predicted] * 0.7 + 0.3 / len(names)).astype(np.float32)
    return Predictions(task, names, [f"s{i}" for i in range(90)], targets, scores, predicted, split)


def of_labels() -> Predictions:
    random = np.random.default_rng(0)
    targets = random.integers(0, 2, (50, 2))
    scores = np.clip(targets * 0.6 + random.random((50, 2)) * 0.4, 0, 1).astype(np.float32)
    return Predictions(
        "multilabel", ["x", "y"], [str(i) for i in range(50)], targets, scores, (scores > 0.5).astype(int)
    )


def of_values() -> Predictions:
    targets = np.random.default_rng(0).normal(size=(50, 1))
    values = (targets + 0.1).astype(np.float32)
    return Predictions("regression", ["price"], [str(i) for i in range(50)], targets, values, values)


def facts(*made: Predictions, modality: str = "table", **changes: Any) -> CardFacts:
    given: dict[str, Any] = {
        "name": "m",
        "model": "fulmen.modules.mlp.MLPModule",
        "data": "TabularData",
        "modality": modality,
        "record": {},
        "environment": {},
        "config": {},
        "predictions": {p.split: p for p in made},
        "checkpoint": "checkpoints/best.ckpt",
        **changes,
    }
    return CardFacts(**given)


@pytest.mark.parametrize(
    ("made", "modality", "pipeline"),
    [
        (of_classes(["a", "b", "c"]), "image", "image-classification"),
        (of_classes(["no", "yes"], "binary"), "text", "text-classification"),
        (of_labels(), "text", "text-classification"),
        (of_classes(["a", "b"], "binary"), "table", "tabular-classification"),
        (of_values(), "table", "tabular-regression"),
        (of_values(), "image", None),
    ],
)
def test_front_matter_of_every_task(made: Predictions, modality: str, pipeline: str | None) -> None:
    card = ModelCard(model_card(facts(made, modality=modality), resamples=20))
    data: Any = card.data
    assert data.pipeline_tag == pipeline
    assert made.task in data.tags
    assert len(data.eval_results) > 4
    assert "nan" not in card.text.lower().replace("finance", "")


def test_limits_are_those_that_were_seen() -> None:
    made = of_classes(["a", "b", "c"])
    text = model_card(facts(made), resamples=20)
    wrong = made.predicted != made.targets
    pairs = [(int(t), int(p)) for t, p in zip(made.targets[wrong], made.predicted[wrong], strict=True)]
    most = max(pairs.count(pair) for pair in pairs)
    assert f"({most} of {len(pairs)} mistakes)" in text
    assert "90 samples are few" in text


def test_a_test_set_that_was_chosen_by_is_said() -> None:
    record = {"test_set_used": [{"by": "fit"}, {"by": "report"}, {"by": "compare"}]}
    assert "`compare`" in model_card(facts(of_classes(["a", "b"]), record=record), resamples=20)
    assert "`report`" not in model_card(facts(of_classes(["a", "b"]), record=record), resamples=20)
    assert "`compare`" not in model_card(facts(of_classes(["a", "b"]), record={}), resamples=20)


def test_weak_parts_are_taken_from_a_report_that_is_up_to_date() -> None:
    made = of_classes(["a", "b"])
    part = {"column": "site", "value": "north", "samples": 20, "interval": {"value": 0.5, "low": 0.3, "high": 0.7}}
    slices = [{**part, "worse": True}, {**part, "value": "south", "worse": False}]
    report = {"metrics": {"accuracy": {"value": scores(made)["accuracy"]}}, "slices": slices}
    text = model_card(facts(made, reports={"test": report}), resamples=20)
    assert "Worse where site is north: accuracy 0.5000 (0.3000 .. 0.7000) on 20 samples." in text
    assert "south" not in text
    report["metrics"] = {"accuracy": {"value": 0.1}}
    assert "north" not in model_card(facts(made, reports={"test": report}), resamples=20)


def test_names_cannot_break_its_tables() -> None:
    text = model_card(facts(of_classes(["a|b", "c\nd"])), resamples=20)
    assert "| a\\|b | " in text
    assert "| c d | " in text
    text = model_card(facts(of_classes(["<b>x</b>", "R&D"])), resamples=20)
    assert "<b>" not in text.partition("\n# ")[2]
    assert "| &lt;b>x&lt;/b> | " in text
    assert "R&amp;D" in text


def test_epochs_are_counted_as_in_reports() -> None:
    record = {"epochs": 5, "monitor": "val/loss", "best_epoch": {"epoch": 3.0, "val/loss": 0.1}}
    assert "5, the best was epoch 4 by val/loss" in model_card(facts(of_values(), record=record), resamples=20)


def test_a_class_that_no_sample_has_is_told_and_not_a_number_is_not_written() -> None:
    made = of_classes(["a", "b"], "binary")
    alone = made.take(made.targets == 0)
    text = model_card(facts(alone), resamples=20)
    assert "auroc is not given" in text
    assert NOT_GIVEN in text


def test_nothing_to_write_from() -> None:
    with pytest.raises(ConfigError, match="no split"):
        model_card(facts())
