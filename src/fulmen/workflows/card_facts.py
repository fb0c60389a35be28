"""What a model card is written from, and the front matter that the Hugging Face hub reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fulmen.evaluation import Interval, Predictions

SPLITS = {"train": "training", "val": "validation", "test": "test"}
"""Split -> how a card calls it."""
_PIPELINES = {
    ("image", "classes"): "image-classification",
    ("text", "classes"): "text-classification",
    ("table", "classes"): "tabular-classification",
    ("table", "regression"): "tabular-regression",
}
"""What the hub calls a task; it has no name for a regression of images or texts."""
_HUB_METRICS = ("accuracy", "f1", "precision", "recall", "mae", "mse", "roc_auc", "matthews_correlation", "brier_score")
_HUB_NAMES = {"auroc": "roc_auc", "matthews": "matthews_correlation", "brier": "brier_score"}


def plain(text: str) -> str:
    """A name as Markdown shows it: what would begin a tag is written as an entity, a line break as a space.

    >>> plain("<b>R&D</b>")
    '&lt;b>R&amp;D&lt;/b>'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", " ")


@dataclass(frozen=True)
class CardFacts:
    """What a card is written from.

    Attributes:
        name: Of the model.
        model: Its class, dotted.
        data: Class of its data.
        modality: ``image``, ``text``, ``table``, or ``other``.
        record: ``run.json`` of the run.
        environment: ``environment.json`` of the run.
        config: The run's config, as much of it as is worth showing.
        predictions: Of its best checkpoint, by split (``val``, ``test``).
        checkpoint: Path of the checkpoint from the card.
        reports: Split -> ``metrics.json`` of the run's report, where there is one.
        given: What its author says: ``license``, ``dataset``, ``intended_use``, ``out_of_scope``, ``authors``.
    """

    name: str
    model: str
    data: str
    modality: str
    record: Mapping[str, Any]
    environment: Mapping[str, Any]
    config: Mapping[str, Any]
    predictions: Mapping[str, Predictions]
    checkpoint: str
    reports: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    given: Mapping[str, str | None] = field(default_factory=dict)


def front_matter(facts: CardFacts, found: Mapping[str, Mapping[str, Interval]]) -> str:
    """The YAML block that the hub reads, between two lines of dashes.

    Args:
        facts: Of the card.
        found: Split -> metric -> value; those of ``test`` stand in the index, of ``val`` where nothing was tested.
    """
    from huggingface_hub import EvalResult, ModelCardData

    split = "test" if "test" in found else "val"
    task = next(iter(facts.predictions.values())).task
    pipeline = _PIPELINES.get((facts.modality, "regression" if task == "regression" else "classes"))
    dataset = facts.given.get("dataset")
    values = {_HUB_NAMES.get(name, name): each.value for name, each in found[split].items()}
    results = [
        EvalResult(
            task_type=pipeline or task,
            dataset_type=dataset or facts.data.lower(),
            dataset_name=dataset or facts.data,
            dataset_split=SPLITS[split],
            metric_type=name,
            metric_value=value,
        )
        for name, value in values.items()
    ]
    data = ModelCardData(
        library_name="fulmen",
        license=facts.given.get("license"),
        tags=["fulmen", "pytorch", "lightning", task],
        pipeline_tag=pipeline,
        datasets=[dataset] if dataset else None,
        metrics=[name for name in values if name in _HUB_METRICS] or None,
        model_name=facts.name,
        eval_results=results,
    )
    return f"---\n{data.to_yaml()}\n---"
