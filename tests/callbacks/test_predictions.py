"""Predictions as tables."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from lightning.pytorch import Trainer
from pyarrow import csv, parquet
from torch import Tensor
from torch.utils.data import DataLoader

from fulmen.callbacks import PredictionWriter
from fulmen.callbacks.predictions import table, write_table
from fulmen.core.errors import ConfigError
from fulmen.data import ArrayData
from fulmen.modules import MLPModule


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def make_trainer(writer: PredictionWriter) -> Trainer:
    quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False}
    return Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, callbacks=[writer], **quiet)


def make_module(data: ArrayData, **options: Any) -> MLPModule:
    known = {name: getattr(data, name) for name in ("input_shape", "num_outputs", "class_names", "target_type")}
    return MLPModule(hidden_features=[4], **known, **options)


def read(path: Path) -> dict[str, list[Any]]:
    found: pa.Table = csv.read_csv(path) if path.suffix == ".csv" else parquet.read_table(path)
    columns: dict[str, list[Any]] = found.to_pydict()
    return columns


def predicted(data: ArrayData, path: Path) -> tuple[dict[str, list[Any]], Tensor, list[int]]:
    """The file's columns, the network's outputs for the test split, and the split's rows."""
    module = make_module(data)
    make_trainer(PredictionWriter(path)).predict(module, data)
    rows = data.datasets["test"].rows  # type: ignore[attr-defined]
    with torch.no_grad():
        return read(path), module.eval()(data.normalize(data.inputs[rows])), rows.tolist()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_classes(tmp_path: Path, suffix: str) -> None:
    names = ["ant", "bee", "cow"]
    data = ArrayData(torch.randn(60, 4), np.array(names)[np.arange(60) % 3], batch_size=4, test_fraction=0.3)
    columns, logits, rows = predicted(data, tmp_path / "made" / f"table{suffix}")
    assert list(columns) == ["sample", "prediction", "probability_ant", "probability_bee", "probability_cow"]
    assert columns["sample"] == rows
    assert len(rows) % 4 != 0
    assert columns["prediction"] == [names[i] for i in logits.argmax(1).tolist()]
    for i, name in enumerate(names):
        assert columns[f"probability_{name}"] == pytest.approx(logits.softmax(1)[:, i].tolist(), abs=1e-6)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_yes_or_no(tmp_path: Path, suffix: str) -> None:
    data = ArrayData(torch.randn(60, 4), np.array(["no", "yes"])[np.arange(60) % 2], test_fraction=0.3)
    columns, logits, rows = predicted(data, tmp_path / f"table{suffix}")
    assert list(columns) == ["sample", "prediction", "probability_no", "probability_yes"]
    assert columns["sample"] == rows
    assert columns["prediction"] == ["yes" if z > 0 else "no" for z in logits.flatten().tolist()]
    assert columns["probability_yes"] == pytest.approx(logits.flatten().sigmoid().tolist(), abs=1e-6)
    assert columns["probability_no"] == pytest.approx((1 - logits.flatten().sigmoid()).tolist(), abs=1e-6)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_labels(tmp_path: Path, suffix: str) -> None:
    inputs = torch.randn(60, 4)
    data = ArrayData(inputs, (inputs[:, :3] > 0).long(), class_names=["a", "b", "c"], test_fraction=0.3)
    columns, logits, rows = predicted(data, tmp_path / f"table{suffix}")
    assert columns["sample"] == rows
    expected = [";".join(n for n, z in zip("abc", row, strict=True) if z > 0) for row in logits.tolist()]
    assert columns["prediction"] == expected
    assert columns["probability_b"] == pytest.approx(logits.sigmoid()[:, 1].tolist(), abs=1e-6)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_one_value(tmp_path: Path, suffix: str) -> None:
    data = ArrayData(torch.randn(60, 4), torch.rand(60), test_fraction=0.3)
    columns, values, rows = predicted(data, tmp_path / f"table{suffix}")
    assert list(columns) == ["sample", "prediction"]
    assert columns["sample"] == rows
    assert columns["prediction"] == pytest.approx(values.flatten().tolist(), abs=1e-6)


def test_several_values(tmp_path: Path) -> None:
    data = ArrayData(torch.randn(60, 4), torch.rand(60, 2), test_fraction=0.3)
    columns, values, _ = predicted(data, tmp_path / "table.csv")
    assert list(columns) == ["sample", "prediction_value_0", "prediction_value_1"]
    assert columns["prediction_value_1"] == pytest.approx(values[:, 1].tolist(), abs=1e-6)


@pytest.mark.parametrize("name", ["table.txt", "table", "table.CSV.gz", "csv"])
def test_other_endings_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"must end in \.csv or \.parquet"):
        PredictionWriter(Path(name))


def test_plain_loader_gives_row_numbers(tmp_path: Path) -> None:
    module = MLPModule(hidden_features=[4], input_shape=[4], num_outputs=3)
    loader: Any = DataLoader(torch.randn(10, 4), 3)  # type: ignore[arg-type]
    make_trainer(PredictionWriter(tmp_path / "table.csv")).predict(module, loader)
    columns = read(tmp_path / "table.csv")
    assert columns["sample"] == list(range(10))
    assert list(columns) == ["sample", "prediction", "probability_0", "probability_1", "probability_2"]


def test_writer_can_be_used_twice(tmp_path: Path) -> None:
    data = ArrayData(torch.randn(60, 4), torch.arange(60) % 3)
    writer = PredictionWriter(tmp_path / "table.csv")
    trainer, module = make_trainer(writer), make_module(data)
    trainer.predict(module, data)
    first = read(writer.path)
    trainer.predict(module, data)
    assert read(writer.path) == first


def test_predicts_the_split_that_is_asked_for(tmp_path: Path) -> None:
    data = ArrayData(torch.randn(60, 4), torch.arange(60) % 3, predict_split="train")
    make_trainer(PredictionWriter(tmp_path / "table.csv")).predict(make_module(data), data)
    rows = data.datasets["train"].rows  # type: ignore[attr-defined]
    assert read(tmp_path / "table.csv")["sample"] == rows.tolist()


def test_names_with_commas_and_quotes_survive(tmp_path: Path) -> None:
    columns: dict[str, Any] = {"prediction": torch.tensor([0, 1]), "probabilities": torch.tensor([[0.9, 0.1]] * 2)}
    rows = table(columns, ["a,b", 'c"d'], ["x,y.png", "z.png"])
    write_table(tmp_path / "table.csv", rows)
    assert read(tmp_path / "table.csv")["prediction"] == ["a,b", 'c"d']
    assert read(tmp_path / "table.csv")["sample"] == ["x,y.png", "z.png"]
