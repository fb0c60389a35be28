"""What validation and test predict, against the network's own outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset

from fulmen.callbacks import History, PredictionRecorder
from fulmen.core.errors import ConfigError
from fulmen.data import ArrayData
from fulmen.modules import MLPModule


def make_trainer(*callbacks: Any, **options: Any) -> Trainer:
    quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    return Trainer(accelerator="cpu", enable_checkpointing=False, callbacks=list(callbacks), **quiet, **options)


def make_module(data: ArrayData, **options: Any) -> MLPModule:
    known = {name: getattr(data, name) for name in ("input_shape", "num_outputs", "class_names", "target_type")}
    return MLPModule(hidden_features=[4], **known, **options)


TARGETS = {
    "multiclass": torch.arange(60) % 3,
    "binary": torch.arange(60) % 2,
    "multilabel": torch.stack([torch.arange(60) % 2, torch.arange(60) % 3 == 0], 1).long(),
    "regression": torch.linspace(-1e6, 1, 60),
}


@pytest.mark.parametrize("task", TARGETS)
def test_every_sample_in_its_order(task: str) -> None:
    torch.manual_seed(0)
    data = ArrayData(torch.randn(60, 4), TARGETS[task], target_type=task, batch_size=7, test_fraction=0.3)  # type: ignore[arg-type]
    module, recorder = make_module(data), PredictionRecorder()
    make_trainer(recorder).test(module, data, verbose=False)
    found = recorder.predictions["test"]
    rows = data.datasets["test"].rows  # type: ignore[attr-defined]
    with torch.no_grad():
        logits = module.eval()(data.normalize(data.inputs[rows]))
    decoded = module.task.decode(logits)
    assert found.task == task
    assert found.samples == [str(row) for row in rows.tolist()]
    np.testing.assert_allclose(found.scores, decoded.get("probabilities", decoded["prediction"]), rtol=1e-6)
    np.testing.assert_array_equal(found.targets.ravel(), TARGETS[task][rows].ravel())
    assert found.logits is not None
    np.testing.assert_allclose(found.logits, logits, rtol=1e-6)
    assert (found.targets.dtype, found.scores.dtype) == (np.float64 if task == "regression" else np.int64, np.float32)


def test_validation_during_fit_keeps_the_newest_epoch() -> None:
    torch.manual_seed(0)
    data = ArrayData(torch.randn(60, 4), TARGETS["multiclass"], batch_size=7)
    module, recorder, history = make_module(data), PredictionRecorder(), History()
    make_trainer(recorder, history, max_epochs=2).fit(module, data)
    found = recorder.predictions["val"]
    assert (found.predicted == found.targets).mean() == pytest.approx(history.scored[-1]["val/accuracy"])


class _Plain(LightningDataModule):
    def val_dataloader(self) -> DataLoader[Any]:
        return DataLoader(TensorDataset(torch.randn(10, 4), torch.arange(10) % 3), batch_size=4)


def test_loaders_of_a_user() -> None:
    module, recorder = MLPModule(hidden_features=[4], input_shape=[4], num_outputs=3), PredictionRecorder()
    make_trainer(recorder).validate(module, datamodule=_Plain(), verbose=False)
    found = recorder.predictions["val"]
    assert found.samples == [str(i) for i in range(10)]
    np.testing.assert_array_equal(found.targets, np.arange(10) % 3)


class _Other(LightningModule):
    def validation_step(self, batch: Any, batch_idx: int) -> None:
        pass


def test_a_module_that_does_not_tell_is_refused() -> None:
    with pytest.raises(ConfigError, match="_Other does not tell what it predicts"):
        make_trainer(PredictionRecorder()).validate(_Other(), datamodule=_Plain(), verbose=False)
