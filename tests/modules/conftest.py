"""What the tests of modules share."""

from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer


@pytest.fixture(autouse=True)
def _seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    torch.manual_seed(0)


def make_trainer(**options: Any) -> Trainer:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    return Trainer(**{"accelerator": "cpu", "logger": False, "max_epochs": 1, **quiet, **options})
