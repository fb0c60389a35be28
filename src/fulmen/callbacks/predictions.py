"""Predictions as a table, a row a sample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from fulmen.core.errors import ConfigError

SUFFIXES = (".csv", ".parquet")


class PredictionWriter(Callback):
    """Writes what ``predict`` finds: for each sample its identity, the prediction and the probabilities.

    Columns: ``sample`` (path or row number), ``prediction`` (class name, or names of labels joined by ``;``,
    or the value) and ``probability_<class>``. Samples come in the order of the data set, each once, also
    when several processes predict.

    Args:
        path: Where to write; CSV or Parquet, by the ending.

    Raises:
        ConfigError: If the ending is another one.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix not in SUFFIXES:
            raise ConfigError(f"output: {str(path)!r} must end in {' or '.join(SUFFIXES)}")
        self.path = path
        self._parts: list[dict[str, Tensor]] = []

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps a batch's predictions, on the CPU."""
        self._parts.append({key: value.cpu() for key, value in outputs.items()})

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gathers them from all processes and writes the table."""
        columns = {key: torch.cat([part[key] for part in self._parts]) for key in self._parts[0]}
        self._parts = []
        gathered: list[Any] = [columns]
        if trainer.world_size > 1:
            gathered = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, columns)
        if not trainer.is_global_zero:
            return
        columns = {key: torch.cat([part[key] for part in gathered]) for key in columns}
        if "index" in columns:
            order = columns["index"].argsort()
            columns = {key: value[order] for key, value in columns.items()}
        write_table(self.path, table(columns, self._names(pl_module), self._samples(trainer, columns)))

    def _samples(self, trainer: Trainer, columns: dict[str, Tensor]) -> Sequence[object]:
        data = trainer.datamodule  # type: ignore[attr-defined]
        if hasattr(data, "identity") and "index" in columns:  # as SupervisedDataModule has it
            named: Sequence[object] = data.identity(data.predicted_split, columns["index"])
            return named
        return range(len(columns["prediction"]))

    def _names(self, module: LightningModule) -> list[str]:
        names: list[str] = module.task.class_names  # type: ignore[union-attr, assignment]
        return names


def table(columns: dict[str, Tensor], names: Sequence[str], samples: Sequence[object]) -> dict[str, Sequence[Any]]:
    """Column name -> values.

    Args:
        columns: What :meth:`fulmen.tasks.Task.decode` gives, of all samples.
        names: Name of each class, label or value.
        samples: Identity of each sample.

    >>> table({"prediction": torch.tensor([1]), "probabilities": torch.tensor([[0.25, 0.75]])}, ["a", "b"], ["x.png"])
    {'sample': ['x.png'], 'prediction': ['b'], 'probability_a': [0.25], 'probability_b': [0.75]}
    """
    prediction = columns["prediction"]
    rows: dict[str, Sequence[Any]] = {"sample": list(samples)}
    if "probabilities" not in columns:
        values = prediction.reshape(len(prediction), -1)
        if len(names) == 1:
            return {**rows, "prediction": values[:, 0].tolist()}
        return {**rows, **{f"prediction_{name}": values[:, i].tolist() for i, name in enumerate(names)}}
    if prediction.ndim == 1:
        rows["prediction"] = [names[i] for i in prediction.tolist()]
    else:
        rows["prediction"] = [";".join(names[i] for i, on in enumerate(row) if on) for row in prediction.tolist()]
    probabilities = columns["probabilities"]
    return {**rows, **{f"probability_{name}": probabilities[:, i].tolist() for i, name in enumerate(names)}}


def write_table(path: Path, columns: dict[str, Sequence[Any]]) -> None:
    """Writes a table as CSV or Parquet, by the ending of the path."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    made = pa.table(columns)
    if path.suffix == ".csv":
        csv.write_csv(made, path)
    else:
        parquet.write_table(made, path)
