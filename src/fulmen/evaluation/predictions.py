"""Predictions of labelled samples: what every score, interval, comparison and page is computed from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fulmen.core.errors import DataError

_PROBABILITY, _TARGET, _PREDICTION = "probability_", "target_", "prediction_"


@dataclass(frozen=True)
class Predictions:
    """What a model says of samples whose targets are known.

    Attributes:
        task: ``multiclass``, ``binary``, ``multilabel`` or ``regression``.
        names: Name of each class (two of a yes/no target), label or value.
        samples: ``N`` names of the samples: paths, or row numbers.
        targets: ``(N,)`` int64 for ``multiclass`` and ``binary``, ``(N, K)`` int64 of 0 and 1 for ``multilabel``,
            ``(N, K)`` float64 for ``regression``.
        scores: ``(N, C)`` float32 probabilities (``(N, 2)`` for ``binary``); ``(N, K)`` values of a ``regression``.
        predicted: What is decided for: as ``targets`` in shape and type (float32 values for ``regression``).
        split: Which split the samples are of: ``train``, ``val`` or ``test``.
        columns: Further facts of the samples by name, ``(N,)`` each, such as ``fold``.
        logits: ``(N, num_outputs)`` float32, where they were not read from a file.
    """

    task: str
    names: list[str]
    samples: list[str]
    targets: NDArray[Any]
    scores: NDArray[np.float32]
    predicted: NDArray[Any]
    split: str = "val"
    columns: dict[str, NDArray[Any]] = field(default_factory=dict)
    logits: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.samples)

    def take(self, rows: NDArray[Any]) -> Predictions:
        """Some of the samples.

        Args:
            rows: Row numbers, or a mask ``(N,)``.
        """
        numbers = np.arange(len(self))[rows]
        return replace(
            self,
            samples=[self.samples[i] for i in numbers.tolist()],
            targets=self.targets[numbers],
            scores=self.scores[numbers],
            predicted=self.predicted[numbers],
            columns={name: values[numbers] for name, values in self.columns.items()},
            logits=None if self.logits is None else self.logits[numbers],
        )

    @staticmethod
    def join(parts: Sequence[Predictions]) -> Predictions:
        """Predictions of several data sets, one after the other; columns that not all of them have are left out.

        Raises:
            DataError: If they are of different tasks or classes.
        """
        first = parts[0]
        for part in parts:
            if (part.task, part.names) != (first.task, first.names):
                raise DataError(
                    f"predictions of a {first.task} task with {first.names} and of a {part.task} task with "
                    f"{part.names} cannot be joined"
                )
        columns = [name for name in first.columns if all(name in part.columns for part in parts)]
        logits = [part.logits for part in parts if part.logits is not None]
        return replace(
            first,
            samples=[sample for part in parts for sample in part.samples],
            targets=np.concatenate([part.targets for part in parts]),
            scores=np.concatenate([part.scores for part in parts]),
            predicted=np.concatenate([part.predicted for part in parts]),
            columns={name: np.concatenate([part.columns[name] for part in parts]) for name in columns},
            logits=np.concatenate(logits) if len(logits) == len(parts) else None,
        )

    def table(self) -> dict[str, Any]:
        """Column name -> values: ``sample``, further facts, targets, predictions, probabilities.

        Classes: ``target`` and ``prediction`` (names) and ``probability_<class>``. Labels: ``target_<label>`` and
        ``prediction_<label>`` (0 or 1) and ``probability_<label>``. Numbers: ``target`` and ``prediction``, or
        ``target_<value>`` and ``prediction_<value>`` of several.
        """
        rows: dict[str, Any] = {"sample": self.samples, **self.columns}
        if self.task in ("multiclass", "binary"):
            names = np.array(self.names, object)
            rows |= {"target": names[self.targets], "prediction": names[self.predicted]}
        elif self.task == "regression" and len(self.names) == 1:
            rows |= {"target": self.targets[:, 0], "prediction": self.predicted[:, 0]}
        else:
            for i, name in enumerate(self.names):
                rows |= {f"{_TARGET}{name}": self.targets[:, i], f"{_PREDICTION}{name}": self.predicted[:, i]}
        if self.task != "regression":
            rows |= {f"{_PROBABILITY}{name}": self.scores[:, i] for i, name in enumerate(self.names)}
        return rows

    def write(self, path: Path, **facts: object) -> None:
        """Writes the table as CSV, and beside it, as JSON, what it is a table of.

        Args:
            path: Ends in ``.csv``; the other file ends in ``.json``.
            **facts: What else is to be known of it, such as the checkpoint; JSON's types.
        """
        import pyarrow as pa
        from pyarrow import csv

        path.parent.mkdir(parents=True, exist_ok=True)
        columns = {name: _type_name(values) for name, values in self.columns.items()}
        csv.write_csv(pa.table({name: pa.array(values) for name, values in self.table().items()}), path)
        about = {"task": self.task, "names": self.names, "split": self.split, "columns": columns, **facts}
        path.with_suffix(".json").write_text(json.dumps(about, indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads what :meth:`write` wrote: the same numbers, bit by bit, but for ``logits``.

        Raises:
            DataError: If one of the two files is missing or cannot be read.
        """
        import pyarrow as pa
        from pyarrow import csv

        about = facts(path)
        texts: dict[str, Any] = dict.fromkeys(["sample", "target", "prediction"], pa.string())
        number = {f"{_PROBABILITY}{name}": pa.float32() for name in about["names"]}
        if about["task"] == "regression":
            texts = {"sample": pa.string()}
            many = len(about["names"]) > 1
            for name in about["names"]:
                number[f"{_TARGET}{name}" if many else "target"] = pa.float64()
                number[f"{_PREDICTION}{name}" if many else "prediction"] = pa.float32()
        # nothing but an empty cell of a number is missing: "NA" is a name like any other
        types = {**texts, **number, **{name: getattr(pa, kind)() for name, kind in about["columns"].items()}}
        options = csv.ConvertOptions(column_types=types, strings_can_be_null=False, null_values=[""])
        try:
            table = csv.read_csv(path, convert_options=options)
            return cls(**_arrays(table, about))
        except (pa.ArrowInvalid, KeyError, ValueError) as error:
            raise DataError(f"{path} is no table of predictions of {about['task']}: {error}") from error


