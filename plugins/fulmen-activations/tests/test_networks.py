"""In Fulmen's networks, and in a training from a config."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

from fulmen.core.errors import ConfigError
from fulmen.core.spec import build
from fulmen.networks import CNN, MLP

NARROWER = {"glu": 2, "reglu": 2, "geglu": 2, "swiglu": 2, "bilinear": 2, "maxout": 2}


def test_mlp_learns_with_it(name: str, normal: Callable[..., Tensor]) -> None:
    network = MLP((6,), 3, [16, 12], activation=name, normalization="batch", residual=True)
    assert network.head.in_features == 12 // NARROWER.get(name, 1)
    x, y = normal(64, 6), (normal(64, 6).sum(1) > 0).long()
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    losses = []
    for _ in range(30):
        loss = torch.nn.functional.cross_entropy(network(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_layers_do_not_share_parameters(name: str) -> None:
    network = MLP((6,), 3, [8, 8, 8], activation=name)
    one = sum(p.numel() for p in build("activations", name).parameters())
    linear = sum(p.numel() for m in network.modules() if isinstance(m, torch.nn.Linear) for p in m.parameters())
    assert sum(p.numel() for p in network.parameters()) == linear + 3 * one


def test_cnn_runs_with_all_that_keep_the_width(names: list[str], normal: Callable[..., Tensor]) -> None:
    for name in sorted(set(names) - set(NARROWER)):
        network = CNN((1, 8, 8), 3, [4, 8], activation=name)
        y = network(normal(5, 1, 8, 8))
        y.sum().backward()
        assert y.shape == (5, 3), name
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters()), name


@pytest.mark.parametrize("name", sorted(NARROWER))
def test_odd_widths_say_what_to_take(name: str) -> None:
    with pytest.raises(ConfigError, match="7") as error:
        MLP((6,), 3, [7], activation=name)
    message = {
        "maxout": "pieces: 2 does not divide 7 features; take a width that is a multiple of 2",
    }.get(name, f"activation: '{name}' halves the features, and there are 7; take an even width")
    assert str(error.value) == message


@pytest.fixture
def lightning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Runs `lightning` in this process, in a folder of its own; returns what it printed."""
    from fulmen.cli.main import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FULMEN_RUN_FOLDER", "")
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")

    def run(*arguments: object) -> str:
        argv = [str(a) for a in arguments]
        monkeypatch.setattr(sys, "argv", ["lightning", *argv])
        for logger in ("lightning", "lightning.pytorch", "lightning.fabric"):
            for handler in logging.getLogger(logger).handlers:  # made at import, with the stderr of another test
                if isinstance(handler, logging.StreamHandler):
                    handler.stream = sys.stderr
        assert main(argv) == 0
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("spec", ["{name: snake, alpha: 2.0}", "{name: rational, start: gelu}", "swiglu"])
def test_fit_from_a_config_and_test_from_the_checkpoint(
    spec: str, lightning: Callable[..., str], tmp_path: Path
) -> None:
    config = {
        "model": {
            "class_path": "MLPModule",
            "init_args": {
                "hidden_features": [16, 16],
                "activation": yaml.safe_load(spec),
                "optimizer": {"name": "adamw", "lr": 0.02, "weight_decay": 0.1, "decay_bias_and_norm": False},
            },
        },
        "data": {"class_path": "IrisData", "init_args": {"batch_size": 32}},
        "trainer": {
            "max_epochs": 15,
            "accelerator": "cpu",
            "enable_model_summary": False,
            "enable_progress_bar": False,
        },
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    lightning("fit", "--config", "config.yaml")
    (checkpoint,) = {p.resolve() for p in tmp_path.rglob("*.ckpt") if p.name != "last.ckpt"}
    saved = torch.load(checkpoint, weights_only=True)
    fresh = build("activations", yaml.safe_load(spec)).state_dict()
    for key, start in fresh.items():
        first, second = (saved["state_dict"][f"network.hidden.{layer}.1.{key}"] for layer in (0, 1))
        assert not torch.equal(first, start), key
        assert not torch.equal(first, second), key

    from fulmen.modules import MLPModule

    module = MLPModule.load_from_checkpoint(checkpoint, map_location="cpu")
    for key, value in saved["state_dict"].items():
        torch.testing.assert_close(module.state_dict()[key], value, rtol=0, atol=0)
    printed = lightning("test", "--config", "config.yaml", "--ckpt_path", checkpoint)
    scores = dict(line.split() for line in printed.splitlines() if line.startswith(("accuracy", "loss")))
    assert float(scores["accuracy"]) > 0.85
