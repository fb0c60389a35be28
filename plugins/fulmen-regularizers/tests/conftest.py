"""What the tests share: a small network, data, and a trainer, in float64 so that formulas agree to 1e-6 and better."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

from fulmen.data import ArrayData
from fulmen.modules import MLPModule

Make = Callable[..., Any]


@pytest.fixture(autouse=True)
def _seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    torch.manual_seed(0)


@pytest.fixture
def make_trainer() -> Make:
    def make(**options: Any) -> Trainer:
        quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
        defaults = {"accelerator": "cpu", "logger": False, "max_epochs": 2, "limit_val_batches": 0}
        return Trainer(**{**defaults, "precision": "64-true", **quiet, **options})

    return make


@pytest.fixture
def make_data() -> Make:
    """48 samples: an epoch is four steps of 12."""

    def make(batch_size: int = 12, **options: Any) -> ArrayData:
        generator = torch.Generator().manual_seed(0)
        inputs = torch.randn(48, 4, generator=generator)
        targets = (inputs[:, 0] + inputs[:, 1] > 0).long() + (inputs[:, 2] > 1).long()
        parts = {"val_fraction": 0.0, "test_fraction": 0.0, "standardize": False}
        return ArrayData(inputs, targets, batch_size=batch_size, **{**parts, **options})

    return make


@pytest.fixture
def make_module() -> Make:
    """Layers of the network: ``hidden.0.0`` (linear), ``hidden.0.1`` (activation), ``head``."""

    def make(*regularizers: Any, seed: int = 1, **options: Any) -> MLPModule:
        torch.manual_seed(seed)
        defaults: dict[str, Any] = {"hidden_features": [6], "activation": "sigmoid", "input_shape": [4]}
        defaults |= {"num_outputs": 3, "optimizer": {"name": "sgd", "lr": 0.1}}
        return MLPModule(**{**defaults, "regularizers": list(regularizers), **options})

    return make
