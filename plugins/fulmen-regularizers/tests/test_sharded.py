"""Parameters that are sharded over two processes (FSDP2) end where whole ones do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.slow

SPECS: list[Any] = [
    {"name": "group_lasso", "weight": 0.02},
    {"name": "group_lasso", "weight": 0.02, "groups": "input"},
    {"name": "group_lasso", "weight": 0.02, "proximal": False},
    {"name": "group_lasso", "weight": 0.02, "proximal": False, "groups": "input"},
    {"name": "max_norm", "limit": 1.0},
    {"name": "orthogonal", "weight": 0.02},
    {"name": "srip", "weight": 0.02},
    {"name": "spectral_norm", "weight": 0.02},
    {"name": "hoyer", "weight": 0.02},
    {"name": "l2_sp", "weight": 0.2},
    {"name": "activity_l1", "weight": 0.02},
    {"name": "kl_sparsity", "weight": 0.2},
    {"name": "confidence_penalty", "weight": 0.2},
    {"name": "sam", "rho": 0.1, "adaptive": True},
]

SCRIPT = """
import json, sys
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import ModelParallelStrategy
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from fulmen.core.errors import ConfigError
from fulmen.data import ArrayData
from fulmen.modules import MLPModule
from fulmen_regularizers import pruning_report

class Sharded(MLPModule):
    def configure_model(self):
        if any(isinstance(p, DTensor) for p in self.parameters()):
            return
        fully_shard(self.network.hidden, mesh=self.device_mesh["data_parallel"])
        fully_shard(self.network, mesh=self.device_mesh["data_parallel"])

def fit(specs):
    torch.manual_seed(1)
    module = Sharded(hidden_features=[6], activation="sigmoid", input_shape=[4], num_outputs=3,
                     optimizer={"name": "sgd", "lr": 0.1}, regularizers=specs)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(48, 4, generator=generator)
    targets = (inputs[:, 0] + inputs[:, 1] > 0).long() + (inputs[:, 2] > 1).long()
    data = ArrayData(inputs, targets, batch_size=6, val_fraction=0.0, test_fraction=0.0, standardize=False)
    trainer = Trainer(accelerator="cpu", logger=False, max_epochs=2, limit_val_batches=0, enable_progress_bar=False,
                      enable_model_summary=False, enable_checkpointing=False, devices=2,
                      strategy=ModelParallelStrategy(data_parallel_size=2, tensor_parallel_size=1))
    trainer.fit(module, data)
    return module

if __name__ == "__main__":
    found = fit(json.loads(sys.argv[1]))
    assert all(isinstance(p, DTensor) for p in found.parameters())
    weights = {name: value.full_tensor() for name, value in found.network.state_dict().items()}
    report = str(pruning_report(found))
    try:
        fit([{"name": "jacobian", "weight": 0.1}])
        refused = ""
    except ConfigError as error:
        refused = str(error)
    if found.global_rank == 0:
        torch.save({"weights": weights, "report": report, "refused": refused}, sys.argv[2])
"""


def test_sharded_parameters_equal_whole_ones(
    tmp_path: Path, make_trainer: Callable[..., Any], make_data: Any, make_module: Any
) -> None:
    script, saved = tmp_path / "sharded.py", tmp_path / "found.pt"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), json.dumps(SPECS), str(saved)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = torch.load(saved, weights_only=True)
    one = make_module(*SPECS)
    make_trainer(precision="32-true").fit(one, make_data())
    for name, value in one.network.state_dict().items():
        torch.testing.assert_close(found["weights"][name], value, rtol=0, atol=2e-6, msg=lambda m, n=name: f"{n}: {m}")
    assert found["report"] == str(one.regularizers[0].report(one))
    assert "Jacobian derives gradients inside of the forward pass" in found["refused"]