def _type_name(values: NDArray[Any]) -> str:
    """How a column is to be read again: what looks like a number need not be one."""
    return {"b": "bool_", "i": "int64", "u": "int64", "f": "float64"}.get(np.asarray(values).dtype.kind, "string")


def facts(path: Path) -> dict[str, Any]:
    """What stands beside a table of predictions: its task, names, split, and the facts that were given.

    Args:
        path: The table.

    Raises:
        DataError: If there is no such table, or nothing beside it.
    """
    for file in (path, path.with_suffix(".json")):
        if not file.is_file():
            raise DataError(f"there is no file {str(file)!r}; a table of predictions is two files, .csv and .json")
    found: dict[str, Any] = json.loads(path.with_suffix(".json").read_text())
    return found


def _arrays(table: Any, about: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of what was read."""
    task, names = about["task"], list(about["names"])

    def stacked(prefix: str) -> NDArray[Any]:
        return np.stack([table[f"{prefix}{name}"].to_numpy() for name in names], 1)

    if task in ("multiclass", "binary"):
        number = {name: i for i, name in enumerate(names)}
        targets, predicted = (
            np.array([number[name] for name in table[column].to_pylist()], np.int64)
            for column in ("target", "prediction")
        )
    elif task == "regression" and len(names) == 1:
        targets, predicted = table["target"].to_numpy()[:, None], table["prediction"].to_numpy()[:, None]
    else:
        targets, predicted = stacked(_TARGET), stacked(_PREDICTION)
    return {
        "task": task,
        "names": names,
        "samples": table["sample"].to_pylist(),
        "targets": targets,
        "scores": predicted if task == "regression" else stacked(_PROBABILITY),
        "predicted": predicted,
        "split": about["split"],
        "columns": {name: table[name].to_numpy() for name in about["columns"]},
    }
