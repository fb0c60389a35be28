"""What a page says of a model and its data, asked from the objects themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fulmen.core.errors import ConfigError
from fulmen.evaluation.predictions import Predictions

_SPLITS = ("train", "val", "test")
_LONGEST, _MOST_COLUMNS, _MOST_CLASSES = 160, 14, 50


def rows_of(data: Any, split: str) -> NDArray[np.int64]:
    """Which row of a split's data set each prediction is of, ``(N,)``.

    Args:
        data: A ``SupervisedDataModule``, set up.
        split: The split.
    """
    dataset = data.datasets[split]
    index = getattr(dataset, "rows", None)
    return np.arange(len(dataset)) if index is None else np.argsort(np.asarray(index), kind="stable")


def slice_columns(data: Any, predictions: Predictions, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The values ``(N,)`` of columns, in the order of the predictions.

    Args:
        data: Where they are of.
        predictions: ``N`` of them.
        names: Of the columns.

    Raises:
        ConfigError: If the data have no such columns.
    """
    if not names:
        return {}
    if not hasattr(data, "sample_values"):
        raise ConfigError(f"slices: {type(data).__name__} tells no columns of its samples; leave it out")
    order = rows_of(data, predictions.split)
    if len(order) != len(predictions):
        raise ConfigError(
            f"slices: {len(predictions)} of {len(order)} samples were predicted, so that columns do not fit; leave out "
            "limits of batches"
        )
    return {name: values[order] for name, values in data.sample_values(predictions.split, list(names)).items()}


def data_facts(data: Any) -> dict[str, object]:
    """Class, kind of targets, shape of a sample, samples in each split."""
    if data is None:
        return {}
    facts: dict[str, object] = {"read by": type(data).__name__}
    for name, said in (("target_type", "targets"), ("input_shape", "shape of a sample")):
        if hasattr(data, name):
            facts[said] = str(getattr(data, name))
    if getattr(data, "class_names", None) and getattr(data, "target_type", None) != "regression":
        facts["classes"] = len(data.class_names)
    for split in _SPLITS:
        if split in getattr(data, "datasets", {}):
            facts[f"{split} samples"] = len(data.datasets[split])
    return facts


def shares(data: Any, predictions: Predictions) -> tuple[list[str], list[list[object]]] | None:
    """How many samples of each class the splits have; of a regression, mean and spread of the targets.

    Args:
        data: A ``SupervisedDataModule``, set up.
        predictions: Of one of its splits.

    Returns:
        Names of the columns, and rows.
    """
    found: dict[str, NDArray[Any]] = {}
    for split in _SPLITS:
        targets = _targets(data, split)
        if split == predictions.split:
            found[split] = predictions.targets
        elif targets is not None and len(targets):
            found[split] = targets
    if predictions.task == "regression":
        rows: list[list[object]] = []
        for split, values in found.items():
            wide = values.reshape(len(values), -1)
            for i, name in enumerate(predictions.names):
                column = wide[:, i]
                ends = (float(column.mean()), float(column.std()), float(column.min()), float(column.max()))
                rows.append([split, name, len(column), *ends])
        return ["split", "value", "samples", "mean", "standard deviation", "least", "most"], rows
    head, count = ["class"], len(predictions.names)
    columns: list[list[object]] = [list(predictions.names)]
    for split, values in found.items():
        many = predictions.task == "multilabel"
        counts = values.sum(0) if many else np.bincount(values.astype(np.int64).ravel(), minlength=count)
        head += [split, f"% of {split}"]
        columns += [[int(n) for n in counts], [round(100 * float(n) / len(values), 1) for n in counts]]
    lines = [list(row) for row in zip(*columns, strict=True)]
    return head, lines[:_MOST_CLASSES]


def chance_loss(module: Any, predictions: Predictions) -> float | None:
    """The loss of always giving the shares of the classes, or the mean; ``None`` where the loss is not the task's own.

    Args:
        module: The model, whose loss it would be.
        predictions: Whose targets tell the shares.
    """
    task = getattr(module, "task", None)
    loss = getattr(task, "_loss", None)
    name = loss.get("name") if isinstance(loss, dict) else loss
    if task is None or name != getattr(task, "default_loss", ""):
        return None
    if predictions.task == "regression":
        return 1.0  # of standardized values
    if predictions.task == "multilabel":
        p = predictions.targets.mean(0).clip(1e-9, 1 - 1e-9)
        return float(-(p * np.log(p) + (1 - p) * np.log(1 - p)).mean())
    counts = np.bincount(predictions.targets, minlength=len(predictions.names))
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum()) or None


def model_facts(module: Any) -> dict[str, object]:
    """Class, and how many parameters there are."""
    parameters = list(module.parameters())
    count = sum(p.numel() for p in parameters)
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    facts: dict[str, object] = {"class": type(module).__name__, "parameters": count}
    return facts if trained == count else {**facts, "of these trained": trained}


def mistake_columns(data: Any, split: str, places: Sequence[int]) -> dict[str, list[object]]:
    """What readers may know a sample by: its text, or the columns of its row.

    Args:
        data: A ``SupervisedDataModule``, set up.
        split: Which split the samples are in.
        places: Their places in the predictions.
    """
    if not places or split not in getattr(data, "datasets", {}):
        return {}
    rows = rows_of(data, split)[list(places)]
    dataset = data.datasets[split]
    if hasattr(dataset, "whole"):
        texts = dataset.whole(rows.tolist()).inputs
        if len(texts) and isinstance(texts[0], str):
            return {"text": [_cut(" ".join(text.split())) for text in texts]}
    hidden = {getattr(data, "id_column", None), *_listed(getattr(data, "target", None)), getattr(data, "path", None)}
    names = [name for name in getattr(data, "sample_columns", lambda split: [])(split) if name not in hidden]
    if names == ["folder"]:  # the path says as much
        return {}
    values = data.sample_values(split, names[:_MOST_COLUMNS]) if names else {}
    return {name: [_cut(_said(value)) for value in column[rows].tolist()] for name, column in values.items()}


def _targets(data: Any, split: str) -> NDArray[Any] | None:
    dataset = getattr(data, "datasets", {}).get(split)
    targets = getattr(dataset, "targets", None)
    if targets is None:
        return None
    rows = getattr(dataset, "rows", None)
    return np.asarray(targets if rows is None else targets[rows])


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _said(value: Any) -> str:
    return "" if value is None or value != value else f"{value:.6g}" if isinstance(value, float) else str(value)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
