"""Draws what a digits MLP's first layer looks like under several regularizers.

python docs/draw.py docs/first_layer.png
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import matplotlib.pyplot as plt
import torch
from lightning.pytorch import Trainer, seed_everything
from matplotlib.axes import Axes
from torch import Tensor

from fulmen.data import DigitsData
from fulmen.modules import MLPModule

ROWS: list[tuple[str, list[Any]]] = [
    ("none", []),
    ("l1, proximal", [{"name": "l1", "weight": 2e-3, "proximal": True}]),
    ("group_lasso", [{"name": "group_lasso", "weight": 6e-3}]),
    ("group_lasso, inputs", [{"name": "group_lasso", "weight": 1e-2, "groups": "input"}]),
    ("orthogonal", [{"name": "orthogonal", "weight": 1e-3}]),
]
NEURONS = 16


def train(regularizers: list[Any]) -> tuple[Tensor, float]:
    """The weights ``(NEURONS, 8, 8)`` into the hidden neurons, largest first, and the test accuracy."""
    seed_everything(0, verbose=False)
    data = DigitsData(batch_size=64)
    known = {name: getattr(data, name) for name in ("input_shape", "num_outputs", "class_names", "target_type")}
    module = MLPModule(
        hidden_features=[NEURONS],
        regularizers=regularizers,
        optimizer={"name": "sgd", "lr": 0.1, "momentum": 0.9},
        **known,
    )
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = Trainer(accelerator="cpu", logger=False, max_epochs=40, **quiet)
    trainer.fit(module, data)
    (tested,) = trainer.test(module, data, verbose=False)
    hidden: Any = module.network.hidden
    weights = hidden[0][0].weight.detach()
    order = weights.norm(dim=1).argsort(descending=True)
    return weights[order].reshape(NEURONS, 8, 8), tested["test/accuracy"]


def show(axes: Axes, weight: Tensor, limit: float) -> None:
    """One neuron; grey where a weight is exactly zero."""
    image = torch.where(weight == 0, torch.nan, weight)
    axes.imshow(image.numpy(), cmap="RdBu_r", vmin=-limit, vmax=limit)
    axes.set_facecolor("#d9d9d9")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def main(path: str) -> None:
    """Trains the networks and writes the picture."""
    figure, grid = plt.subplots(len(ROWS), NEURONS, figsize=(11, 3.7), layout="constrained")
    for row, (name, regularizers) in zip(grid, ROWS, strict=True):
        weights, accuracy = train(regularizers)
        zero = (weights == 0).float().mean().item()
        for axes, weight in zip(row, weights, strict=True):
            show(axes, weight, weights.abs().max().item())
        label = f"{name}\n{zero:.0%} zero, accuracy {accuracy:.1%}"
        row[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    figure.suptitle("Weights into 16 hidden neurons, 8 x 8 each (red > 0, blue < 0, grey: exactly zero)", fontsize=10)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    main(sys.argv[1])
