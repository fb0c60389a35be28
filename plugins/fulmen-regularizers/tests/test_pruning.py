"""What the report says became zero, did."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer, seed_everything
from torch import nn

from fulmen.data import DigitsData
from fulmen.modules import MLPModule
from fulmen_regularizers import LayerSparsity, pruning_report


def test_counts() -> None:
    net = nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3), nn.ConvTranspose2d(3, 4, 2), nn.Flatten())
    nn.init.ones_(net[0].weight)
    nn.init.ones_(net[2].weight)
    net[0].weight.data[1] = 0
    net[0].weight.data[:, 0] = 0
    net[2].weight.data[2] = 0  # (in, out, ...) of a transposed convolution
    net[2].weight.data[:, 3] = 0
    first, second = pruning_report(net).layers
    assert first == LayerSparsity("0.weight", 3, 2, (1,), (0,), 24, 16)
    assert second == LayerSparsity("2.weight", 4, 3, (3,), (2,), 48, 24)


def test_shared_weights_are_listed_once() -> None:
    net = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    net[1].weight = net[0].weight
    assert len(pruning_report(net).layers) == 1


def test_text_of_nothing_zero_and_of_many() -> None:
    layer = nn.Linear(4, 20)
    nn.init.ones_(layer.weight)
    assert "constant" not in str(pruning_report(layer))
    nn.init.zeros_(layer.weight)
    text = str(pruning_report(layer))
    assert "20 of 20" in text
    assert "80 of 80 (100.0%)" in text
    assert "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, and 8 more" in text


@pytest.fixture
def pruned(caplog: pytest.LogCaptureFixture) -> Any:
    """A digits MLP that was trained with the proximal group lasso, and what the end of its training printed."""
    seed_everything(0, verbose=False)
    data = DigitsData(batch_size=64)
    known = {name: getattr(data, name) for name in ("input_shape", "num_outputs", "class_names", "target_type")}
    module = MLPModule(
        hidden_features=[64], regularizers=[{"name": "group_lasso", "weight": 3e-3}],
        optimizer={"name": "sgd", "lr": 0.1, "momentum": 0.9}, **known,
    )  # fmt: skip
    trainer = Trainer(
        accelerator="cpu", logger=False, max_epochs=40, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False,
    )  # fmt: skip
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.INFO, logger=logger.name):
            trainer.fit(module, data)
    finally:
        logger.removeHandler(caplog.handler)
    return module, data, trainer, caplog.text


def test_digits_lose_neurons_that_can_be_taken_out(pruned: Any) -> None:
    module, data, trainer, printed = pruned
    hidden, head = module.network.hidden[0][0], module.network.head
    zero = (hidden.weight == 0).all(1)
    assert 10 < zero.sum() < 60
    assert str(pruning_report(module)) in printed
    assert pruning_report(module).layers[0].zero_outputs == tuple(zero.nonzero().flatten().tolist())
    (tested,) = trainer.test(module, data, verbose=False)
    assert tested["test/accuracy"] > 0.93
    smaller = nn.Sequential(
        nn.Flatten(), nn.Linear(64, int((~zero).sum())), nn.ReLU(), nn.Linear(int((~zero).sum()), 10)
    )
    with torch.no_grad():
        smaller[1].weight.copy_(hidden.weight[~zero])
        smaller[1].bias.copy_(hidden.bias[~zero])
        smaller[3].weight.copy_(head.weight[:, ~zero])
        smaller[3].bias.copy_(head.bias + head.weight[:, zero] @ hidden.bias[zero].relu())
        images = torch.rand(5, 1, 8, 8)
        torch.testing.assert_close(smaller(images), module(images), rtol=0, atol=1e-5)
