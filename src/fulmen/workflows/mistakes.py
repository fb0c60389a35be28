"""The samples that a model is most wrong about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fulmen.core.batch import Batch
from fulmen.core.errors import ConfigError, unknown
from fulmen.data import SupervisedDataModule
from fulmen.evaluation.worst import Mistake as Mistake
from fulmen.modules import SupervisedModule
from fulmen.nn.modes import mode_kept
from fulmen.tasks import Task


@dataclass(frozen=True)
class Mistakes:
    """The samples of highest loss.

    Attributes:
        split: Which split they are of.
        samples: How many it has.
        wrong: How many of them are predicted wrongly; ``None`` of a regression.
        mean_loss: Over all of them.
        worst: Some of them, the highest loss first.
    """

    split: str
    samples: int
    wrong: int | None
    mean_loss: float
    worst: list[Mistake]


def worst_mistakes(
    module: SupervisedModule, data: SupervisedDataModule, split: str | None = None, samples: int = 24
) -> Mistakes:
    """Finds the samples of highest loss, without augmentation and penalties.

    They are worth a look: mistaken labels and broken samples gather there, and what a model has not seen enough of.

    Args:
        module: A trained module, on the device to compute on.
        data: Its data, set up.
        split: ``train``, ``val`` or ``test``; ``None``: validation, or the test samples where there is none.
        samples: How many of the worst are wanted.

    Raises:
        ConfigError: If there is no such split, or its targets are not known.
    """
    if samples < 1:
        raise ConfigError(f"samples: {samples} is out of range; allowed: at least 1")
    split = chosen_split(data, split)
    dataset: Any = data.datasets[split]
    losses: list[Tensor] = []
    wrong: list[Tensor] = []
    with mode_kept(module):
        module.eval()
        for batch in data.in_order(dataset, range(len(dataset)), data.eval_batch_size):
            logits, targets = predict(module, data, batch)
            losses.append(sample_losses(module.task, logits, targets).cpu())
            wrong.append(_are_wrong(module.task, logits, targets).cpu())
        all_losses = torch.cat(losses)
        worst = judge(module, data, split, _highest(all_losses, samples))
    count = None if module.task.name == "regression" else int(torch.cat(wrong).sum())
    return Mistakes(split, len(all_losses), count, float(all_losses.mean()), worst)


def sample_losses(task: Task, logits: Tensor, targets: Tensor) -> Tensor:
    """The loss of each sample by itself, ``(N,)``, whatever the loss is.

    Args:
        task: Whose loss it is.
        logits: ``(N, num_outputs)``.
        targets: ``N`` of them, as the data give them.
    """
    return torch.stack([task.loss(logits[i : i + 1], targets[i : i + 1]).float() for i in range(len(logits))])


def _highest(losses: Tensor, count: int) -> list[int]:
    """Rows of the highest losses; one that is not a number counts as the highest."""
    order = torch.where(losses.isnan(), torch.inf, losses).argsort(descending=True, stable=True)
    rows: list[int] = order[:count].tolist()
    return rows


def chosen_split(data: SupervisedDataModule, split: str | None) -> str:
    """The split that is meant: by itself validation, or the test samples where there is none.

    Raises:
        ConfigError: If there is no such split with labels.
    """
    labelled = [name for name in ("val", "test", "train") if name in data.datasets]
    if split is None:
        return labelled[0]
    if split not in labelled:
        raise ConfigError(f"split: {unknown('split', split, labelled)}")
    return split


def predict(module: SupervisedModule, data: SupervisedDataModule, batch: Batch) -> tuple[Tensor, Tensor]:
    """Logits ``(N, num_outputs)`` and targets of a batch as the data set gives it.

    Raises:
        ConfigError: If it has no targets.
    """
    batch = data.on_after_batch_transfer(data.transfer_batch_to_device(batch, module.device, 0), 0)
    if batch.targets is None:
        raise ConfigError("split: its samples have no targets that a prediction could be compared with")
    with torch.no_grad():
        return module(batch.inputs), batch.targets


def _are_wrong(task: Task, logits: Tensor, targets: Tensor) -> Tensor:
    """``(N,)``: whether a prediction is another than the target in anything."""
    predicted = task.decode(logits)["prediction"]
    return (predicted != targets.reshape(predicted.shape)).reshape(len(predicted), -1).any(1)


def judge(module: SupervisedModule, data: SupervisedDataModule, split: str, rows: Sequence[int]) -> list[Mistake]:
    """What a module says of some samples, right or wrong.

    Args:
        module: In evaluation mode.
        data: Its data, set up.
        split: Which split the samples are in.
        rows: Their rows there.
    """
    task = module.task
    found: list[Mistake] = []
    for row in rows:
        batch = data.datasets[split].__getitems__([row])
        logits, targets = predict(module, data, batch)
        decoded = task.decode(logits)
        prediction = decoded["prediction"][0]
        single = task.name in ("multiclass", "binary")
        assert batch.index is not None
        found.append(
            Mistake(
                row=row,
                sample=data.identity(split, batch.index)[0],
                target=said(task, targets[0]),
                prediction=said(task, prediction),
                probability=float(decoded["probabilities"][0, int(prediction)]) if single else None,
                loss=float(task.loss(logits, targets)),
                wrong=None if task.name == "regression" else bool(_are_wrong(task, logits, targets)[0]),
            )
        )
    return found


def said(task: Task, value: Tensor) -> str:
    """A target or a prediction in words: names of classes, or numbers."""
    names: Sequence[str] = task.class_names
    if task.name == "regression":
        return ", ".join(f"{number:.4g}" for number in value.flatten().tolist())
    if task.name == "multilabel":
        return ";".join(name for name, on in zip(names, value.flatten().tolist(), strict=True) if on) or "none"
    return names[int(value)]
