"""Draws activations.png, the picture of the README. Needs matplotlib and Pillow. Run: python docs/draw.py."""

from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from PIL import Image

from fulmen.core.spec import build

mpl.use("Agg")
from matplotlib import pyplot as plt

X = torch.linspace(-4, 4, 401)
COLOURS = ["#1b4965", "#e07a1f", "#7fb069"]

# name -> the option that is varied and its values (the first is the default); without one, the slope is drawn
PANELS: dict[str, tuple[str, list[Any]] | None] = {
    "swish": ("beta", [1.0, 0.3, 4.0]),
    "acon": ("p2", [0.0, 0.3, -0.5]),
    "aptx": ("beta", [1.0, 0.25, 4.0]),
    "sinlu": ("a", [1.0, 0.0, 3.0]),
    "snake": ("alpha", [1.0, 0.5, 4.0]),
    "pelu": ("b", [1.0, 0.5, 2.0]),
    "srelu": ("a_right", [1.0, 0.3, 2.0]),
    "flexible_relu": ("b", [0.0, -1.0, 1.0]),
    "star_relu": ("scale", [0.8944, 0.3, -0.3]),
    "xielu": ("alpha_n", [0.8, 0.51, 1.5]),
    "rational": ("start", ["leaky_relu", "silu", "tanh"]),
    "squared_relu": None,
    "telu": None,
    "serf": None,
    "logish": None,
    "smish": None,
    "elish": None,
    "lisht": None,
    "gaussian": ("sigma", [1.0, 0.5, 2.0]),
    "sine": ("omega", [1.0, 0.5, 3.0]),
}
GATES = {"glu": "#a4243b", "swiglu": "#1b4965", "geglu": "#e07a1f", "reglu": "#7fb069", "bilinear": "#bbbbbb"}


def frame(axes: Any, title: str) -> None:
    """Zero lines, equal ranges and a title."""
    axes.axhline(0, color="#cccccc", lw=0.8, zorder=0)
    axes.axvline(0, color="#cccccc", lw=0.8, zorder=0)
    axes.set(xlim=(-4, 4), ylim=(-2.2, 4), xticks=[-4, 0, 4], yticks=[-2, 0, 2, 4])
    axes.set_title(title, fontsize=11, fontweight="bold", pad=4)
    axes.tick_params(labelsize=8, length=2)
    axes.spines[["top", "right"]].set_visible(False)


def curves(name: str) -> list[tuple[str, torch.Tensor]]:
    """What a panel shows: labels and values."""
    varied = PANELS[name]
    if varied is None:
        x = X.clone().requires_grad_()
        y = build("activations", name)(x)
        y.sum().backward()
        return [("value", y.detach()), ("slope", x.grad)]
    option, values = varied
    labels = [v if isinstance(v, str) else f"{option} {v:.2g}" for v in values]
    return [
        (label, build("activations", {"name": name, option: value})(X).detach())
        for label, value in zip(labels, values, strict=True)
    ]


def panel(axes: Any, title: str, lines: list[tuple[str, torch.Tensor]], colours: list[str], place: str) -> None:
    """One panel; the first line lies on top."""
    frame(axes, title)
    for order, ((label, y), colour) in enumerate(zip(lines, colours, strict=False)):
        axes.plot(X, y, color=colour, lw=1.8, label=label, zorder=9 - order, ls="--" if label == "slope" else "-")
    axes.legend(fontsize=7.5, loc=place, frameon=False, handlelength=1.3)


def draw(path: Path) -> None:
    """One panel an activation, and one for the gates of the GLU family."""
    figure, grid = plt.subplots(3, 7, figsize=(14, 6.6), layout="constrained")
    places = {"xielu": "lower left", "rational": "lower right"}
    for axes, name in zip(grid.flat, PANELS, strict=False):
        panel(axes, name, curves(name), COLOURS, places.get(name, "upper left"))
    pairs = torch.stack([torch.ones_like(X), X], 1)
    gates = [(name, build("activations", name)(pairs).squeeze(1)) for name in GATES]
    panel(grid.flat[-1], "gates", gates, list(GATES.values()), "upper left")
    buffer = BytesIO()
    figure.savefig(buffer, dpi=100)
    Image.open(buffer).convert("RGB").quantize(64).save(path, optimize=True)


if __name__ == "__main__":
    draw(Path(__file__).parent / "activations.png")
